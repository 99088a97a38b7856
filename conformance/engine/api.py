"""Asking an engine's own HTTP interface what its client has no command for, or a slow one."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from conformance.errors import EnvironmentProblem

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
    try:
        status, body = _get(host, f"/distribution/{quote(reference, safe='/:@')}/json", timeout)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        return f"the Docker API did not answer: {error}"
    if status == http.client.OK:
        return ""
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace")[:200]
    return said.strip() or f"status {status}"


def info(host: str, *, timeout: float) -> Mapping[str, Any]:
    """What ``docker info`` knows of the engine; the client would ask its own plugins as well.

    timeout: seconds. Raises EnvironmentProblem.
    """
    try:
        status, body = _get(host, "/info", timeout)
        if status == http.client.OK:
            return dict(json.loads(body))
        seen = f"status {status}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        seen = str(error)
    raise EnvironmentProblem(
        f"The Docker engine at {host} does not tell what it is: {seen}; is it Docker's (docker "
        "info)?"
    )


def gone(host: str) -> str:
    """Why nobody listens where an engine did, in a few words; "" while somebody does, though it be
    busy."""
    if not host.startswith(_SCHEME):
        return ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(host.removeprefix(_SCHEME))
        except (ConnectionRefusedError, FileNotFoundError) as error:
            return str(error.strerror)
        except OSError:  # its queue is full, or it is late
            return ""
    return ""


def _get(host: str, path: str, timeout: float) -> tuple[int, bytes]:
    """Status and body of an answer. Raises OSError (TimeoutError) and HTTPException."""
    connection = _OverSocket(host.removeprefix(_SCHEME), timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
