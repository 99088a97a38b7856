"""What a network without sidecars gives in the place of one: an agent on every node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle


@runtime_checkable
class HasAgents(Protocol):
    """What a driver has besides when an agent of its own on every node stands for the sidecar."""

    def kill_agent(self, cluster: ClusterHandle, client: Any, node: str) -> Callable[[], bool]:
        """SIGKILL to the agent of a node; whether it is back."""

    def take_agent(self, client: Any, node: str) -> None:
        """Wait until a node has no agent. Raises EnvironmentProblem."""

    def give_agent(self, client: Any, node: str) -> None:
        """Wait until it has one again, and that is ready. Raises EnvironmentProblem."""
