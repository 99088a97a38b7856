"""What a network without sidecars gives in the place of one: an agent on every node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle
    from conformance.model import Cell


@runtime_checkable
class HasAgents(Protocol):
    """What a driver has besides when an agent of its own on every node stands for the sidecar."""

    def kill_agent(self, cluster: ClusterHandle, client: Any, node: str) -> Callable[[], bool]:
        """SIGKILL to the agent of a node; whether it is back."""

    def take_agent(self, client: Any, node: str) -> None:
        """Wait until a node has no agent. Raises EnvironmentProblem."""

    def give_agent(self, client: Any, node: str) -> None:
        """Wait until it has one again, and that is ready. Raises EnvironmentProblem."""


@dataclass(frozen=True)
class AgentSeen:
    """One node's agent at a moment, by all who know of it.

    pod: its uid. image: what the admitted pod asks for. container: its id, by the pod's status.
    running: container → image of every agent that the node's runtime has running. says: the
    version of the running agent in its own words, or why it says nothing. release: what installed
    it, by its installer's own word.
    """

    node: str
    pod: str
    image: str
    container: str
    running: dict[str, str]
    says: str
    release: str


@runtime_checkable
class UpgradesAgents(Protocol):
    """What a driver has besides when its agents can be replaced by those of a newer release: a cell
    of the scenario agent-upgrade finds the older one in force (``tuned``)."""

    def upgrade_agents(self, cluster: ClusterHandle, cell: Cell) -> None:
        """Have every node's agent replaced as its makers say, and wait until the newer ones are
        ready. Raises EnvironmentProblem."""

    def describe_agents(self, cluster: ClusterHandle, client: Any) -> Sequence[AgentSeen]:
        """The agent of each node. Raises EnvironmentProblem."""
