"""Reading a bundle: its lines, its index, and what is said of what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.evidence import parse as records
from conformance.evidence.attempts import attempts, served
from conformance.evidence.bundle import Bundle
from conformance.evidence.index import endpoint, shortest
from conformance.evidence.unjudgeable import Unjudgeable
from tests.forge import bundle as forge
from tests.worlds import lifecycle


def test_a_line_of_ctr_events() -> None:
    line = (
        "2026-11-22 17:45:01.1234567 +0000 UTC k8s.io /tasks/exit "
        '{"container_id":"abc","id":"abc","pid":1,"exited_at":{"seconds":1795369501,"nanos":5}}\n'
    )
    event = records.read_runtime(3, line)
    assert event is not None
    assert (event.number, event.topic, event.container_id) == (3, "/tasks/exit", "abc")
    assert event.ns == 1795369501123456700
    assert event.status == 0
    assert event.exited_ns == 1795369501000000005


def test_an_execs_exit_has_an_id_of_its_own() -> None:
    line = (
        "2026-11-22 17:45:01 +0000 UTC k8s.io /tasks/exit "
        '{"container_id":"abc","id":"probe","pid":1,"exit_status":1}'
    )
    event = records.read_runtime(1, line)
    assert event is not None
    assert (event.container_id, event.process_id, event.status) == ("abc", "probe", 1)
    assert event.ns == 1795369501000000000


@pytest.mark.parametrize("line", ["", "garbage", "2026-11-22 17:45:01 +0000 UTC k8s.io /x"])
def test_other_lines_are_no_events(line: str) -> None:
    with pytest.raises(ValueError, match="not a line of ctr events"):
        records.read_runtime(1, line)


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_stop_line_of_containerds_journal(as_bytes: bool) -> None:
    said = (
        'time="2026-11-22T17:45:01.123456789Z" level=info '
        'msg="Stop container \\"0abc\\" with signal terminated"'
    )
    message = list(said.encode()) if as_bytes else said
    line = records.read_stop(2, json.dumps({"MESSAGE": message}))
    assert line == records.StopLine(2, 1795369501123456789, "0abc", "terminated")


def test_other_journal_lines_are_no_stop() -> None:
    assert records.read_stop(1, json.dumps({"MESSAGE": "StopContainer for x"})) is None
    assert records.read_stop(1, json.dumps({"MESSAGE": "Stop container without time"})) is None


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01T01:00:00.5+01:00", 500_000_000),
        ("2026-11-22T17:45:01.000000001Z", 1795369501000000001),
    ],
)
def test_times(text: str, ns: int) -> None:
    assert records.rfc3339_ns(text) == ns


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("10.0.0.1/24", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fd00:0:0::7]", "fd00::7"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("name", "name"),
    ],
)
def test_addresses_are_compared_in_their_shortest_form(given: str, wanted: str) -> None:
    assert shortest(given) == wanted


def test_endpoints() -> None:
    assert endpoint("10.0.0.1:80") == ("10.0.0.1", 80)
    assert endpoint("[fd00::7]:80") == ("fd00::7", 80)


def test_a_half_line_at_the_end_is_left_out(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    folder = world.write(tmp_path / "bundle")
    (folder / "cell.json").write_text(json.dumps(world.index | {"files": {}}))
    before = len(list(Bundle.open(folder).steps()))
    with (folder / "steps.jsonl").open("a") as out:
        out.write('{"ns": 5, "st')
    assert len(list(Bundle.open(folder).steps())) == before


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    folder = world.write(tmp_path / "bundle")
    (folder / "cell.json").write_text(json.dumps(world.index | {"files": {}}))
    path = folder / "steps.jsonl"
    whole = len(path.read_text().splitlines())
    path.write_text("{half\n" + path.read_text())
    bundle = Bundle.open(folder)
    assert len(list(bundle.steps())) == whole  # the others stand
    assert bundle.unread["steps.jsonl", 1].startswith("steps.jsonl:1 cannot be read: ")


def test_a_missing_file_is_named_with_what_the_index_knows(tmp_path: Path) -> None:
    folder = lifecycle.lifecycle().write(tmp_path / "bundle")
    (folder / "runtime.log").unlink()
    with pytest.raises(Unjudgeable, match=r"runtime\.log is missing \(cell\.json knows it"):
        list(Bundle.open(folder).runtime())


def test_a_shortened_file_is_noticed(tmp_path: Path) -> None:
    folder = lifecycle.lifecycle().write(tmp_path / "bundle")
    path = folder / "runtime.log"
    path.write_text(path.read_text()[:-5])
    with pytest.raises(Unjudgeable, match="was changed after the bundle was closed"):
        list(Bundle.open(folder).runtime())


def test_what_was_written_after_the_end_is_no_part_of_it(tmp_path: Path) -> None:
    folder = lifecycle.lifecycle().write(tmp_path / "bundle")
    before = len(list(Bundle.open(folder).stamps("dialer", "dialer")))
    with (folder / "stamps/dialer.dialer.jsonl").open("a") as out:
        out.write('{"ns": 1, "event": "late"}\n')
    assert len(list(Bundle.open(folder).stamps("dialer", "dialer"))) == before


def test_a_capture_that_grew_after_the_end_is_noticed(tmp_path: Path) -> None:
    folder = lifecycle.lifecycle().write(tmp_path / "bundle")
    with (folder / "capture/subject/eth0.pcap").open("ab") as out:
        out.write(b"more")
    with pytest.raises(Unjudgeable, match="when the bundle was closed"):
        Bundle.open(folder).path("capture/subject/eth0.pcap")


def test_attempts_are_joined_and_restarts_are_told_apart(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    world.stamps["x.app"] = []
    world.stamp(1, "x.app", "request.begin", token="t", kind="k", target="a:1", via="proxy")
    world.stamp(2, "x.app", "request.begin", token="t", kind="k", target="a:1", via="proxy")
    world.stamp(2.1, "x.app", "request.connected", token="t", local="l:1", remote="", via="proxy")
    world.stamp(2.2, "x.app", "request.connected", token="t", local="l:2", remote="", via="direct")
    world.stamp(3, "x.app", "request.end", token="t", kind="k", outcome="ok", via="direct")
    world.stamp(4, "x.app", "request.end", token="never begun", kind="k", outcome="ok")
    found = list(attempts(Bundle.open(world.write(tmp_path / "bundle")), "x", "app"))
    assert [(one.outcome, one.line, one.local) for one in found] == [
        ("unended", 1, ""),
        ("ok", 5, "l:2"),
    ]
    assert found[1].bypassed
    assert found[1].connected_ns == forge.ns(2.2)


def test_what_was_served_with_an_error_has_no_end(tmp_path: Path) -> None:
    world = lifecycle.lifecycle()
    its = forge.token("inflight", 1, "peer")
    for phase, error in (("begin", None), ("end", "broken pipe")):
        world.stamp(
            1, "y.app", "served", token=its, phase=phase, **({"error": error} if error else {})
        )
    found = served(Bundle.open(world.write(tmp_path / "bundle")), "y", "app", ("inflight",))
    assert found[its].end is None
