"""Cilium, real: its agent on each node, its CNI plugin, its chart. There is no sidecar.

Nothing comes into a pod, so nothing of the lifecycle of a sidecar can be asked of it. What can be
asked is what people give up a sidecar for: that nothing is in clear between nodes, and that nobody
is let in whom no policy lets in, at any moment of a pod's life and of the agent's.

The modes are how the traffic between nodes is encrypted (``encryption`` in the chart):

- ``none``: not at all. The control arm: it must be seen in clear between the nodes.
- ``wireguard``: the kernel's, or where it has none the one in the agent (userspaceFallback).
- ``strict``: the same, and what would go in clear is dropped.
- ``ipsec``, ``ztunnel``: where they can be had.

On one node traffic is in clear in all of them, by design.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.model import Cell
from conformance.sidecars.agents import AgentSeen
from conformance.sidecars.cilium.release import FORMER, PRESENT
from conformance.sidecars.driver import Admitted, Facts, Manifest

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage
    from conformance.images.go_build import GoBuild

PORTS = {"app": 8080, "probe": 8081}
UPGRADE = "agent-upgrade"  # the scenario whose cells begin with the former release


class Driver:
    """Cilium as its chart installs it."""

    name = "cilium"

    def fixture_images(self) -> Sequence[str]:
        """None: its images are its own."""
        return ()

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """The agent's and the operator's, under their official names."""
        from conformance.sidecars.cilium import images as image_cilium

        return image_cilium.ensure(engine, policy)

    def uncompiled(self, engine: Engine, policy: str) -> Sequence[GoBuild]:
        from conformance.sidecars.cilium import images as image_cilium

        return image_cilium.uncompiled(engine, policy)

    def official_images(self) -> Sequence[str]:
        from conformance.sidecars.cilium import images as image_cilium

        return image_cilium.official()

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """helm install, in place of the suite's own network; what there is by then moves over."""
        from conformance.sidecars.cilium.network import install

        return install(cluster, client)

    def tuned(
        self, cluster: ClusterHandle, client: Any, cell: Cell
    ) -> AbstractContextManager[None]:
        """The encryption that the cell's mode names is in force, by the agents of the release that
        an upgrade begins with, where there is to be one. Raises Unobtainable."""
        from conformance.sidecars.cilium.network import tuned

        return tuned(cluster, cell.mode, FORMER if cell.scenario == UPGRADE else PRESENT)

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """It needs nothing in its namespace: the scenario has policies of its own."""

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """The pod as it is: there is nothing to inject."""
        return copy.deepcopy(pod)

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        """None, and it names every container of the pod, so that one can see that."""
        spec = pod["spec"]
        names = [
            one["name"]
            for group in ("initContainers", "containers")
            for one in spec.get(group) or ()
        ]
        return Admitted("none", f"the pod's containers are {', '.join(names)}")

    def facts(self, cell: Cell, namespace: str) -> Facts:
        return Facts(ports=PORTS)

    def quit_command(self) -> Sequence[str]:
        """None: there is nothing to quit."""
        return ()

    def keep_records(
        self, cluster: ClusterHandle, client: Any, namespace: str, since_ns: int, bundle: Path
    ) -> None:
        """What each agent says of its encryption, and what was looked for in the charts."""
        from conformance.sidecars.cilium.records import keep

        keep(cluster, bundle)

    def kill_agent(self, cluster: ClusterHandle, client: Any, node: str) -> Callable[[], bool]:
        from conformance.sidecars.cilium.agents import kill

        return kill(cluster, client, node)

    def take_agent(self, client: Any, node: str) -> None:
        from conformance.sidecars.cilium.agents import take

        take(client, node)

    def give_agent(self, client: Any, node: str) -> None:
        from conformance.sidecars.cilium.agents import give

        give(client, node)

    def upgrade_agents(self, cluster: ClusterHandle, cell: Cell) -> None:
        """helm upgrade to the newer release, with the same values."""
        from conformance.sidecars.cilium.network import change

        change(cluster, cell.mode, PRESENT)

    def describe_agents(self, cluster: ClusterHandle, client: Any) -> Sequence[AgentSeen]:
        from conformance.sidecars.cilium.agents import describe

        return describe(cluster, client)
