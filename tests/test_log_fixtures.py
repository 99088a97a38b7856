"""The writer and the sink of the log shippers, run for real on the loopback."""

from __future__ import annotations

import gzip
import http.client
import json
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest
from test_fixture_app import NONCE, Programs, programs, until  # noqa: F401


def lines(*numbers: int, role: str = "subject", nonce: str = NONCE) -> bytes:
    """Lines as a shipper may send them: in JSON, between other things."""
    dots = "." * 40
    texts = [f"x info line.{nonce}.{role}.{one:08d} {dots} end" for one in numbers]
    return json.dumps([{"log": text, "time": 1} for text in texts]).encode()


def post(programs: Programs, body: bytes, *, packed: bool = False, timeout: float = 5) -> int:  # noqa: F811
    sender = http.client.HTTPConnection("127.0.0.1", programs.ports["app"], timeout=timeout)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    sender.request("POST", "/v1/logs", gzip.compress(body) if packed else body, headers)
    return sender.getresponse().status


def tell(programs: Programs, what: str) -> dict:  # noqa: F811
    door = http.client.HTTPConnection("127.0.0.1", programs.ports["probe"], timeout=5)
    door.request("GET", f"/{what}")
    return json.loads(door.getresponse().read())


@pytest.fixture
def sink(programs: Programs) -> Programs:  # noqa: F811
    programs.start("sink", "sink")
    programs.wait_for("sink", "sink.listening")
    return programs


def writer(programs: Programs, **env: object):  # noqa: F811
    return programs.start("writer", "subject", SC_LOG=programs.folder / "app.log", **env)


def held(programs: Programs) -> list[list[list[int]]]:  # noqa: F811
    return [one["runs"].get("subject") for one in programs.stamps("sink", "sink.received")]


def test_the_sink_keeps_whole_lines_of_this_cell_as_runs(sink: Programs) -> None:
    cut_off = lines(9).replace(b" end", b"")
    assert post(sink, lines(0, 1, 2, 5, 4) + lines(7, nonce="f" * 12) + cut_off) == 200
    assert post(sink, lines(2, 3), packed=True) == 200
    assert held(sink) == [[[0, 2], [5, 5], [4, 4]], [[2, 3]]]
    assert [one["new"] for one in sink.stamps("sink", "sink.received")] == [5, 1]
    assert tell(sink, "state")["held"] == {"subject": 6}
    assert sink.wait_for("sink", "sink.asked")[0]["active"] == 0


def test_a_sink_that_refuses_holds_nothing(sink: Programs) -> None:
    tell(sink, "refuse")
    assert post(sink, lines(0)) == 503
    assert [one["runs"] for one in sink.stamps("sink", "sink.refused")] == [{"subject": [[0, 0]]}]
    tell(sink, "open")
    assert post(sink, lines(0)) == 200
    assert held(sink) == [[[0, 0]]]


def test_a_slow_sink_forgets_a_client_that_goes(sink: Programs) -> None:
    tell(sink, "takes/0.4")
    assert post(sink, lines(0)) == 200
    with pytest.raises(TimeoutError):
        post(sink, lines(1), timeout=0.1)
    sink.wait_for("sink", "sink.dropped")
    assert held(sink) == [[[0, 0]]]


def test_a_closed_sink_does_not_listen_until_told(programs: Programs) -> None:  # noqa: F811
    child = programs.start("sink", "sink", SC_SINK="closed")
    programs.wait_for("sink", "sink.up")
    with pytest.raises(ConnectionRefusedError):
        post(programs, lines(0))
    tell(programs, "open")
    assert post(programs, lines(0)) == 200
    assert programs.end(child) == 0
    assert programs.stamps("sink", "sink.last")[0]["held"] == {"subject": 1}


def test_the_writer_records_every_line_that_it_wrote(programs: Programs) -> None:  # noqa: F811
    child = writer(programs, SC_RATE=10_000, SC_DRAIN_SECONDS=0.5)
    programs.wait_for("subject", "lines", count=5)
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    batches = programs.stamps("subject", "lines")
    assert batches[0]["first"] == batches[0]["last"] == 0
    assert all(a["last"] + 1 == b["first"] for a, b in pairwise(batches))
    told = programs.stamps("subject", "app.sigterm")[0]
    last = programs.stamps("subject", "app.last")[0]
    assert last["lines"] == batches[-1]["last"] + 1
    text = (programs.folder / "app.log").read_text().splitlines()
    assert len(text) == last["lines"] and f"subject.{last['lines'] - 1:08d}" in text[-1]
    seconds = (batches[-1]["ns"] - batches[0]["ns"]) / 1e9
    assert last["lines"] / seconds == pytest.approx(10_000, rel=0.2)
    assert 0.5 <= (last["ns"] - told["ns"]) / 1e9 < 1.5


def test_a_job_ends_by_itself(programs: Programs) -> None:  # noqa: F811
    began = time.monotonic()
    assert writer(programs, SC_RATE=20, SC_WORK_SECONDS=0.5).wait(10) == 0
    assert time.monotonic() - began >= 0.5
    assert 10 <= programs.stamps("subject", "app.last")[0]["lines"] <= 20


def test_what_is_written_is_what_the_sink_knows(sink: Programs) -> None:
    writer(sink, SC_RATE=1000, SC_WORK_SECONDS=0.3).wait(10)
    text = Path(sink.folder / "app.log").read_bytes()
    assert post(sink, text) == 200
    assert held(sink) == [[[0, sink.stamps("subject", "app.last")[0]["lines"] - 1]]]
    until(lambda: sink.stamps("sink", "sink.up"))
