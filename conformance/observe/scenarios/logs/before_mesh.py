"""The logs-before-mesh scenario: the same two native sidecars in the other order.

The shipper comes first and the mesh's proxy second: ended in reverse, the proxy first, and the
shipper has nobody to carry its last lines.
"""

from __future__ import annotations

from conformance.observe.scenarios.logs.behind_mesh import play
from conformance.observe.stage import Stage


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    return play(stage, mesh_first=False)
