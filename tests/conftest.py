"""What all tests share: what a user's own settings and a busy machine may not change."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from conformance.images.pull import PREFIX_VARIABLE
from conformance.machine.digests import DIGESTS

# What Hypothesis may take is no question of how busy the machine is: no test of it is timed.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# Settings of a run. Whoever needs them on this machine has them where tests are run as well.
OF_A_RUN = (
    *(PREFIX_VARIABLE, DIGESTS, "KIND_EXPERIMENTAL_PROVIDER", "GITHUB_STEP_SUMMARY"),
    *("ISTIO_VERSION", "ISTIO_VALUES", "LINKERD_VERSION", "LINKERD_VALUES"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "KUBECONFIG", "SUDO_UID", "SUDO_GID"),
)


@pytest.fixture(autouse=True)
def without_settings_of_a_run(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test without a cluster says the same whatever this machine needs for runs."""
    if not {"cluster", "user", "faults"} & {marker.name for marker in request.node.iter_markers()}:
        for name in OF_A_RUN:
            monkeypatch.delenv(name, raising=False)
