"""Nothing that was not seen is a pass: verdicts on a cluster that shows nothing of its node."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.plan.catalogue import behaviours
from tests.forge.told import told
from tests.judges.test_judge import world_of

WHY = "a privileged pod is refused"
OF_THE_NODE = ("runtime.log", "containerd.log", "kubelet.log", "clock.jsonl")


def blinded(bundle: Path) -> Bundle:
    """The bundle as it would be without anything on the node."""
    index = json.loads((bundle / "cell.json").read_text())
    for name in OF_THE_NODE:
        (bundle / name).unlink(missing_ok=True)
    shutil.rmtree(bundle / "capture", ignore_errors=True)
    index["files"] = {
        name: mark
        for name, mark in index.get("files", {}).items()
        if name not in OF_THE_NODE and not name.startswith("capture/")
    }
    for pod in index["pods"].values():
        pod["sandbox"] = ""
    index["addresses"]["gateway"] = []
    index["unseen"] = WHY
    (bundle / "cell.json").write_text(json.dumps(index))
    return Bundle.open(bundle)


@pytest.mark.parametrize("behaviour", behaviours())
def test_a_verdict_says_on_what_it_stands_or_is_none(tmp_path: Path, behaviour: str) -> None:
    bundle = blinded(world_of(behaviour).complete().write(tmp_path / "bundle"))
    found = told(behaviour, bundle)
    if found.observed in ("holds", "measured"):
        assert found.reason.endswith(
            (
                "Seen by the programs' own stamps and the API alone.",
                "By the API's whole seconds: the same wherever in them each moment lies.",
            )
        )
        for one in found.evidence:  # what is named can be looked up
            assert (tmp_path / "bundle" / one.file).exists()
    else:
        assert found.observed == "not-verified"
        assert found.reason.startswith(f"Not verified on this cluster: {WHY}")


def test_a_node_that_was_seen_has_nothing_to_say(tmp_path: Path) -> None:
    world = world_of("start.order")
    assert "alone" not in told("start.order", Bundle.open(world.write(tmp_path / "a"))).reason


@pytest.mark.parametrize("behaviour", ["stop.exit-code", "stop.in-flight", "plane.outage"])
def test_nothing_is_supposed_where_the_node_was_seen(tmp_path: Path, behaviour: str) -> None:
    """A runtime.log that is gone without a word is not what the API's seconds may stand for."""
    bundle = blinded(world_of(behaviour).complete().write(tmp_path / "bundle"))
    index = json.loads((bundle.root / "cell.json").read_text()) | {"unseen": ""}
    (bundle.root / "cell.json").write_text(json.dumps(index))
    found = told(behaviour, Bundle.open(bundle.root), trusting=True)
    assert found.observed == "inconclusive", found.reason
    assert "whole seconds" not in found.reason
