"""A cell's trace: what is in its lanes, and where."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from conformance.report.trace import perfetto
from conformance.report.trace.build import build
from conformance.report.trace.model import Lane, Mark, Trace
from tests.forge.bundle import World, ns, token
from tests.report.made import report
from tests.worlds import crash as worlds_crash
from tests.worlds import leaks as worlds_leaks
from tests.worlds import lifecycle as worlds
from tests.worlds import logs as worlds_logs
from tests.worlds import mesh as worlds_mesh
from tests.worlds import stop as worlds_stop

LEAKED = 12.0  # seconds into the forged world: while the app drains


@pytest.fixture
def leaking() -> World:
    world = worlds.lifecycle("native")
    world.leak(LEAKED, token("drain", 999))
    return world


def entries(**how: Any) -> list[dict[str, Any]]:
    base = {"pattern": "native", "bundle": "b", "behaviour": "stop.order", "verdict": "pass",
            "observed": "holds", "hazard": "", "evidence": []}  # fmt: skip
    return [base | how]


def traced(world: World, folder: Path) -> dict[str, Lane]:
    return {lane.name: lane for lane in build(world.write(folder), entries(), "id").lanes}


def of(made: dict[str, Any], results: Path) -> Trace:
    return build(results / made["cells"][0]["bundle"], made["cells"], "id")


def test_a_leak_is_marked_at_its_time_and_bracketed_and_dissected(
    leaking: World, tmp_path: Path
) -> None:
    trace = of(report(tmp_path, (leaking, "native", "stop.no-plaintext")), tmp_path)
    (clear,) = [lane for lane in trace.lanes if lane.name == "in clear"]
    shutdown = next(one for one in trace.shades if one.kind == "shutdown")
    assert clear.marks and all(shutdown.begin <= one.begin <= shutdown.end for one in clear.marks)
    (bracket,) = trace.brackets
    assert bracket.verdict == "fail" and ns(LEAKED) <= bracket.begin <= bracket.end
    shown = trace.frames[clear.marks[0].file, clear.marks[0].frame]
    assert any(token("drain", 999) in line for line in (*shown.summary, shown.hexdump)) or (
        "drain" in shown.hexdump.replace("\n", "")
    )
    assert not trace.notes


def test_a_world_without_a_leak_has_no_such_lane(tmp_path: Path) -> None:
    trace = of(
        report(tmp_path, (worlds.lifecycle("native"), "native", "stop.no-plaintext")), tmp_path
    )
    assert "in clear" not in {lane.name for lane in trace.lanes}


def test_a_request_is_joined_by_its_token_on_its_whole_way(tmp_path: Path) -> None:
    lanes = traced(worlds.lifecycle("native"), tmp_path / "cell")
    way = [lanes[name] for name in ("app sends", "proxy out", "peer serves")]
    its = way[0].marks[3].token
    sent, carried, served = (next(mark for mark in lane.marks if mark.token == its) for lane in way)
    assert sent.begin <= carried.begin <= served.begin <= (sent.end or 0)
    assert sent.name.startswith("steady ") and (sent.file, sent.line) != ("", 0)


def test_a_container_shows_its_life_its_signal_and_its_end(tmp_path: Path) -> None:
    lanes = traced(worlds.lifecycle("native"), tmp_path / "cell")
    for name in ("app", "envoy"):
        kinds = [mark.kind for mark in lanes[name].marks]
        assert {"life", "signal", "end", "started"} <= set(kinds), name
    app, envoy = (
        next(mark for mark in lanes[name].marks if mark.kind == "life") for name in ("app", "envoy")
    )
    assert envoy.begin < app.begin and (app.end or 0) < (envoy.end or 0)


def test_the_strip_shows_what_was_watched_and_what_was_not(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    whole = traced(world.copy(), tmp_path / "whole")["watched"]
    assert [mark.kind for mark in whole.marks] == ["watched"]
    world.drop_beacon(50)
    marks = traced(world, tmp_path / "blind")["watched"].marks
    assert [mark.kind for mark in marks] == ["watched", "blind"]


def test_packets_stand_in_classes(tmp_path: Path) -> None:
    lanes = traced(worlds.lifecycle("native"), tmp_path / "cell")
    for name in ("TLS", "an outsider's dials", "probes, from the node", "the deliberate canary"):
        assert lanes[name].group == "packets" and lanes[name].marks[0].frame, name


def test_log_lines_are_seen_where_they_were_written_and_where_they_came(tmp_path: Path) -> None:
    lanes = traced(worlds_logs.logs("classic"), tmp_path / "cell")
    (wrote,), (got,) = lanes["app writes"].marks, lanes["sink gets"].marks
    assert wrote.begin < got.begin and (got.end or 0) < (wrote.end or 0)  # the last lines are lost


def test_kept_connections_are_seen_to_their_end(tmp_path: Path) -> None:
    for pattern, kind in (("native", "request ok"), ("classic", "request reset")):
        lanes = traced(worlds_mesh.keepalive(pattern), tmp_path / pattern)
        for name in ("app keeps", "peer keeps"):
            assert [mark.kind for mark in lanes[name].marks] == [kind] * 3


def test_an_ephemeral_container_is_seen_to_send_after_the_proxy(tmp_path: Path) -> None:
    lanes = traced(worlds_leaks.ephemeral("classic"), tmp_path / "cell")
    proxy = max(mark.end or 0 for mark in lanes["envoy"].marks)
    last = lanes["visitor sends"].marks[-1]
    assert last.kind == "request refused" and last.begin > proxy


def test_each_crash_is_a_window_and_each_life_a_bar(tmp_path: Path) -> None:
    trace = build(worlds_crash.crash().write(tmp_path / "bundle"), entries(), "id")
    away = [one.title for one in trace.shades if one.kind == "away"]
    assert away == ["sidecar away: crash", "sidecar away: proxy crash"]
    lanes = {lane.name: lane.marks for lane in trace.lanes}
    assert len([mark for mark in lanes["envoy"] if mark.end]) == 3


def test_every_pod_under_test_has_its_lanes(tmp_path: Path) -> None:
    lanes = traced(worlds_stop.hooks("native"), tmp_path / "cell")
    assert {"app", "envoy", "quit app", "quit envoy", "asleep app"} <= set(lanes)
    assert any(mark.kind == "hook" for mark in lanes["quit envoy"].marks)


def test_an_outage_is_a_window(tmp_path: Path) -> None:
    trace = build(worlds_mesh.outage().write(tmp_path / "cell"), entries(), "id")
    assert "no control plane" in {one.title for one in trace.shades}


def test_all_logs_stand_in_one_in_order_of_time(tmp_path: Path) -> None:
    trace = build(worlds.lifecycle("native").write(tmp_path / "cell"), entries(), "id")
    sources = {one.source.partition(":")[0] for one in trace.records}
    assert {"steps.jsonl", "runtime.log", "containerd.log", "stamps/subject.app.jsonl"} <= sources
    assert [one.ns for one in trace.records] == sorted(one.ns for one in trace.records)


def test_a_log_line_has_the_time_that_it_begins_with_or_its_journals(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    said = (
        'time="2026-11-22T17:45:01.5Z" level=info msg="x"',
        'runtime="containerd" up',
        "cut off",
    )
    stamp = ns(3) // 1000
    world.extra["kubelet.log"] = "".join(
        json.dumps({"MESSAGE": one, "__REALTIME_TIMESTAMP": str(stamp)}) + "\n" for one in said
    )
    trace = build(world.write(tmp_path / "cell"), entries(), "id")
    found = {one.source: one for one in trace.records if one.source.startswith("kubelet.log")}
    assert found["kubelet.log:1"].ns % 1_000_000_000 == 500_000_000
    assert {found[f"kubelet.log:{line}"].ns for line in (2, 3)} == {stamp * 1000}


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = worlds.lifecycle("native").write(tmp_path / "cell")
    capture = folder / "capture/subject/eth0.pcap"
    capture.write_bytes(capture.read_bytes()[:5000])
    trace = build(folder, entries(), "id")
    assert any("eth0.pcap" in note for note in trace.notes)
    (folder / "cell.json").unlink()
    trace = build(folder, entries(), "id")
    assert any("cell.json" in note for note in trace.notes) and trace.lanes


def test_the_trace_event_file_has_every_mark_once_and_joins_requests(tmp_path: Path) -> None:
    trace = build(worlds.lifecycle("native").write(tmp_path / "cell"), entries(), "id")
    perfetto.write(tmp_path / "x.json.gz", trace)
    events = json.loads(gzip.decompress((tmp_path / "x.json.gz").read_bytes()))["traceEvents"]
    drawn = [one for one in events if one["ph"] in "Xi"]
    marks = sum(len(lane.marks) for lane in trace.lanes)
    assert len(drawn) == marks + len(trace.shades) + len(trace.brackets)
    assert all(one["dur"] > 0 for one in drawn if one["ph"] == "X")
    assert {one["ph"] for one in events if one["name"] == "request"} == {"s", "t", "f"}
    names = {one["args"]["name"] for one in events if one["name"] == "thread_name"}
    assert {"app sends", "proxy out", "verdicts", "windows"} <= names


def test_a_mark_without_a_token_is_named_by_its_title() -> None:
    assert Mark(1, None, "end", "exited with 0").name == "exited with 0"
    assert Mark(1, 2, "ok", "ok", token("drain", 7)).name == "drain 7: ok"
