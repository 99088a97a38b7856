"""A cell told to people: its picture, its page, and its story in the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.model import Cell
from conformance.plan.cells import Item
from conformance.report import document, html, picture, story
from conformance.verdicts import store as verdicts
from tests.forge.bundle import World, token
from tests.worlds import crash, lifecycle, logs, mesh
from tests.worlds import leaks as leak_worlds

LEAKED = 12.0  # seconds into the forged world: while the app drains


@pytest.fixture
def leaking() -> World:
    world = lifecycle.lifecycle("native")
    world.leak(LEAKED, token("drain", 999))
    return world


def report(world: World, results: Path) -> dict[str, Any]:
    """The report of a run with this one cell and verdict."""
    folder = world.write(results / "evidence" / "1.33" / "cell")
    cell = Cell("1.33", "envoy", "native", "init-rules", "lifecycle")
    item = Item(cell, "stop.no-plaintext")
    found = verdicts.hold(item, judge(item.behaviour, Bundle.open(folder)))
    verdicts.keep(results, found, folder)
    run = {
        "id": "r", "started": "2026-01-01T00:00:00Z", "duration_seconds": 1.0,
        "exit_code": 1, "exit_meaning": "a promise was broken",
    }  # fmt: skip
    return document.document(results, document.collect(results, [item]), run=run)


def test_a_leak_is_seen_in_the_picture_at_its_time(leaking: World, tmp_path: Path) -> None:
    made = report(leaking, tmp_path)
    drawn = picture.draw(tmp_path / made["cells"][0]["bundle"], made["cells"])
    assert drawn is not None
    lanes = {lane.name: lane for lane in drawn.lanes}
    leaks = [mark for mark in lanes["in clear"].marks if mark.kind == "leak"]
    shutdown = next(mark for mark in lanes["windows"].marks if mark.kind == "shutdown")
    assert leaks and all(shutdown.x <= mark.x <= shutdown.x + shutdown.width for mark in leaks)


def test_a_world_without_a_leak_has_no_such_lane(tmp_path: Path) -> None:
    made = report(lifecycle.lifecycle("native"), tmp_path)
    drawn = picture.draw(tmp_path / made["cells"][0]["bundle"], made["cells"])
    assert drawn is not None and "in clear" not in {lane.name for lane in drawn.lanes}


def test_log_lines_are_seen_where_they_were_written_and_where_they_came(tmp_path: Path) -> None:
    drawn = picture.draw(logs.logs("classic").write(tmp_path / "cell"), [])
    assert drawn is not None
    lanes = {lane.name: lane for lane in drawn.lanes}
    (wrote,), (got,) = lanes["app writes"].marks, lanes["sink gets"].marks
    assert wrote.x < got.x and got.x + got.width < wrote.x + wrote.width  # the last lines are lost


def test_kept_connections_are_seen_to_their_end(tmp_path: Path) -> None:
    for pattern, kind in (("native", "request ok"), ("classic", "request reset")):
        drawn = picture.draw(mesh.keepalive(pattern).write(tmp_path / pattern), [])
        assert drawn is not None
        lanes = {lane.name: lane for lane in drawn.lanes}
        for name in ("app keeps", "peer keeps"):
            assert [mark.kind for mark in lanes[name].marks] == [kind] * 3


def test_an_ephemeral_container_is_seen_to_outlive_the_proxy(tmp_path: Path) -> None:
    drawn = picture.draw(leak_worlds.ephemeral("classic").write(tmp_path / "cell"), [])
    assert drawn is not None
    lanes = {lane.name: lane for lane in drawn.lanes}
    (proxy,) = [one for one in lanes["envoy"].marks if one.kind == "life"]
    life, told = lanes["visitor"].marks
    assert (life.kind, told.kind) == ("life", "signal")
    assert life.x + life.width > proxy.x + proxy.width
    last = lanes["visitor sends"].marks[-1]
    assert last.kind == "request refused" and last.x > proxy.x + proxy.width


def test_requests_too_close_to_be_told_apart_are_one_mark_and_no_other_hides_in_it() -> None:
    def mark(x: float, width: float, kind: str) -> picture.Mark:
        return picture.Mark(x, width, kind, f"at {x}")

    crowd = [mark(10 + n / 10, 0.05, "request ok") for n in range(50)]
    lone, long, refused = (
        mark(20, 0.05, "request ok"),
        mark(11, 3, "request ok"),
        mark(12, 0.05, "request refused"),
    )
    one, *others = picture._merged([*crowd, lone, long, refused])
    assert one.x == 10 and one.width == pytest.approx(4.95)
    assert one.title == "50 together: at 10.0 … at 14.9"
    assert others == [long, refused, lone]


def test_an_outage_is_a_window(tmp_path: Path) -> None:
    drawn = picture.draw(mesh.outage().write(tmp_path / "cell"), [])
    assert drawn is not None
    titles = [mark.title for lane in drawn.lanes if lane.name == "windows" for mark in lane.marks]
    assert any(title.startswith("no control plane") for title in titles)


def test_the_page_shows_the_verdict_and_escapes_what_it_quotes(
    leaking: World, tmp_path: Path
) -> None:
    made = report(leaking, tmp_path)
    made["cells"][0]["reason"] = "<script>alert(1)</script>"
    page = html.write(tmp_path, made).read_text()
    assert "stop.no-plaintext" in page and "<svg" in page
    assert "<script>" not in page


def test_what_a_sidecar_says_of_itself_is_told_once_for_all_versions(
    leaking: World, tmp_path: Path
) -> None:
    made = report(leaking, tmp_path)
    told = {"server": "v1", "runtime": "r", "kernel": "k", "nodes": {}, "kubelet": "v1"}
    made["run"]["clusters"] = {
        name: {"state": "ready", "versions": {**told, "sidecars": {"envoy": {"envoy": version}}}}
        for name, version in (("1.29", "1.40.0"), ("1.33", "1.40.0"), ("1.37", "1.41.0"))
    } | {"1.30": {"state": "unobtainable", "reason": "no image", "versions": None}}
    page = html.write(tmp_path, made).read_text()
    assert "<b>envoy</b> on 1.29, 1.33: envoy 1.40.0" in page
    assert "<b>envoy</b> on 1.37: envoy 1.41.0" in page
    assert page.count("envoy 1.40.0") == 1


def test_a_failure_is_told_with_its_timeline_and_its_packet(leaking: World, tmp_path: Path) -> None:
    made = report(leaking, tmp_path)
    assert made["cells"][0]["verdict"] == "fail"
    console = Console(width=200, file=io.StringIO())
    console.print(story.tell(tmp_path, made["cells"][0]))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "app.sigterm" in said and "delete.accepted" in said
    assert token("drain", 999) in said  # in the packet's own bytes
    assert json.loads(json.dumps(made)) == made


def test_each_crash_and_each_life_of_the_sidecar_is_drawn(tmp_path: Path) -> None:
    folder = crash.crash().write(tmp_path / "bundle")
    drawn = picture.draw(folder, ())
    assert drawn is not None
    lanes = {lane.name: lane.marks for lane in drawn.lanes}
    assert [mark.title.split(" · ")[0] for mark in lanes["sidecar away"]] == [
        "crash", "proxy crash",
    ]  # fmt: skip
    assert [mark.kind for mark in lanes["envoy"] if mark.width] == ["cut"] * 3
