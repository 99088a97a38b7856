"""The reference mesh on a dual-stack cluster."""

from __future__ import annotations

import pytest

from tests.sidecars.envoy.test_driver import DRIVER, POD, cell, environment


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_rules_can_be_for_ipv4_alone(pattern: str) -> None:
    pod = DRIVER.inject(POD, cell(pattern), "subject")
    assert "SC_FAMILIES" not in environment(pod, "rules")
    DRIVER.for_ipv4_alone(pod)
    assert environment(pod, "rules")["SC_FAMILIES"] == "iptables"
