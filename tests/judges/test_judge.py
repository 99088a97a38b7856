"""Whatever a bundle holds or lacks, judging ends in a finding: and never in a pass by accident."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import conformance.judges.stop.order as stop_judges
from conformance import judges
from conformance.evidence.bundle import Bundle
from conformance.evidence.consistency import contradictions
from conformance.model import Finding
from conformance.plan.catalogue import behaviours
from tests.forge.bundle import World
from tests.forge.told import told
from tests.worlds import across, cni, worlds


def world_of(behaviour: str, pattern: str = "native") -> World:
    scenario = behaviours()[behaviour].scenarios[0]
    if behaviour == "start.cni-race":  # where it holds, the other promise of its scenario is open
        return cni.kept(pattern)
    if behaviours()[behaviour].nodes > 1 and scenario in across.WORLDS_ACROSS:
        return across.WORLDS_ACROSS[scenario](pattern)
    assert scenario in worlds(), f"no WORLDS in tests/worlds names a world of {scenario}"
    return worlds()[scenario](pattern)


@pytest.mark.parametrize("behaviour", behaviours())
def test_every_behaviour_has_its_judge(behaviour: str) -> None:
    assert callable(judges.resolve(behaviour))


@pytest.mark.parametrize("behaviour", behaviours())
def test_the_good_world_holds_and_evidence_can_be_looked_up(tmp_path: Path, behaviour: str) -> None:
    found = world_of(behaviour).judged(behaviour, tmp_path)
    assert found.observed in ("holds", "measured"), found.reason
    assert found.evidence
    for one in found.evidence:
        lines = (tmp_path / "bundle" / one.file).read_bytes().count(b"\n")
        assert one.frame or 1 <= (one.line or 0) <= lines
    json.dumps(found.measured)


@pytest.mark.parametrize("pattern", ["native", "classic"])
@pytest.mark.parametrize("behaviour", behaviours())
def test_no_good_world_contradicts_itself(tmp_path: Path, behaviour: str, pattern: str) -> None:
    world = world_of(behaviour, pattern).complete()
    assert not contradictions(Bundle.open(world.write(tmp_path / "bundle")))


@pytest.mark.parametrize("behaviour", behaviours())
def test_a_mistake_of_the_judge_is_inconclusive_and_named(
    tmp_path: Path, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(_: Bundle) -> Finding:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(judges, "resolve", lambda _: mistaken)
    found = told(behaviour, Bundle.open(tmp_path))
    assert found.observed == "inconclusive"
    assert "ZeroDivisionError: oops" in found.reason


def test_an_answer_for_another_behaviour_is_inconclusive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_judges, "order", lambda _: Finding("start.order", "holds", ""))
    assert told("stop.order", Bundle.open(tmp_path)).observed == "inconclusive"


@pytest.mark.parametrize("behaviour", behaviours())
def test_an_empty_folder_is_inconclusive(tmp_path: Path, behaviour: str) -> None:
    folder = tmp_path / "empty"  # a name that is the same in whatever order tests are run
    folder.mkdir()
    found = told(behaviour, Bundle.open(folder))
    assert found.observed == "inconclusive"
    assert "cell.json is missing" in found.reason


@pytest.mark.usefixtures("unapproved")
@pytest.mark.parametrize("raw", ["", "{}", "[]", '{"schema": 2}', '{"schema": 1}', "null", "{"])
def test_an_index_that_cannot_be_read_is_inconclusive(tmp_path: Path, raw: str) -> None:
    (tmp_path / "cell.json").write_text(raw)
    found = told("stop.order", Bundle.open(tmp_path))
    assert found.observed == "inconclusive"
    assert "cell.json" in found.reason


OTHERWISE = ("move.old-cluster", "move.webhook")  # what is judged is that the pod is not native


SIDECARLESS = tuple(one.id for one in behaviours().values() if one.pattern == "sidecarless")


@pytest.mark.parametrize(
    "behaviour", [id_ for id_ in behaviours() if id_ not in (*OTHERWISE, *SIDECARLESS)]
)
def test_a_pod_that_was_never_injected_is_inconclusive(tmp_path: Path, behaviour: str) -> None:
    world = world_of(behaviour)
    world.index["admitted"] = {"pattern": "none", "why": "no sidecar in the pod"}
    world.index["sidecars"] = []
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive"
    assert "sidecar never injected" in found.reason


@pytest.mark.parametrize("behaviour", behaviours())
def test_no_single_missing_file_makes_a_broken_world_hold(tmp_path: Path, behaviour: str) -> None:
    """Take away one file after the other from the good world: holds or inconclusive, never worse;
    and what a judge names as its evidence, it cannot do without."""
    world = world_of(behaviour)
    folder = world.write(tmp_path / "bundle")
    found = told(behaviour, Bundle.open(folder), trusting=True)
    for file in sorted(world.index["files"]):
        content = (folder / file).read_bytes()
        (folder / file).unlink()
        without = told(behaviour, Bundle.open(folder), trusting=True)
        (folder / file).write_bytes(content)
        assert without.observed in (found.observed, "inconclusive"), (file, without.reason)
        if file in {one.file for one in found.evidence}:
            assert without.observed == "inconclusive", file


@pytest.mark.parametrize("behaviour", behaviours())
def test_a_file_changed_after_the_fact_is_inconclusive(tmp_path: Path, behaviour: str) -> None:
    folder = world_of(behaviour).write(tmp_path / "bundle")
    for file in folder.rglob("*"):
        if file.is_file() and file.name != "cell.json" and file.stat().st_size:
            content = bytearray(file.read_bytes())
            content[-2] ^= 1
            file.write_bytes(content)
    assert told(behaviour, Bundle.open(folder)).observed == "inconclusive"


@pytest.mark.usefixtures("unapproved")
@pytest.mark.parametrize("seed", range(30))
def test_scrambled_evidence_never_breaks_the_judge(tmp_path: Path, seed: int) -> None:
    """Lines lost, doubled and mixed up at random: a finding comes out, whatever it is."""
    rng = random.Random(seed)
    behaviour = rng.choice(list(behaviours()))
    world = world_of(behaviour, rng.choice(["native", "classic"]))
    folder = world.write(tmp_path / "bundle")
    files = [one for one in folder.rglob("*") if one.is_file() and one.name != "cell.json"]
    for file in rng.sample(files, 3):
        if file.suffix == ".pcap":
            content = bytearray(file.read_bytes())
            for _ in range(20 if len(content) > 24 else 0):  # not in a capture without frames
                content[rng.randrange(24, len(content))] = rng.randrange(256)
            file.write_bytes(content)
        else:
            lines = file.read_text().splitlines(keepends=True)
            mixed = rng.choices(lines, k=len(lines)) if lines else []
            file.write_text("".join(mixed))
    (folder / "cell.json").write_text(json.dumps(world.index | {"files": {}}))
    found = told(behaviour, Bundle.open(folder))
    assert found.observed in ("holds", "broken", "measured", "inconclusive")
    assert "The judge failed" not in found.reason, found.reason
