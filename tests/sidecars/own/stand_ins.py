"""The examples of docs/examples with programs that every machine has in the place of their images.

``python -m tests.sidecars.own.stand_ins FOLDER`` writes them, to be played on a real cluster:
everything but image, command and arguments is as the example has it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from conformance.machine.paths import CHECKOUT

EXAMPLES = CHECKOUT / "docs" / "examples"

_TOKEN = """\
trap 'exit 0' TERM
sleep 2
echo token >/vault/secrets/token
while :; do sleep 1 & wait $!; done
"""
_SERVER = """\
import http.server, os, signal, sys, threading, time

def end(*_):
    os._exit(0)

signal.signal(signal.SIGTERM, end)
began = time.monotonic()

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() - began > 2 else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        self.do_GET()
        threading.Timer(0.2, end).start()

    def log_message(self, *_):
        pass

for port in sys.argv[2:]:
    server = http.server.ThreadingHTTPServer(("", int(port)), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Answer).serve_forever()
"""
_SHIPPER = """\
import http.server, os, signal, threading, time, urllib.request

ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("", 8686), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
place, waiting = 0, b""
while True:
    last = ending.is_set()
    try:
        with open("/logs/app.log", "rb") as log:
            log.seek(place)
            waiting += log.read()
            place = log.tell()
    except FileNotFoundError:
        pass
    if waiting:
        try:
            urllib.request.urlopen("http://collector:9000/", data=waiting, timeout=5).close()
            waiting = b""
        except OSError:
            pass
    if last:
        os._exit(0)
    ending.wait(0.1)
"""

# Example → what stands in for its container's program.
PROGRAMS: dict[str, dict[str, Any]] = {
    "token-writer": {"image": "app", "command": ["sh", "-c", _TOKEN]},
    "database-proxy": {"image": "app", "command": ["python3", "-c", _SERVER, "9801", "9091"]},
    "metrics-exporter": {"image": "app", "command": ["python3", "-c", _SERVER, "9102"]},
    "log-shipper": {"image": "app", "command": ["python3", "-c", _SHIPPER]},
    "own-envoy": {"image": "envoy"},
}


def write(example: str, folder: Path) -> Path:
    """The example with its stand-in, as a file in the folder."""
    content = yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text())
    content["container"].pop("args", None)
    content["container"] |= PROGRAMS[example]
    target = folder / f"{example}.yaml"
    target.write_text(yaml.safe_dump(content, sort_keys=False))
    return target


# Pods → container → what stands in for the sidecar's program.
IN_PODS: dict[str, dict[str, str]] = {
    "web": {"token-writer": "token-writer"},
    "report": {"metrics": "metrics-exporter"},
}


def write_pods(example: str, folder: Path) -> Path:
    """Pods with the stand-ins of their sidecars, as a file in the folder."""
    documents = list(yaml.safe_load_all((EXAMPLES / "pods" / f"{example}.yaml").read_text()))
    spec = documents[0]["spec"]["template"]["spec"]
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        if container["name"] in IN_PODS[example]:
            container.pop("args", None)
            container |= PROGRAMS[IN_PODS[example][container["name"]]]
    target = folder / f"pods-{example}.yaml"
    target.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return target


if __name__ == "__main__":
    for name in PROGRAMS:
        print(write(name, Path(sys.argv[1])))
    for name in IN_PODS:
        print(write_pods(name, Path(sys.argv[1])))
