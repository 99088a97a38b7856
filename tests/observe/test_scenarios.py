"""What the catalogue names of a scenario is there: its module, and manifests for its pods."""

from __future__ import annotations

import importlib

import pytest

from conformance.observe.workloads import MANIFESTS
from conformance.plan.catalogue import behaviours, scenarios


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_can_be_played(name: str) -> None:
    module = f"conformance.observe.scenarios.{scenarios()[name].plays}"
    assert callable(importlib.import_module(module).observe)


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_has_pods(name: str) -> None:
    seen = [name]
    while pods := scenarios()[seen[-1]].pods:
        assert pods in scenarios() and pods not in seen, f"{seen[-1]} takes the pods of {pods}"
        seen.append(pods)
    assert (MANIFESTS / seen[-1]).is_dir(), (
        f"scenario {name} has no folder in fixtures/manifests: give it one, or say in the "
        "catalogue whose pods it takes (pods)"
    )


def test_every_scenario_is_judged_and_every_behaviour_is_played() -> None:
    assert {name for one in behaviours().values() for name in one.scenarios} == {*scenarios()}
