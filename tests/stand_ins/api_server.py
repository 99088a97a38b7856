"""An API server as far as reading and dry runs go: lists in pages, refusals, admission."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
Answer = tuple[int, Json]
# namespace, pod as sent → what the server answers
Admission = Callable[[str, Json], Answer]


@dataclass
class ApiServer:
    """lists: path → objects. forbidden: paths. old: paths whose next page is too old, once.

    page: how many objects a page has at most, whatever was asked for. asked: what came, in order.
    """

    lists: Mapping[str, list[Json]] = field(default_factory=dict)
    objects: Mapping[str, Json] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()
    old: set[str] = field(default_factory=set)
    busy: dict[str, int] = field(default_factory=dict)  # path → how often it has no time
    page: int = 1000
    minor: str = "33"
    admission: Admission | None = None
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    sent: list[tuple[str, Json]] = field(default_factory=list)

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        if path == "/version":
            return 200, {"major": "1", "minor": self.minor}
        if self.busy.get(path, 0):
            self.busy[path] -= 1
            return _status(429, "TooManyRequests", "please try again later")
        if path in self.forbidden:
            return _status(403, "Forbidden", "not for you")
        if path in self.objects:
            return 200, self.objects[path]
        if path not in self.lists:
            return (200, {"items": []}) if "limit" in query else _status(404, "NotFound", path)
        start = int(query.get("continue") or 0)
        if start and path in self.old:
            self.old.remove(path)
            told = _status(410, "Expired", "The provided continue parameter is too old")
            told[1]["metadata"] = {"continue": str(start)}
            return told
        items = self.lists[path]
        end = start + min(self.page, int(query.get("limit", self.page)))
        after = str(end) if end < len(items) else ""
        return 200, {"metadata": {"continue": after}, "items": items[start:end]}

    def post(self, path: str, query: Mapping[str, str], body: Json) -> Answer:
        namespace = path.split("/")[-2]
        self.sent.append((namespace, body))
        if query.get("dryRun") != "All" or self.admission is None:
            return _status(500, "InternalError", "something would have been created")
        return self.admission(namespace, body)


def _status(code: int, reason: str, message: str) -> Answer:
    return code, {"kind": "Status", "reason": reason, "message": message, "code": code}


@contextmanager
def serving(server: ApiServer, folder: Path) -> Iterator[Path]:
    """Serve on loopback; yields a kubeconfig."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(lambda path, query: server.get(path, query))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(lambda path, query: server.post(path, query, body))

        def _answer(self, how: Callable[[str, Mapping[str, str]], Answer]) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            server.asked.append((self.command, parts.path, query))
            status, told = how(parts.path, query)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield _kubeconfig(folder, f"http://127.0.0.1:{http.server_port}")
    finally:
        http.shutdown()
        http.server_close()


def _kubeconfig(folder: Path, url: str) -> Path:
    file = folder / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "fake",
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
                "clusters": [{"name": "fake", "cluster": {"server": url}}],
                "users": [{"name": "fake", "user": {}}],
            }
        )
    )
    return file
