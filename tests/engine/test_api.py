"""What an engine's own interface says of a registry: from a stand-in at a real socket."""

from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from conformance.engine import api
from conformance.errors import EnvironmentProblem


class _Engine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers: dict[str, tuple[int, bytes]] = {
            "/distribution/kindest/node:v1.33.12/json": (200, b"{}"),
            "/info": (200, b'{"ServerVersion": "28.5.2"}'),
            "/distribution/example/private:1/json": (401, b'{"message": "denied: no basic auth"}'),
        }
        status, body = answers.get(self.path, (500, b"no JSON"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sc", dir="/tmp") as folder:
        path = str(Path(folder) / "docker.sock")
        with socketserver.ThreadingUnixStreamServer(path, _Engine) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"unix://{path}"
            server.shutdown()


def test_an_answer_is_told_from_a_refusal(host: str) -> None:
    assert api.ask_registry(host, "kindest/node:v1.33.12", timeout=5) == ""
    said = api.ask_registry(host, "example/private:1", timeout=5)
    assert said == "denied: no basic auth"
    assert api.ask_registry(host, "example/other:1", timeout=5) == "no JSON"


def test_no_engine_is_no_registry(tmp_path: Path) -> None:
    said = api.ask_registry(f"unix://{tmp_path}/none", "debian:bookworm-slim", timeout=1)
    assert said.startswith("the Docker API did not answer")


def test_what_an_engine_is_comes_without_its_client(host: str, tmp_path: Path) -> None:
    assert api.info(host, timeout=5) == {"ServerVersion": "28.5.2"}
    with pytest.raises(EnvironmentProblem, match="does not tell what it is"):
        api.info(f"unix://{tmp_path}/none", timeout=1)


def test_an_engine_that_is_busy_has_not_gone_and_one_without_a_listener_has() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's are longer than a socket's name may be
        host = f"unix://{folder}/docker.sock"
        assert api.gone(host) == "No such file or directory"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(f"{folder}/docker.sock")
            server.listen(1)
            for _ in range(4):  # nobody accepts: its queue is full in the end
                assert api.gone(host) == ""
        assert api.gone(host) == "Connection refused"
