"""The driver of pods of the user's own: their sidecars come with them, and their spec is kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubernetes.utils import create_from_dict

from conformance.model import Cell
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars import manifests
from conformance.sidecars.driver import Admitted, Facts, Manifest, read_pattern
from conformance.sidecars.own.images import obtain
from conformance.sidecars.own.trial import require_taken, trial_namespace
from conformance.sidecars.pods import file as pods_file
from conformance.sidecars.pods.adapted import adapted
from conformance.sidecars.pods.counted import counts_for
from conformance.sidecars.pods.gates import gate_of

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage

PORTS = {"app": 8080, "probe": 8081, "witness_mesh": 9000, "control": 9001}
FIXTURES = ("app", "envoy")  # a file may name one in place of an image


class Driver:
    """Pods that a file describes. name: in the registry, which knows the file."""

    def __init__(self, name: str) -> None:
        source = REGISTRY[name].file
        assert source is not None
        self.name = name
        self._workload = pods_file.read(source)

    def fixture_images(self) -> Sequence[str]:
        """Those that its containers name."""
        return tuple(dict.fromkeys(one for one in self._images() if one in FIXTURES))

    def official_images(self) -> Sequence[str]:
        """The sidecars' images, and the app's where that is to be played."""
        return tuple(dict.fromkeys(one for one in self._images() if one not in FIXTURES))

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """The same, from the engine or by pulling. Raises Unobtainable."""
        return {one: obtain(engine, one, self.name) for one in self.official_images()}

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """Nothing to install; what is changed of the spec as it is written is for the report."""
        workload, changed, counted = self._workload, "", []
        for pattern in REGISTRY[self.name].patterns:
            cell = Cell(cluster.minor, self.name, pattern, "default", "lifecycle")  # type: ignore[arg-type]
            app = {"name": "app", "image": "app"}
            pod: Manifest = {
                "metadata": {"name": "tried", "namespace": trial_namespace(cluster)},
                "spec": {"containers": [app], "volumes": [{"name": "evidence", "emptyDir": {}}]},
            }
            admitted = require_taken(client, self.inject(pod, cell, "subject"), cell)
            counted.append(f"{pattern}: {counts_for(admitted)}")
            if pattern == workload.pattern:
                changed = "; ".join(adapted(pod, workload, pattern)[1])
        return {
            "workload": f"{workload.kind}, written {workload.pattern}",
            "sidecars": ", ".join(workload.sidecars),
            "changed_by_the_suite": changed or "nothing",
            "counts_for": "; ".join(counted),
        }

    def adopt(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """They are the run's own pods on any cluster, whose nodes pull their images."""
        return self.install(cluster, client)

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """What stands beside the workload in its file."""
        for thing in self._workload.setup:
            made = copy.deepcopy(thing)
            made["metadata"].pop("namespace", None)
            create_from_dict(client, made, namespace=namespace)

    def inject(self, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """The workload's own spec, around the suite's app."""
        if role != "subject":
            return pod
        return adapted(pod, self._workload, cell.pattern)[0]

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        """Read from the pod's spec: all of its sidecars are of the one pattern."""
        found = [read_pattern(pod, name) for name in self._workload.sidecars]
        patterns = {one.pattern for one in found}
        why = "; ".join(one.why for one in found)
        if len(patterns) != 1 or patterns == {"none"}:
            return Admitted("none", why)
        return Admitted(patterns.pop(), why, self._workload.sidecars)

    def facts(self, cell: Cell, namespace: str) -> Facts:
        gate, port = gate_of(self._workload)
        ports = PORTS | ({"health": port} if port else {})
        return Facts(ports=ports, gate=gate or "http", stamped=not self._workload.own_image)

    def quit_command(self) -> Sequence[str]:
        """None: SIGTERM from the node."""
        return ()

    def _images(self) -> list[str]:
        its = self._workload.sidecar_containers
        if self._workload.own_image:
            its = manifests.containers(self._workload.pod)
        return [str(one["image"]) for one in its if "image" in one]
