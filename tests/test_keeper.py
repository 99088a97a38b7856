"""The program that keeps connections, run for real on the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_fixture_app import Json, Programs, free_ports, until

KEPT = ("pool", "long", "raw")


class Pair:
    """The subject and its peer, each with ports of its own."""

    def __init__(self, programs: Programs) -> None:
        self.programs = programs
        names = [f"{role}.{port}" for role in ("subject", "peer") for port in ("app", "raw")]
        self.ports = dict(zip(names, free_ports(4), strict=True))

    def start(self, role: str, *, other: dict[str, int] | None = None, **env: object):
        target = {**self.ports, **(other or {})}
        return self.programs.start(
            "keeper",
            role,
            SC_APP_PORT=self.ports[f"{role}.app"],
            SC_RAW_PORT=self.ports[f"{role}.raw"],
            SC_PROBE_PORT=free_ports(1)[0],
            PEER_SERVICE_PORT=target["peer.app"],
            PEER_SERVICE_PORT_RAW=target["peer.raw"],
            SUBJECT_SERVICE_HOST="127.0.0.1",
            SUBJECT_SERVICE_PORT=target["subject.app"],
            SUBJECT_SERVICE_PORT_RAW=target["subject.raw"],
            **env,
        )

    def used(self, role: str, kind: str) -> list[Json]:
        event = "kept.piece" if kind == "long" else "request.end"
        return self.programs.stamps(role, event, kind=kind)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    programs = Programs(tmp_path)
    yield Pair(programs)
    for child in programs.running:
        child.kill()
        child.wait()


def test_connections_are_kept_until_the_app_itself_has_drained(pair: Pair) -> None:
    pair.start("peer")
    pair.programs.wait_for("peer", "app.listening", count=3)
    subject = pair.start("subject", SC_DRAIN_SECONDS=1)
    until(lambda: all(len(pair.used(r, k)) > 3 for r in ("subject", "peer") for k in KEPT))
    assert pair.programs.end(subject) == 0
    told = pair.programs.stamps("subject", "app.sigterm")[0]["ns"]
    own = pair.programs.stamps("subject", "kept.closed")
    assert sorted(one["kind"] for one in own) == sorted(KEPT)
    assert {one["how"] for one in own} == {"own"}
    assert all(one["ns"] > told + 1e9 for one in own)
    opened = {one["connection"] for one in pair.programs.stamps("subject", "kept.open")}
    assert opened == {f"{kind}.subject.0" for kind in KEPT}
    ends = pair.programs.stamps("subject", "request.end")
    assert {one["outcome"] for one in ends} == {"ok"}
    assert any(one["kind"] == "touch" for one in ends)
    # The peer saw them end only then, and the stream in good order.
    seen = until(lambda: pair.programs.stamps("peer", "kept.closed", kind="long"))
    assert seen[-1]["how"] == "finished" and seen[-1]["ns"] > told + 1e9


def scripted(answer: bytes | None) -> int:
    """A server that answers each connection with these bytes and goes (None: it is silent)."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=32)
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            held.append(connection)
            if answer is not None:
                connection.recv(4096)
                connection.sendall(answer)
                connection.close()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", "told"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "fin"),
        (b"", "fin"),
        (None, "timeout"),
    ],
)
def test_who_ends_a_connection_is_recorded(pair: Pair, answer: bytes | None, how: str) -> None:
    pair.start("subject", other={"peer.app": scripted(answer)})
    pooled = pair.programs.wait_for("subject", "kept.closed", kind="pool")
    assert pooled[0]["how"] == how
    assert pair.programs.stamps("subject", "request.end", kind="pool")[0]["outcome"] != "ok"
    # And another takes its place.
    assert pair.programs.wait_for("subject", "kept.open", count=2, kind="pool")


def test_a_connection_that_nobody_takes_is_a_request_that_was_refused(pair: Pair) -> None:
    pair.start("subject")
    for kind in (*KEPT, "touch"):
        found = pair.programs.wait_for("subject", "request.end", kind=kind)
        assert found[0]["outcome"] == "refused"
    assert not pair.programs.stamps("subject", "kept.open")
