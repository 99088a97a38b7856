"""What every sidecar driver gives: the one interface between the suite and a sidecar.

A driver knows how its sidecar comes into a pod and how it behaves; it never judges.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from conformance.model import Cell
from conformance.plan.abilities import Ability
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.agents import HasAgents

# Drivers take all that they need of the suite from here.
from conformance.sidecars.facts import Admitted as Admitted
from conformance.sidecars.facts import Facts as Facts
from conformance.sidecars.facts import Manifest as Manifest

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage
    from conformance.images.go_build import GoBuild


class Driver(Protocol):
    """One sidecar. A driver keeps no state: it knows at most the version that the user asked for
    (its one argument, where its registration has a version_option), or its name in the registry
    (where that has a file of the user's); all else is passed in."""

    name: str

    def fixture_images(self) -> Sequence[str]:
        """Folders below fixtures/ whose images its pods need.

        Raises Unobtainable when this machine cannot have the sidecar.
        """
        ...

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """Bring the control plane up on a cluster, once; returns versions for the report.

        client: a kubernetes.client.ApiClient.
        """
        ...

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """Create what the cell's namespace needs before its pods (secrets, labels, config)."""
        ...

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """A copy of the pod manifest (or pod template) with the sidecar in it, or marked for its
        injector. role is "subject" (the cell's pattern) or "peer" (always native, undelayed)."""
        ...

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        """Which pattern the pod got. pod: as the API server returned it."""
        ...

    def facts(self, cell: Cell, namespace: str) -> Facts:
        """Ports, identities and set delays of this cell."""
        ...

    def quit_command(self) -> Sequence[str]:
        """A command that, run in the sidecar's container, tells the sidecar to end by itself; none
        where its image holds no program for that."""
        ...


@runtime_checkable
class Adopts(Protocol):
    """What a driver has besides when it can use what is installed on a cluster of others."""

    def adopt(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """See what is there, and leave it as it is; versions for the report. "release" among them
        is the version that the driver is then loaded with.

        Raises EnvironmentProblem where there is none that the suite's pods can have.
        """
        ...


@runtime_checkable
class BringsImages(Protocol):
    """What a driver has besides when it uses images that are not a fixture's."""

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """Image reference → the image, ready to be loaded into clusters.

        policy: auto, pull or build. Raises Unobtainable when this machine cannot have them.
        """
        ...


@runtime_checkable
class NamesImages(Protocol):
    """What a driver has besides when its makers publish images that it uses."""

    def official_images(self) -> Sequence[str]:
        """Their references, those of tools that are taken out of an image too: all that are known
        without asking anybody."""
        ...


@runtime_checkable
class KeepsTools(Protocol):
    """What a driver has besides when it runs a program of its makers' on the host."""

    def tools(self) -> Sequence[Path]:
        """The programs, after ``images``: in the cache, or on PATH."""
        ...


@runtime_checkable
class CompilesImages(Protocol):
    """What a driver has besides when its images may have to be compiled."""

    def uncompiled(self, engine: Engine, policy: str) -> Sequence[GoBuild]:
        """What ``images`` would compile first, as far as that is known without asking anew."""
        ...


@runtime_checkable
class KeepsRecords(Protocol):
    """What a driver has besides when its control plane has something to say about a cell."""

    def keep_records(
        self, cluster: ClusterHandle, client: Any, namespace: str, since_ns: int, bundle: Path
    ) -> None:
        """Write what the control plane says of this namespace to <bundle>/mesh, before it goes.

        since_ns: when the cell began. mesh/nacks.jsonl lists the configuration that a proxy
        refused, one object a line: {"by", "file", "line", "text"}; it is there and empty when the
        control plane was asked and knows of none.
        """
        ...


@runtime_checkable
class TellsRequests(Protocol):
    """What a driver has besides when its sidecar carries the app's traffic."""

    def write_requests(self, bundle: Path) -> None:
        """Write what its proxies say of the requests that they carried, in the neutral words of
        FORMAT.md: <bundle>/requests/<role>.<container>.jsonl, from logs/, which are complete."""
        ...


@runtime_checkable
class ShowsCertificates(Protocol):
    """What a driver has besides when its proxies do not record the certificates that they are
    shown, and anybody may ask for them."""

    def certificate(self, cluster: ClusterHandle, namespace: str, pod: str) -> str:
        """The serial number (hex) of the certificate that a pod's sidecar shows now.

        Raises EnvironmentProblem where it shows none."""
        ...


@runtime_checkable
class TunesPlane(Protocol):
    """What a driver has besides when some scenarios need its one control plane to be set otherwise.
    Its registration has them to be played alone."""

    def tuned(
        self, cluster: ClusterHandle, client: Any, cell: Cell
    ) -> AbstractContextManager[None]:
        """The control plane is as the cell needs it inside the block."""
        ...


@runtime_checkable
class IntroducesWitness(Protocol):
    """What a driver has besides when its mesh would send plaintext to a witness that it knows
    nothing of."""

    def introduce_witness(self, namespace: str, client: Any, addresses: Sequence[str]) -> None:
        """Have it send nothing but TLS to the witness' mesh port. addresses: the witness' own."""
        ...


@runtime_checkable
class Ails(Protocol):
    """What a driver has besides when its sidecar can be made to fail its liveness probe."""

    live_path: str  # on the health port: what a liveness probe is to ask

    def ail_command(self) -> Sequence[str]:
        """A command that, run in the sidecar's container, makes it answer 503 there from now on."""
        ...


@runtime_checkable
class Upgrades(Protocol):
    """What a driver has besides when its control plane can be upgraded beside the old one."""

    def before_upgrade(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """Have the next control plane installed, and ``tag`` lead to the present one."""
        ...

    def upgrade(self, cluster: ClusterHandle, tag: str) -> None:
        """Make ``tag`` lead to the next control plane: pods made from now on are its own."""
        ...

    def inject_by(self, tag: str, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """As inject, by the control plane that ``tag`` leads to when the pod is made."""
        ...

    def control_plane_of(self, pod: Manifest) -> str:
        """Which control plane made the pod what it is, read from the admitted pod."""
        ...


@runtime_checkable
class FlipsPattern(Protocol):
    """What a driver has besides when an upgrade can change its default pattern."""

    def before_flip(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """Have all that the flip takes; ``tag`` leads to the control plane as it is."""
        ...

    def flip(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """Make the upgrade: pods that are made from now on get the other default pattern."""
        ...

    def foretold(self, cluster: ClusterHandle, pod: Manifest) -> Manifest:
        """The marked pod, to be told by a dry run before the flip what it will be after it."""
        ...

    def inject_by(self, tag: str, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """As inject, by the control plane that ``tag`` leads to when the pod is made."""
        ...

    def undecided(self, pod: Manifest) -> Manifest:
        """The injected pod, without its word about the pattern."""


@runtime_checkable
class RedirectedByCni(Protocol):
    """What a driver has besides when a CNI plugin (fixtures/envoy) can set its redirection."""

    def by_cni(self, pod: Manifest, role: str, *, validated: bool) -> Manifest:
        """The injected pod without the container that sets its redirection; validated: with one in
        its place that ends badly as long as there is none."""
        ...


@runtime_checkable
class RedirectsBoth(Protocol):
    """What a driver has besides when its redirection can be had for IPv4 and IPv6, or for IPv4
    alone."""

    def for_ipv4_alone(self, pod: Manifest) -> None:
        """Change the injected pod so that what it sends by IPv6 is not redirected."""
        ...


@runtime_checkable
class OwnsPlane(Protocol):
    """What a driver has besides when a cell can have a control plane and an injector for itself,
    to take them down."""

    def bring_plane(self, cluster: ClusterHandle, client: Any, name: str) -> str:
        """Have one for the cell, installed beside the others by a name that the cell chooses, where
        there can be others; the name by which pods tell it."""
        ...

    def remove_plane(self, client: Any, name: str) -> None:
        """The cell needs it no more."""
        ...

    def plane_down(self, client: Any, name: str) -> None:
        """Take it down, its injector too; wait until nobody answers in its name."""
        ...

    def plane_up(self, client: Any, name: str) -> None:
        """Bring it back, and wait until it is ready."""
        ...

    def on_injector_failure(self, client: Any, name: str, policy: str) -> None:
        """What the API server does with a pod while the injector is down: Fail or Ignore."""
        ...

    def inject_by(self, tag: str, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """As inject, by the control plane of that name."""

    def misses_plane(self, log: str) -> bool:
        """Whether a sidecar's output says that its control plane does not answer."""
        ...

    def past_the_injector(self, pod: Manifest) -> Manifest:
        """A pod as it was injected in a dry run, to be created as it is."""
        ...

    def control_plane_of(self, pod: Manifest) -> str:
        """Which control plane made the pod what it is, read from the admitted pod."""
        ...


# What a driver implements for what its registration gives, and for nothing else. The other
# abilities ask for no method: Facts say them, or the pods.
PROTOCOLS: Mapping[Ability, type] = {
    Ability.MESH: TellsRequests,
    Ability.AILS: Ails,
    Ability.UPGRADE: Upgrades,
    Ability.FLIP: FlipsPattern,
    Ability.CNI: RedirectedByCni,
    Ability.DUAL: RedirectsBoth,
    Ability.OUTAGE: OwnsPlane,
    Ability.NETWORK: HasAgents,
}


def place(
    pod: Manifest, sidecar: Manifest, rules: Manifest | None = None, *, native: bool
) -> Manifest:
    """A copy of the pod (or pod template) with the containers in it.

    Native: rules, then the sidecar with restartPolicy Always, before the app's own init containers.
    Classic: the rules after the app's own init containers, and the sidecar last of all, as
    injectors that do nothing special put them.
    """
    pod = copy.deepcopy(pod)
    spec = pod["spec"]
    own = spec.get("initContainers") or []
    first = [rules] if rules else []
    if native:
        spec["initContainers"] = [*first, {**sidecar, "restartPolicy": "Always"}, *own]
    else:
        spec["containers"] = [*spec["containers"], sidecar]
        if own or first:
            spec["initContainers"] = [*own, *first]
    return pod


def read_pattern(pod: Manifest, container: str) -> Admitted:
    """Which pattern a pod has: where the sidecar's container stands, and its restartPolicy."""
    for init in pod["spec"].get("initContainers") or ():
        if init["name"] == container:
            policy = init.get("restartPolicy")
            why = f"init container {container} has restartPolicy {policy}"
            if policy == "Always":
                return Admitted("native", why, (container,))
            return Admitted("none", f"{why}: it is no sidecar")
    if any(each["name"] == container for each in pod["spec"].get("containers") or ()):
        return Admitted("classic", f"{container} is a regular container", (container,))
    return Admitted("none", f"no container {container} in the pod")


def load(name: str, versions: Mapping[str, str] | None = None) -> Driver:
    """The driver of a registered sidecar.

    versions: sidecar → the version that the user asked for (Selection.versions).
    """
    module = importlib.import_module(REGISTRY[name].module)
    argument = name if REGISTRY[name].file else (versions or {}).get(name, "")
    driver: Driver = module.Driver(argument) if argument else module.Driver()
    return driver
