"""Verdicts of several runs counted: each bundle once, what differs told, nothing excused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conformance import soak
from tests.forge.bundle import World, token
from tests.report.made import report
from tests.worlds import lifecycle as worlds

BEHAVIOURS = "start.order stop.order"


def run(folder: Path, world: World) -> Path:
    report(folder, (world, "native", BEHAVIOURS))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs of the same cell, alike."""
    for name in ("one", "two"):
        run(tmp_path / name, worlds.lifecycle("native"))
    return tmp_path


def test_verdicts_that_are_alike_are_counted_and_each_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "latest").symlink_to(folder / "one")
    assert soak.main(["0", str(folder), str(folder / "two")]) == 0
    said = capsys.readouterr().err
    assert "4 verdicts on 2 bundles: 4 pass" in said and "0 unstable" in said


def test_a_cell_that_was_judged_in_two_ways_is_told_with_both_reasons(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = worlds.lifecycle("native")
    world.journal = []
    run(folder / "three", world)
    found = soak.count([folder])
    assert found.exit_code == 5 and found.counts["pass"] == 5 and found.counts["inconclusive"] == 1
    ((name, its),) = found.unstable.items()
    assert name.endswith(" stop.order") and len(its) == 3
    told = list(soak.lines(found))
    assert f"unstable: {name}: 2 pass, 1 inconclusive" in told
    assert [line for line in told if line.startswith("  inconclusive in three: ")]
    del capsys


def test_a_failure_is_told_and_gives_the_exit_code(folder: Path) -> None:
    world = worlds.lifecycle("native")
    world.leak(12.0, token("drain", 999))
    report(folder / "three", (world, "native", "stop.no-plaintext"))
    found = soak.count([folder])
    assert found.exit_code == 1
    assert [one for one in soak.lines(found) if one.startswith("fail: ") and " in three: " in one]


def test_what_cannot_be_judged_is_said_and_is_no_success(folder: Path) -> None:
    (file,) = (folder / "one" / "verdicts").glob("*/*/stop.order.json")
    file.write_text("{")
    found = soak.count([folder])
    assert found.exit_code == 5 and len(found.ones) == 2
    assert [one for one in soak.lines(found) if one.startswith("not judged: ")]


def test_wrong_use_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["0", str(tmp_path)]) == 2 and soak.main(["often"]) == 2
    assert soak.main([]) == 2
    said = capsys.readouterr().err
    assert "no finished run" in said and said.count("make soak N=3") == 2
    shutil.rmtree(tmp_path)
