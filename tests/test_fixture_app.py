"""The fixture programs, run for real on the loopback: what they do, and what they stamp."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from conformance.paths import FIXTURES

Json = dict
NONCE = "0123456789ab"


class Programs:
    """Fixture programs of one test, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = dict(
            zip(("app", "probe", "peer", "mesh", "control", "proxy"), free_ports(6), strict=True)
        )
        self.running: list[subprocess.Popen] = []

    def start(self, program: str, role: str, **env: object) -> subprocess.Popen:
        ports = self.ports
        settings = {
            "SC_NONCE": NONCE,
            "SC_ROLE": role,
            "SC_STAMPS": self.folder / f"stamps/{role}.jsonl",
            "SC_NET": self.folder / "net.json",
            "SC_APP_PORT": ports["app"],
            "SC_PROBE_PORT": ports["probe"],
            "SC_PROXY_PORT": ports["proxy"],
            "SC_MESH_PORT": ports["mesh"],
            "SC_CONTROL_PORT": ports["control"],
            "PEER_SERVICE_HOST": "127.0.0.1",
            "PEER_SERVICE_PORT": ports["peer"],
            **env,
        }
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", FIXTURES / "app" / f"{program}.py"],
            env={name: str(value) for name, value in settings.items()},
        )
        self.running.append(child)
        return child

    def stamps(self, role: str, event: str = "", **fields: object) -> list[Json]:
        path = self.folder / f"stamps/{role}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            stamp
            for stamp in map(json.loads, lines)
            if event in ("", stamp["event"])
            and all(stamp.get(name) == value for name, value in fields.items())
        ]

    def wait_for(self, role: str, event: str, count: int = 1, **fields: object) -> list[Json]:
        return until(
            lambda: [*found] if len(found := self.stamps(role, event, **fields)) >= count else None
        )

    def end(self, child: subprocess.Popen) -> int:
        child.send_signal(signal.SIGTERM)
        return child.wait(20)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def until(look: Callable[[], object], seconds: float = 60):
    waiting = retry(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.02),
        retry=retry_if_result(lambda value: not value),
    )
    return waiting(look)()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    made = Programs(tmp_path)
    yield made
    for child in made.running:
        child.kill()
        child.wait()


def serve(port: int, behaviours: list[Callable[[socket.socket, bytes], None]]) -> None:
    """A scripted server: the n-th connection gets the n-th behaviour, later ones the last."""
    listener = socket.create_server(("127.0.0.1", port), backlog=32)

    def handle(connection: socket.socket, behave: Callable) -> None:
        with connection:
            behave(connection, connection.recv(65536))

    def accept() -> None:
        for number in range(1000):
            connection, _ = listener.accept()
            behave = behaviours[min(number, len(behaviours) - 1)]
            threading.Thread(target=handle, args=(connection, behave), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def answers(status: str, body: str = "", length: int | None = None) -> Callable:
    def behave(connection: socket.socket, request: bytes) -> None:
        said = body or request.decode().split("\r\n")[0].split(" ")[1].rpartition("/")[2]
        size = len(said) if length is None else length
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n{said}".encode())

    return behave


def resets(connection: socket.socket, _: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_the_first_request_comes_before_the_server_listens(programs: Programs) -> None:
    programs.start(
        "peer", "peer", SC_APP_PORT=programs.ports["peer"], SC_PROBE_PORT=free_ports(1)[0]
    )
    programs.wait_for("peer", "app.listening", 2)
    programs.start("subject", "subject")
    programs.wait_for("subject", "app.listening", 2)

    events = [stamp["event"] for stamp in programs.stamps("subject")]
    assert events[:4] == ["app.started", "request.begin", "request.connected", "request.end"]
    (first,) = programs.stamps("subject", "request.end", kind="first")
    assert first["outcome"] == "ok"
    assert first["token"] == f"cny.{NONCE}.first.subject.000000"


def test_requests_keep_their_cadence_while_slow_ones_hang(programs: Programs) -> None:
    # A peer that takes connections and never answers: each request hangs for its 2 s.
    serve(programs.ports["peer"], [answers("200 OK"), lambda *_: time.sleep(30)])
    programs.start("subject", "subject")

    begun = programs.wait_for("subject", "request.begin", 21, kind="steady")[:21]
    # 20 periods of 100 ms; a busy machine may miss some. One after the other they would take 40 s.
    assert 1.9 < (begun[-1]["ns"] - begun[0]["ns"]) / 1e9 < 4


def test_sigterm_starts_the_drain_and_lets_what_is_in_flight_end(programs: Programs) -> None:
    serve(programs.ports["peer"], [answers("200 OK")])
    subject = programs.start("subject", "subject", SC_DRAIN_SECONDS=0.5)
    programs.wait_for("subject", "app.listening", 2)
    token = f"cny.{NONCE}.inflight.peer.000000"
    url = f"http://127.0.0.1:{programs.ports['app']}/slow/1.5/{token}"
    answer: list[bytes] = []
    thread = threading.Thread(target=lambda: answer.append(urllib.request.urlopen(url).read()))
    thread.start()
    programs.wait_for("subject", "served", token=token, phase="begin")

    assert programs.end(subject) == 0
    thread.join(5)
    assert answer == [f"{token}\n".encode()]
    (sigterm,) = programs.stamps("subject", "app.sigterm")
    (served,) = programs.stamps("subject", "served", token=token, phase="end")
    drain = programs.stamps("subject", "request.begin", kind="drain")
    steady = programs.stamps("subject", "request.begin", kind="steady")
    assert 2 <= len(drain) <= 5
    assert steady[-1]["ns"] < sigterm["ns"] < drain[0]["ns"] < served["ns"]
    last = programs.stamps("subject")[-1]
    assert last["event"] == "app.last"
    assert last["ns"] > served["ns"]


def test_every_way_to_fail_has_its_outcome(programs: Programs) -> None:
    serve(
        programs.ports["peer"],
        [
            answers("200 OK"),
            lambda *_: None,
            resets,
            answers("503 Service Unavailable", "upstream connect error"),
            answers("200 OK", "somebody else's answer"),
            answers("200 OK", length=100),
            lambda *_: time.sleep(30),
            answers("200 OK"),
        ],
    )
    assert programs.start("job", "subject").wait(15) == 0
    ended = sorted(programs.stamps("subject", "request.end"), key=lambda stamp: stamp["token"])
    outcomes = [(stamp["outcome"], stamp["detail"]) for stamp in ended]
    assert outcomes[0] == ("ok", "200")  # kind "first" sorts before kind "job"
    assert outcomes[1:8] == [
        ("closed", "no answer"),
        ("reset", "ECONNRESET"),
        ("wrong", "503 upstream connect error"),
        ("wrong", "200 without the token"),
        ("closed", "answer cut short"),
        ("timeout", ""),
        ("ok", "200"),
    ]


def test_a_job_exits_with_0_though_nobody_answers(programs: Programs) -> None:
    assert programs.start("job", "subject").wait(15) == 0
    outcomes = {stamp["outcome"] for stamp in programs.stamps("subject", "request.end")}
    assert outcomes == {"refused"}
    assert programs.stamps("subject")[-1]["event"] == "app.last"


def test_the_fallback_goes_direct_only_when_the_proxy_refuses(programs: Programs) -> None:
    serve(programs.ports["peer"], [answers("200 OK")])
    subject = programs.start("subject", "subject", SC_EGRESS="proxy-fallback", SC_DRAIN_SECONDS=0)
    programs.wait_for("subject", "request.end", kind="steady", outcome="ok", via="direct")
    seen: list[bytes] = []

    def refuse(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        answers("503 Service Unavailable", "no")(connection, request)

    serve(programs.ports["proxy"], [refuse])
    programs.wait_for("subject", "request.end", kind="steady", outcome="wrong", via="proxy")
    assert programs.end(subject) == 0
    target = f"http://127.0.0.1:{programs.ports['peer']}/echo/cny.".encode()
    assert seen[0].startswith(b"POST " + target)
    begun = programs.stamps("subject", "request.begin")
    assert {stamp["via"] for stamp in begun} == {"proxy"}


def test_a_stream_comes_in_chunks_and_whole(programs: Programs) -> None:
    programs.start("subject", "subject")
    programs.wait_for("subject", "app.listening", 2)
    token = f"cny.{NONCE}.stream.peer.000000"
    url = f"http://127.0.0.1:{programs.ports['app']}/stream/0.5/{token}"
    lines = urllib.request.urlopen(url).read().decode().splitlines()
    assert lines == [f"{token} chunk 0", f"{token} chunk 1", f"{token} end"]


def test_the_control_reaches_the_witness_past_the_proxy(programs: Programs) -> None:
    ports = programs.ports
    programs.start("witness", "witness")
    programs.wait_for("witness", "app.listening", 2)
    programs.start(
        "subject",
        "subject",
        SC_EGRESS="proxy-fallback",
        WITNESS_SERVICE_HOST="127.0.0.1",
        WITNESS_SERVICE_PORT_MESH=ports["mesh"],
        WITNESS_SERVICE_PORT_CONTROL=ports["control"],
    )
    programs.wait_for("subject", "app.listening", 2)
    token = f"cny.{NONCE}.control.subject.000000"
    said = urllib.request.urlopen(f"http://127.0.0.1:{ports['probe']}/control").read().decode()
    assert said == f"{token} ok\n"
    (seen,) = programs.stamps("witness", "witness.connection", port=ports["control"])
    assert token.encode() in bytes.fromhex(seen["first_bytes"])
    (end,) = programs.wait_for("subject", "control.end")
    assert end["outcome"] == "ok"
    # The mesh port hangs up on everybody.
    assert programs.wait_for("subject", "request.end", kind="mesh-witness", outcome="closed")


def test_datagrams_and_names_are_recorded_beside_the_requests(programs: Programs) -> None:
    (port,) = free_ports(1)
    programs.start("witness", "witness", SC_DATAGRAM_PORT=port)
    programs.wait_for("witness", "app.listening", 3)
    programs.start(
        "subject", "subject", WITNESS_SERVICE_HOST="127.0.0.1", WITNESS_SERVICE_PORT_DATAGRAM=port
    )
    (end, *_) = programs.wait_for("subject", "datagram.end", sent=True, outcome="ok")
    (begin,) = programs.stamps("subject", "datagram.begin", token=end["token"])
    assert begin["target"] == f"127.0.0.1:{port}"
    (seen,) = [
        one
        for one in programs.stamps("witness", "witness.datagram")
        if end["token"].encode() in bytes.fromhex(one["first_bytes"])
    ]
    assert seen["remote"] == end["local"]
    names = programs.wait_for("subject", "lookup.begin", 2)
    assert {one["name"] for one in names[:2]} == {"peer", "witness"}
    assert programs.stamps("subject", "request.begin", kind="first")


def test_nothing_is_sent_by_datagram_where_nobody_takes_them(programs: Programs) -> None:
    programs.start("subject", "subject")
    programs.wait_for("subject", "request.end", 3, kind="steady")
    events = {one["event"] for one in programs.stamps("subject")}
    assert not {"datagram.begin", "lookup.begin"} & events


def test_a_datagram_that_nobody_takes_was_sent_and_is_refused(programs: Programs) -> None:
    (port,) = free_ports(1)
    programs.start(
        "subject", "subject", WITNESS_SERVICE_HOST="127.0.0.1", WITNESS_SERVICE_PORT_DATAGRAM=port
    )
    (end, *_) = programs.wait_for("subject", "datagram.end")
    assert (end["sent"], end["outcome"], end["detail"]) == (True, "refused", "ECONNREFUSED")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_the_app_asks_by_each_family_that_has_a_service(programs: Programs) -> None:
    programs.start(
        "peer", "peer", SC_APP_PORT=programs.ports["peer"], SC_PROBE_PORT=free_ports(1)[0]
    )
    programs.start("witness", "witness")
    programs.wait_for("witness", "app.listening", 2)
    programs.start(
        "subject",
        "subject",
        PEER_SIX_SERVICE_HOST="::1",
        PEER_SIX_SERVICE_PORT=programs.ports["peer"],
        WITNESS_SIX_SERVICE_HOST="::1",
        WITNESS_SIX_SERVICE_PORT_MESH=programs.ports["mesh"],
    )
    for host in ("127.0.0.1", "[::1]"):
        target = f"{host}:{programs.ports['peer']}"
        (begun, *_) = programs.wait_for("subject", "request.begin", kind="steady", target=target)
        (end,) = programs.wait_for("subject", "request.end", token=begun["token"])
        assert end["outcome"] == "ok"
        (served,) = programs.wait_for("peer", "served", token=begun["token"], phase="end")
        assert served["remote"].startswith(f"{host}:")
    (seen, *_) = programs.wait_for("witness", "witness.connection", port=programs.ports["mesh"])
    assert seen["remote"].startswith("[::1]:")


def test_the_visitor_goes_on_after_its_sigterm_for_a_set_time(programs: Programs) -> None:
    serve(programs.ports["peer"], [answers("200 OK")])
    visitor = programs.start("visitor", "visitor", SC_STAYS_SECONDS=1)
    programs.wait_for("visitor", "request.end", 5, kind="visit", outcome="ok")
    assert programs.end(visitor) == 0
    (told,) = programs.stamps("visitor", "app.sigterm")
    later = [one for one in programs.stamps("visitor", "request.begin") if one["ns"] > told["ns"]]
    assert len(later) >= 5
    assert later[0]["token"].startswith(f"cny.{NONCE}.visit.visitor.")
    assert 0.5 < (later[-1]["ns"] - told["ns"]) / 1e9 < 3
    assert programs.stamps("visitor")[-1]["event"] == "app.last"


def test_the_dialer_waits_for_the_address_and_then_never_stops(programs: Programs) -> None:
    programs.start("subject", "subject")
    programs.wait_for("subject", "app.listening", 2)
    dialer = programs.start("dialer", "dialer")
    programs.wait_for("dialer", "app.started")
    assert not programs.stamps("dialer", "request.begin")
    (programs.folder / "net.json").write_text('{"ips": ["127.0.0.1"], "sandbox": "x"}')

    dials = programs.wait_for("dialer", "request.begin", 51, kind="dial")[:51]
    # 50 periods of 20 ms; a busy machine may miss some.
    assert 0.9 < (dials[-1]["ns"] - dials[0]["ns"]) / 1e9 < 3
    programs.wait_for("dialer", "request.end", kind="dial", outcome="ok")
    programs.wait_for("dialer", "request.end", kind="dial-probe", outcome="ok")
    # The app speaks no TLS: it waits for the rest of what it takes for a request.
    programs.wait_for("dialer", "request.end", kind="dial-tls", outcome="timeout")
    assert programs.end(dialer) == 0


def test_stamps_hold_both_clocks(programs: Programs) -> None:
    before = time.time_ns(), time.monotonic_ns()
    programs.start("witness", "witness")
    (started,) = programs.wait_for("witness", "app.started")
    assert before < (started["ns"], started["mono_ns"])
    assert started["mono_ns"] - before[1] == pytest.approx(started["ns"] - before[0], abs=10**7)
    assert os.stat(programs.folder / "stamps/witness.jsonl").st_mode & 0o777 == 0o644  # noqa: PTH116
