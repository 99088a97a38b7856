"""What each judge says of the world in which its promise is kept: the sentence, figures, and where
that can be looked up. All of it is approved (tests/approved), at whole times and at odd ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.plan.catalogue import behaviours
from tests.forge.slower import slower
from tests.forge.told import told
from tests.judges.test_judge import world_of

CASES = [(one, pattern) for one in behaviours() for pattern in ("native", "classic")]
SHOWN = 8  # pieces of evidence that are approved in full


@pytest.mark.parametrize(("behaviour", "pattern"), CASES)
def test_what_is_said_stays(tmp_path: Path, behaviour: str, pattern: str) -> None:
    world = world_of(behaviour, pattern)
    found = told(
        behaviour, Bundle.open(world.write(tmp_path / "bundle")), trusting=True, full=SHOWN
    )
    later = slower(world_of(behaviour, pattern)).judged(behaviour, tmp_path / "slower")
    assert (later.observed, later.hazard) == (found.observed, found.hazard), later.reason
