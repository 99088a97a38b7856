"""report.html, article.html and the cells' pages: what leads where, and how large they get."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from conformance.plan import cells as plan
from conformance.plan.selection import known_k8s, select
from conformance.plan.sidecars import REGISTRY
from conformance.report import story
from conformance.report.decision import answer
from conformance.report.page import cells, html, marks
from conformance.report.trace import page
from tests.forge.bundle import World, token
from tests.report.decision.test_decide import entry
from tests.report.made import RUN, report
from tests.worlds import lifecycle as worlds

Json = dict[str, Any]
ALL = "start.order stop.order stop.no-plaintext stop.app-egress inbound.bypass start.first-request"
CELL = "1.33-envoy-native-init-rules-lifecycle"


@pytest.fixture
def leaking() -> World:
    world = worlds.lifecycle("native")
    world.leak(12.0, token("drain", 999))
    return world


def both(results: Path, native: World) -> Json:
    """A run of a native cell and its classic twin."""
    classic = worlds.lifecycle("classic")
    return report(results, (native, "native", ALL), (classic, "classic", ALL))


def test_a_failure_leads_from_the_decision_to_its_trace(leaking: World, tmp_path: Path) -> None:
    made = both(tmp_path, leaking)
    text = html.write(tmp_path, made).read_text()
    assert text.index("Not safe: ") < text.index('id="broken"') < text.index('id="matrix"')
    assert f'href="cells/{CELL}.html#stop.no-plaintext"' in text
    trace = (tmp_path / f"cells/{CELL}.html").read_text()
    assert 'id="stop.no-plaintext"' in trace and f'href="../report.html#{CELL}' in trace
    assert f"judge evidence/1.33/{CELL.removeprefix('1.33-')}" in trace
    assert "frame.number==" in trace and f"{CELL}.trace.json.gz" in trace
    assert (tmp_path / f"cells/{CELL}.trace.json.gz").is_file()
    assert CELL.replace("native", "classic") in trace  # its twin


def test_a_trace_that_cannot_be_drawn_says_so_and_takes_no_other_page(
    leaking: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> None:
        raise ValueError("'<containerd>' is not an RFC 3339 time")

    monkeypatch.setattr(cells, "build", build)
    made = both(tmp_path, leaking)
    assert html.write(tmp_path, made).is_file() and (tmp_path / "article.html").is_file()
    said = (tmp_path / f"cells/{CELL}.html").read_text()
    assert "could not be drawn" in said and "&lt;containerd&gt;" in said
    assert "ValueError" in (tmp_path / f"cells/{CELL}.error.log").read_text()


def drawn(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_pages_are_the_same_whoever_draws_them(
    leaking: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = both(tmp_path, leaking)
    turn = [one | {"turn": 2} for one in made["cells"]]  # a second task
    cells.draw(tmp_path, [*made["cells"], *turn], tmp_path / "alone")
    monkeypatch.setattr(cells, "_FEW", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    cells.draw(tmp_path, [*made["cells"], *turn], tmp_path / "shared")
    assert len(drawn(tmp_path / "alone")) == 8
    assert drawn(tmp_path / "shared") == drawn(tmp_path / "alone")


def test_what_a_killed_process_left_is_drawn_all_the_same(
    leaking: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = both(tmp_path, leaking)
    turn = [one | {"turn": 2} for one in made["cells"]]
    monkeypatch.setattr(cells, "_FEW", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(cells, "_as_a_drawer", os.abort)
    cells.draw(tmp_path, [*made["cells"], *turn], tmp_path / "cells")
    assert len(drawn(tmp_path / "cells")) == 8


def test_every_link_within_the_pages_has_its_end(leaking: World, tmp_path: Path) -> None:
    html.write(tmp_path, both(tmp_path, leaking))
    pages = {file: file.read_text() for file in tmp_path.rglob("*.html")}
    for file, text in pages.items():
        ids = re.findall(r'\sid="([^"]+)"', text)
        assert len(ids) == len(set(ids)), file
        for link in re.findall(r'href="([^"]+)"', text):
            name, _, fragment = link.partition("#")
            target = (file.parent / name).resolve() if name else file
            assert target.exists(), (file.name, link)
            assert not fragment or f'id="{fragment}"' in pages[target], (file.name, link)


def test_every_verdict_has_its_place_in_the_report(leaking: World, tmp_path: Path) -> None:
    text = html.write(tmp_path, both(tmp_path, leaking)).read_text()
    for behaviour, pattern in itertools.product(ALL.split(), ("native", "classic")):
        assert f'id="{CELL.replace("native", pattern)}.{behaviour}"' in text


def test_what_is_quoted_is_escaped(leaking: World, tmp_path: Path) -> None:
    made = both(tmp_path, leaking)
    for one in made["cells"]:
        one["reason"] = "<script>alert(1)</script>"
        for place in one["evidence"]:
            place["text"] = "</script><script>alert(2)</script>"
    made["decision"] = answer.decided(made)
    html.write(tmp_path, made)
    for file in tmp_path.rglob("*.html"):
        assert "<script>alert" not in file.read_text(), file


def test_a_cell_without_a_bundle_has_no_page_and_no_link(tmp_path: Path) -> None:
    made = both(tmp_path, worlds.lifecycle("native"))
    for one in made["cells"]:
        one |= {"bundle": None, "observed": "not-verified", "verdict": "not-verified"}
    made["decision"] = answer.decided(made)
    text = html.write(tmp_path, made).read_text()
    assert not list((tmp_path / "cells").iterdir()) and 'href="cells/' not in text


def test_what_a_sidecar_says_of_itself_is_told_once_for_all_versions(tmp_path: Path) -> None:
    made = both(tmp_path, worlds.lifecycle("native"))
    told = {"server": "v1", "runtime": "r", "kernel": "k", "nodes": {}, "kubelet": "v1"}
    made["run"]["clusters"] = {
        name: {"state": "ready", "versions": {**told, "sidecars": {"envoy": {"envoy": version}}}}
        for name, version in (("1.29", "1.40.0"), ("1.33", "1.40.0"), ("1.37", "1.41.0"))
    } | {"1.30": {"state": "unobtainable", "reason": "no image", "versions": None}}
    made["decision"] = answer.decided(made)
    text = html.write(tmp_path, made).read_text()
    assert "<th>envoy on 1.29, 1.33</th><td>envoy 1.40.0</td>" in text
    assert "<th>envoy on 1.37</th><td>envoy 1.41.0</td>" in text


def test_a_letter_stands_for_each_verdict() -> None:
    letters = {
        marks.letter(entry("stop.order")): "held",
        marks.letter(entry("stop.order", "broken")): "broken",
        marks.letter(entry("stop.order", "broken", expected="broken")): "known",
        marks.letter(entry("stop.order", "broken", pattern="classic")): "control",
        marks.letter(entry("stop.order", "holds", pattern="classic")): "blind",
        marks.letter(entry("stop.order", "inconclusive")): "open",
        marks.letter(entry("stop.order", "not-verified")): "absent",
        marks.letter(entry("stop.order", "measured")): "measured",
    }
    assert len(letters) == 8 and set(letters) == set(marks.LETTERS)
    control = entry("x", "broken", expected="broken", sidecar="istio", mode="excluded")
    assert marks.letter(control) == "C"


def whole(versions: int, tmp_path: Path) -> int:
    """The size of report.html for every verdict of every sidecar on so many versions."""
    k8s = [one for one in known_k8s() if "-" not in one][-versions:]
    sidecars = [one for one in REGISTRY if one != "linkerd"]  # it is not for all of eight versions
    asked = {"k8s": ",".join(k8s), "sidecar": ",".join(sidecars)}
    reason = "48 of 50 requests were lost, the first 1.959 s after the deletion; " * 3
    cells = [
        entry(
            item.behaviour, "broken" if item.cell.pattern == "classic" else "holds",
            k8s=item.cell.k8s, sidecar=item.cell.sidecar, pattern=item.cell.pattern,
            mode=item.cell.mode, scenario=item.cell.scenario, reason=reason, evidence=[],
            expected_because=reason, bundle=f"evidence/{item.cell.k8s}/{item.cell.slug}",
        )
        for item in plan.items(select(asked))
    ]  # fmt: skip
    run = RUN | {"clusters": {}, "images": {}, "attempts": {"turns": 1}}
    made: Json = {"run": run, "cells": cells, "article": [], "summary": {}}
    made["decision"] = answer.decided(made)
    return html.report_page(made, tmp_path).stat().st_size


def test_the_report_stays_small(tmp_path: Path) -> None:
    assert whole(1, tmp_path) < 300_000
    assert whole(8, tmp_path) < 1_000_000


def test_a_page_stays_small_whatever_the_cell_wrote(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    for number in range(60_000):
        world.step(12 + number / 10_000, f"noise.{number * 7919 % 60_000}")
    made = report(tmp_path, (world, "native", ALL))
    html.write(tmp_path, made)
    assert (tmp_path / f"cells/{CELL}.html").stat().st_size <= page.LARGEST


def test_a_failure_is_told_with_its_timeline_and_its_packet(leaking: World, tmp_path: Path) -> None:
    made = report(tmp_path, (leaking, "native", "stop.no-plaintext"))
    assert made["cells"][0]["verdict"] == "fail"
    console = Console(width=200, file=io.StringIO())
    console.print(story.tell(tmp_path, made["cells"][0]))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "app.sigterm" in said and "delete.accepted" in said
    assert token("drain", 999) in said  # in the packet's own bytes
    assert json.loads((tmp_path / "report.json").read_text()) == made
