"""What the controlling process tells the workers about each cluster, through one small file.

A worker of pytest-xdist is another process and begins before any cluster is ready; it waits for
<results>/clusters/<minor>/state.json to say so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.machine import files, waiting
from conformance.machine.runs import Run, short

EVIDENCE_IN_NODE = "/evidence"
RUN_LABEL = "sidecar-conformance/run"
"""On every namespace that a run makes on a cluster of others; its value is the run's id."""
HOSTNAME = "kubernetes.io/hostname"  # the label by which a pod asks for one node
_LONGEST_LABEL = 63


@dataclass(frozen=True)
class ClusterHandle:
    """All that a worker needs to use a cluster.

    minor: name of the kind config ("1.33"). name: kind's name. node: the control plane's container.
    workers: those of its other nodes, in the order of the kind config.
    evidence: the folder on this machine that the node has at /evidence. host: DOCKER_HOST.

    Of a cluster that the suite did not make only: label: the run's id, which all that the run makes
    there carries. node: the node's own name. hostname: what its label kubernetes.io/hostname says,
    which need not be its name. lacks: JSON: what it does not give (abilities.Ground)
    → why, where it is known. agent: the pod on the node that collects evidence, "" for none.
    clock_ns: what the node's clock is ahead of this machine's, as text.
    """

    minor: str
    name: str
    kubeconfig: Path
    node: str
    evidence: Path
    host: str = ""
    workers: tuple[str, ...] = ()
    label: str = ""
    hostname: str = ""
    lacks: str = ""
    agent: str = ""
    unseen: str = ""
    gate: str = ""
    clock_ns: str = "0"

    @property
    def lacking(self) -> Mapping[str, str]:
        """What the cluster does not give → why, or ""."""
        found: Mapping[str, str] = json.loads(self.lacks or "{}")
        return found

    def namespace(self, slug: str) -> str:
        """The namespace of a cell: its slug, after the run's id where others may have the same."""
        return run_name(self.label, slug) if self.label else slug

    @property
    def results(self) -> Path:
        """The folder of the run that the cluster belongs to (clusters/<minor>/kubeconfig in it)."""
        return self.kubeconfig.parents[2]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node, the first one first."""
        return (self.node, *self.workers)

    def outputs_of(self, node: str) -> Path:
        """Where this machine has what containers of a node write, if it has it at all."""
        place = self.nodes.index(node)
        return self.kubeconfig.with_name(f".output-{place}" if place else ".output")

    def to_json(self) -> dict[str, Any]:
        """As plain strings, and lists of them."""
        plain = {key: str(value) for key, value in asdict(self).items()}
        return {**plain, "workers": list(self.workers)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClusterHandle:
        """The reverse of ``to_json``."""
        paths = {key: Path(data[key]) for key in ("kubeconfig", "evidence")}
        return cls(**{**data, **paths, "workers": tuple(data.get("workers", ()))})


def run_name(run_id: str, name: str) -> str:
    """The name of something of a run's on a cluster that others use too: a DNS label, at most 63
    characters (RFC 1123)."""
    whole = f"sc-{short(run_id)}-{name}"
    if len(whole) <= _LONGEST_LABEL:
        return whole
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{whole[: _LONGEST_LABEL - 7]}-{digest}"


def base_namespace(run_id: str) -> str:
    """The run's namespace, on a cluster of others, for what belongs to no cell."""
    return run_name(run_id, "run")


def publish(run: Run, handle: ClusterHandle, sidecars: Mapping[str, str]) -> None:
    """Tell the workers that the cluster is ready, and which sidecars are: name → "", or why it
    cannot be had on this cluster."""
    publish_state(run, handle.minor, "ready", handle=handle, sidecars=sidecars)


def publish_state(
    run: Run,
    minor: str,
    state: str,
    *,
    reason: str = "",
    handle: ClusterHandle | None = None,
    sidecars: Mapping[str, str] | None = None,
) -> None:
    """Write <results>/clusters/<minor>/state.json in one step.

    state: creating, ready (with a handle), or with a reason in the user's language: failed, or
    unobtainable, which is nobody's failure.
    """
    target = _state_file(run.results, minor)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "state": state,
        "reason": reason,
        "cluster": handle.to_json() if handle else None,
        "sidecars": dict(sidecars or {}),
    }
    files.write_text(target, json.dumps(content, indent=1))


def await_cluster(results: Path, minor: str, sidecar: str, deadline: float) -> ClusterHandle:
    """The cluster of this minor, as soon as the controlling process says that it is ready and has
    the sidecar.

    deadline: seconds. Raises EnvironmentProblem with the reason when one of them failed, or with
    what was seen last when the deadline is over; Unobtainable when this machine cannot have it.
    """

    try:
        state = waiting.until(
            f"Kubernetes {minor}", lambda: settled(results, minor, sidecar), seconds=deadline
        )
    except waiting.NotInTime:
        last = read_state(results, minor)
        seen = f'its state is "{last["state"]}"' if last else "nobody has begun to make it"
        raise EnvironmentProblem(
            f"Kubernetes {minor} with {sidecar} was not ready after {deadline:.0f} s: {seen}; "
            f"see {_state_file(results, minor).parent}."
        ) from None
    if state["state"] == "unobtainable":
        raise Unobtainable(state["reason"])
    if state["state"] == "failed":
        raise EnvironmentProblem(state["reason"])
    if state["sidecars"][sidecar]:
        raise EnvironmentProblem(state["sidecars"][sidecar])
    return ClusterHandle.from_json(state["cluster"])


def settled(results: Path, minor: str, sidecar: str) -> dict[str, Any] | None:
    """The state of this minor's cluster once it has the sidecar, or will not have it; None while
    that is open."""
    now = read_state(results, minor)
    if now is None or (now["state"] == "ready" and sidecar not in now["sidecars"]):
        return None
    return now if now["state"] in ("ready", "failed", "unobtainable") else None


def _state_file(results: Path, minor: str) -> Path:
    return results / "clusters" / minor / "state.json"


def read_state(results: Path, minor: str) -> dict[str, Any] | None:
    """What state.json says of a cluster; None when there is none yet."""
    try:
        state: dict[str, Any] = json.loads(_state_file(results, minor).read_text())
    except FileNotFoundError:
        return None
    return state
