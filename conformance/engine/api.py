"""Asking an engine's own HTTP interface what its client has no command for."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import quote

_SCHEME = "unix://"


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask_registry(host: str, reference: str, *, timeout: float) -> str:
    """Whether an image could be pulled: "" when its registry answered for it, else what was said.

    The engine itself asks (GET /distribution/…/json), so its mirrors and proxies count; nothing is
    pulled. It asks without credentials. host: where the engine listens (unix:///…). timeout:
    seconds. Raises TimeoutError.
    """
    connection = _OverSocket(host.removeprefix(_SCHEME), timeout)
    try:
        connection.request("GET", f"/distribution/{quote(reference, safe='/:@')}/json")
        answer = connection.getresponse()
        body = answer.read()
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        return f"the Docker API did not answer: {error}"
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return ""
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace")[:200]
    return said.strip() or f"status {answer.status}"
