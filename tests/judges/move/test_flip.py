"""move.pattern-flip: what another default does to each workload, and whether a dry run says it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worlds import mesh
from tests.worlds.mesh import Flip

BEHAVIOUR = "move.pattern-flip"
Break = Callable[[Flip], object]


def test_each_dry_run_said_so(tmp_path: Path) -> None:
    found = mesh.flip().judged(BEHAVIOUR, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["flipped"] == 2 and found.measured["workloads"] == 4
    flips = found.measured["flips"]
    assert set(flips) == {"plain", "init"}
    assert flips["init"].startswith("native to classic; containers envoy, migrate, app to migrate")
    assert "hooks of envoy change" in flips["plain"]


def other_probe(flip: Flip) -> None:
    flip.container("plain", "after", dry=True)["startupProbe"] = {"httpGet": {"port": 1}}


def other_hook(flip: Flip) -> None:
    flip.container("plain", "before", dry=False).pop("lifecycle")


def other_order(flip: Flip) -> None:
    flip.pod("init", "after", dry=False)["spec"]["containers"].reverse()


def other_pattern(flip: Flip) -> None:
    flip.pod("plain", "after", dry=True)["spec"] = flip.pod("plain", "before", dry=True)["spec"]


@pytest.mark.parametrize("other", [other_probe, other_hook, other_order, other_pattern])
def test_a_dry_run_that_says_something_else(tmp_path: Path, other: Break) -> None:
    flip = mesh.flip()
    other(flip)
    found = flip.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "differs")


def test_a_workload_whose_own_word_is_not_heard(tmp_path: Path) -> None:
    flip = mesh.flip()
    for dry in (True, False):
        flip.pod("says-native", "after", dry=dry)["spec"] = mesh.shape("classic")
    found = flip.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "overruled")


def test_a_workload_that_the_change_does_not_reach(tmp_path: Path) -> None:
    """It leaves its pattern to the mesh as another one does, and keeps the former one."""
    flip = mesh.flip()
    for dry in (True, False):
        flip.pod("plain", "after", dry=dry)["spec"] = flip.pod("plain", "before", dry=dry)["spec"]
    found = flip.judged(BEHAVIOUR, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "passed-over"), found.reason


def nothing_flips(flip: Flip) -> None:
    for name in ("plain", "init"):
        for dry in (True, False):
            spec = flip.pod(name, "before", dry=dry)["spec"]
            flip.pod(name, "after", dry=dry)["spec"] = spec


def never_made(flip: Flip) -> None:
    flip.admissions = [one for one in flip.admissions if one["dry"] or one["workload"] != "plain"]


def not_injected(flip: Flip) -> None:
    """The same absence of a sidecar on both sides is no agreement about patterns."""
    for one in flip.admissions:
        one["pod"]["spec"] = {"containers": [{"name": "app"}]}


@pytest.mark.parametrize(
    "doubtful", [nothing_flips, never_made, not_injected, lambda flip: flip.admissions.clear()]
)
def test_what_cannot_carry_a_verdict(tmp_path: Path, doubtful: Break) -> None:
    flip = mesh.flip()
    doubtful(flip)
    assert flip.judged(BEHAVIOUR, tmp_path).observed == "inconclusive"
