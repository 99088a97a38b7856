"""The ipv6-unruled scenario: as ipv6, in a mesh whose redirection knows IPv4 alone."""

from __future__ import annotations

from conformance.observe.scenarios.leak import ipv6
from conformance.observe.stage import Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest, RedirectsBoth


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""

    def for_ipv4_alone(document: Manifest) -> None:
        assert isinstance(stage.driver, RedirectsBoth)
        stage.driver.for_ipv4_alone(manifests.pod_of(document))

    return ipv6.observe(stage, for_ipv4_alone)
