"""The kubelet scenario: the kubelet is restarted; see restart."""

from __future__ import annotations

from conformance.observe.scenarios.node import restart
from conformance.observe.stage import Stage


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    return restart.observe(stage, "kubelet", lambda _: restart.kubelet_answers(stage))
