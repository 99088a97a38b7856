"""The back-off scenario: a sidecar is killed again and again, each time as soon as it is ready."""

from __future__ import annotations

from conformance.observe.scenarios.crash.crash import alone, kill
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import Stage
from conformance.sidecars.driver import Manifest

CRASHES = ("first crash", "second crash", "third crash")


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    alone(stage, _undelayed)
    for name in CRASHES:
        kill(stage, name)
    return SUBJECT


def _undelayed(sidecar: Manifest) -> None:
    """The kubelet's waits are long enough."""
    kept = [one for one in sidecar["env"] if one["name"] != "SC_START_DELAY"]
    sidecar["env"] = [*kept, {"name": "SC_START_DELAY", "value": "0"}]
