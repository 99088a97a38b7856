"""The clusters of a run: created, announced to the workers, and deleted.

Several may be created at once, by threads of one run and by several runs. What is racy in kind
(kind#1288) is taken away instead of locked: the docker network is made here first, once, and is
the run's own; the API's port is picked by Docker; every cluster has a kubeconfig of its own; node
images are on the engine before.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)

from conformance import locks, process
from conformance.bootstrap import tools
from conformance.bootstrap.engine import Engine
from conformance.errors import EnvironmentProblem
from conformance.kind_provider import KindCluster, read_config, render, render_conflist
from conformance.paths import FIXTURES, KIND_CONFIGS
from conformance.progress import board
from conformance.runs import Record, Run

PLUGIN = FIXTURES / "observer" / "sidecar-capture"
TOOLS_IN_NODE = "/opt/sidecar-conformance"
EVIDENCE_IN_NODE = "/evidence"
_CLUSTER_LABEL = "io.x-k8s.kind.cluster"
# kind's known issues ask for 512 instances (systemd, containerd and kubelet of each node watch).
_INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}
_READY_PATIENCE = 240  # seconds from kind's end to a Ready node


@dataclass(frozen=True)
class ClusterHandle:
    """All that a worker needs to use a cluster.

    minor: name of the kind config ("1.33"). name: kind's name. node: the control plane's container.
    evidence: the folder on this machine that the node has at /evidence. host: DOCKER_HOST.
    """

    minor: str
    name: str
    kubeconfig: Path
    node: str
    evidence: Path
    host: str = ""

    def to_json(self) -> dict[str, str]:
        """As plain strings."""
        return {key: str(value) for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> ClusterHandle:
        """The reverse of ``to_json``."""
        paths = {key: Path(data[key]) for key in ("kubeconfig", "evidence")}
        return cls(**{**data, **paths})  # type: ignore[arg-type]


def create(
    run: Run,
    engine: Engine,
    minor: str,
    node_image: str,
    archives: Sequence[Path],
    tools_root: Path,
) -> ClusterHandle:
    """A cluster of this minor, with images loaded, DNS working and the capture plugin in place.

    tools_root: a root file system with python3 and tcpdump, mounted read-only in the node.
    Any thread may call it, several at once. Raises EnvironmentProblem with the kubelet's own words;
    logs stay in <results>/clusters/<minor>, nothing stays on the engine.
    """
    handle = _plan(run, minor, engine.host)
    folder = handle.kubeconfig.parent
    mounts = _mounts(handle, folder, tools_root)
    config = render(
        read_config(KIND_CONFIGS / f"v{minor}.yaml"),
        name=handle.name,
        image=node_image,
        mounts=mounts,
    )
    (folder / "kind.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    run.register(handle.name)
    try:
        with board.phase(f"creating the cluster for Kubernetes {minor}") as phase:
            _ensure_inotify()
            _ensure_network(run)
            env = {
                **engine.env,
                "KIND_EXPERIMENTAL_PROVIDER": "docker",
                "KIND_EXPERIMENTAL_DOCKER_NETWORK": run.network,
            }
            cluster = KindCluster(folder / "kind.yaml", handle.kubeconfig, folder / "kind.log", env)
            cluster.create(timeout=_READY_PATIENCE)
            phase.note("loading images")
            cluster.load_archives(archives)
            phase.note("waiting for CoreDNS and kube-proxy")
            cluster.await_system()
    except Exception as error:
        problem = _told_by_the_node(handle, minor, error)
        with suppress(EnvironmentProblem):
            delete(handle)
            run.unregister(handle.name)
        raise problem from error
    return handle


def delete(handle: ClusterHandle) -> None:
    """Remove the cluster's containers and its kubeconfig, finished or half made. Idempotent.

    Raises EnvironmentProblem when the engine refuses several times.
    """
    _remove_containers(handle.host, handle.name)
    handle.kubeconfig.unlink(missing_ok=True)


def delete_all(record: Record) -> None:
    """Remove everything that a run has on the engine: clusters, then their network. Idempotent.

    Raises EnvironmentProblem when something stays.
    """
    for name in record.clusters:
        _remove_containers(record.host, name)
    for kubeconfig in Path(record.results).glob("clusters/*/kubeconfig"):
        kubeconfig.unlink(missing_ok=True)
    networks = _docker(record.host, "network", "ls", "-q", "--filter", f"name=^{record.network}$")
    if networks.strip():
        _docker(record.host, "network", "rm", record.network)


def versions(handle: ClusterHandle) -> dict[str, Any]:
    """What the cluster says of itself: kubernetes (the API server), cgroup (v1, v2), and by node
    kubelet, runtime, kernel, os and architecture."""
    kubectl = [str(tools.kubectl()), "--kubeconfig", str(handle.kubeconfig), "get"]
    what = f"asking {handle.name} for its versions"
    server = json.loads(process.run([*kubectl, "--raw", "/version"], what=what, timeout=60))
    nodes = json.loads(process.run([*kubectl, "nodes", "-o", "json"], what=what, timeout=60))
    kind = _docker(handle.host, "exec", handle.node, "stat", "-fc", "%T", "/sys/fs/cgroup")
    return {
        "kubernetes": server["gitVersion"],
        "cgroup": "v2" if kind.strip() == "cgroup2fs" else "v1",
        "nodes": {
            node["metadata"]["name"]: {
                "kubelet": node["status"]["nodeInfo"]["kubeletVersion"],
                "runtime": node["status"]["nodeInfo"]["containerRuntimeVersion"],
                "kernel": node["status"]["nodeInfo"]["kernelVersion"],
                "os": node["status"]["nodeInfo"]["osImage"],
                "architecture": node["status"]["nodeInfo"]["architecture"],
            }
            for node in nodes["items"]
        },
    }


def publish(run: Run, handle: ClusterHandle) -> None:
    """Tell the workers that the cluster is ready."""
    publish_state(run, handle.minor, "ready", handle=handle)


def publish_state(
    run: Run, minor: str, state: str, *, reason: str = "", handle: ClusterHandle | None = None
) -> None:
    """Write <results>/clusters/<minor>/state.json in one step.

    state: creating, ready (with a handle) or failed (with a reason in the user's language).
    """
    target = _state_file(run.results, minor)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    told = {"state": state, "reason": reason, "cluster": handle.to_json() if handle else None}
    fresh.write_text(json.dumps(told, indent=1))
    fresh.replace(target)


def await_cluster(results: Path, minor: str, deadline: float) -> ClusterHandle:
    """The cluster of this minor, as soon as the controlling process says that it is ready.

    deadline: seconds. Raises EnvironmentProblem with the reason when it failed, or with what was
    seen last when the deadline is over.
    """

    def look() -> dict[str, Any] | None:
        told = _read_state(results, minor)
        return told if told is not None and told["state"] in ("ready", "failed") else None

    waiting = Retrying(
        retry=retry_if_result(lambda told: told is None),
        stop=stop_after_delay(deadline),
        wait=wait_fixed(0.2),
    )
    try:
        told = waiting(look)
    except RetryError:
        last = _read_state(results, minor)
        seen = f'its state is "{last["state"]}"' if last else "nobody has begun to make it"
        raise EnvironmentProblem(
            f"The cluster for Kubernetes {minor} was not ready after {deadline:.0f} s: {seen}; "
            f"see {_state_file(results, minor).parent}."
        ) from None
    if told is None or told["state"] == "failed":
        raise EnvironmentProblem(told["reason"] if told else "")
    return ClusterHandle.from_json(told["cluster"])


def _plan(run: Run, minor: str, host: str) -> ClusterHandle:
    name = run.cluster_name(minor)
    folder = run.results / "clusters" / minor
    evidence = run.results / "evidence" / minor
    for place in (folder, evidence):
        place.mkdir(parents=True, exist_ok=True)
    return ClusterHandle(
        minor, name, folder / "kubeconfig", f"{name}-control-plane", evidence, host
    )


def _mounts(handle: ClusterHandle, folder: Path, tools_root: Path) -> list[dict[str, Any]]:
    """extraMounts of every node. They exist when the node's containerd starts, which wants the
    conflist and every plugin that it names at once."""
    if not PLUGIN.is_file():
        raise EnvironmentProblem(f"{PLUGIN} is missing; the checkout is not whole: clone it again.")
    conflists = folder / "cni"
    conflists.mkdir(exist_ok=True)
    for conflist in (KIND_CONFIGS / "cni").glob("*.conflist"):
        made = render_conflist(conflist.read_text(), PLUGIN.name)
        (conflists / conflist.name).write_text(made)
    places = [
        (handle.evidence, EVIDENCE_IN_NODE, False),
        (tools_root, TOOLS_IN_NODE, True),
        (conflists, "/etc/cni/net.d", True),
        (PLUGIN, f"/opt/cni/bin/{PLUGIN.name}", True),
    ]
    return [
        {"hostPath": str(here.resolve()), "containerPath": there, "readOnly": fixed}
        for here, there, fixed in places
    ]


def _ensure_network(run: Run) -> None:
    """The run's own network, so that two runs share none; made once, however many create."""
    with locks.exclusive(run.results / "clusters" / ".network.lock"):
        found = _docker(run.host, "network", "ls", "-q", "--filter", f"name=^{run.network}$")
        if found.strip():
            return
        option = "com.docker.network.driver.mtu"
        form = f'{{{{ index .Options "{option}" }}}}'
        mtu = _docker(run.host, "network", "inspect", "bridge", "--format", form).strip()
        options = ["-o", f"{option}={mtu}"] if mtu.isdigit() else []
        _docker(run.host, "network", "create", *options, run.network)


def _ensure_inotify() -> None:
    """Raise the limits that several nodes on one kernel run into, or say what to do."""
    for name, wanted in _INOTIFY.items():
        limit = Path("/proc/sys/fs/inotify", name)
        with suppress(FileNotFoundError):  # no Linux here: Docker's own machine has its limits
            have = int(limit.read_text())
            if have >= wanted:
                continue
            try:
                limit.write_text(f"{wanted}\n")
                board.say(f"Raised fs.inotify.{name} from {have} to {wanted} until the next boot.")
            except OSError:
                board.say(
                    f"fs.inotify.{name} is {have}; several clusters at once may fail to start: "
                    f"sudo sysctl fs.inotify.{name}={wanted}"
                )


def _told_by_the_node(handle: ClusterHandle, minor: str, error: Exception) -> EnvironmentProblem:
    """Save the node's logs; the failure in one sentence, with the kubelet's last errors."""
    folder = handle.kubeconfig.parent
    journals = {}
    for unit in ("kubelet", "containerd"):
        with suppress(EnvironmentProblem):
            read = ["journalctl", "-u", unit, "--no-pager", "-o", "cat"]
            journals[unit] = _docker(handle.host, "exec", handle.node, *read)
            (folder / f"{unit}.log").write_text(journals[unit])
    with suppress(EnvironmentProblem):
        told = _docker(handle.host, "logs", "--tail", "200", handle.node)
        (folder / "node.log").write_text(told)
    words = kubelet_errors(journals.get("kubelet", ""))
    said = f"its kubelet said: {' / '.join(words)}" if words else "its kubelet said nothing"
    return EnvironmentProblem(
        f"The cluster for Kubernetes {minor} did not come up: {error} {said}; the logs are in "
        f"{folder}."
    )


def kubelet_errors(journal: str, most: int = 3) -> list[str]:
    """The last distinct error lines of a kubelet's journal (klog's E and F lines), newest last."""
    found: dict[str, None] = {}
    for line in reversed(journal.splitlines()):
        match = re.match(r"[EF]\d{4} \S+\s+\d+ (.*)", line)
        if match:
            found.setdefault(match[1][:300])
        if len(found) == most:
            break
    return list(reversed(found))


def _remove_containers(host: str, cluster: str) -> None:
    """docker rm until none is listed twice in a row: one may still be in the making.

    kind keeps all its state in the containers' labels, so nothing else has to be told.
    """
    label = f"label={_CLUSTER_LABEL}={cluster}"
    seen_none = 0

    def attempt() -> bool:
        nonlocal seen_none
        listed = _docker(host, "ps", "-aq", "--filter", label).split()
        if listed:
            _return_evidence(host, listed)
            _docker(host, "rm", "-f", "-v", *listed)
        seen_none = 0 if listed else seen_none + 1
        return seen_none >= 2

    Retrying(
        retry=retry_if_exception_type(EnvironmentProblem) | retry_if_result(lambda done: not done),
        stop=stop_after_attempt(8),
        wait=wait_fixed(0.3),
        reraise=True,
    )(attempt)


def _return_evidence(host: str, containers: Sequence[str]) -> None:
    """Nodes write as root; whoever may use Docker without being root gets the files all the same.

    The folder itself belongs to that user, however the engine maps users.
    """
    if os.geteuid() == 0:
        return
    give = ["chown", "-R", f"--reference={EVIDENCE_IN_NODE}", EVIDENCE_IN_NODE]
    for container in containers:
        with suppress(EnvironmentProblem):  # it may not run (any more)
            _docker(host, "exec", container, *give)


def _docker(host: str, *arguments: str) -> str:
    return process.run(
        [shutil.which("docker") or "docker", *arguments],
        what=f"docker {' '.join(arguments[:2])}",
        env={"DOCKER_HOST": host} if host else None,
        timeout=120,
    )


def _state_file(results: Path, minor: str) -> Path:
    return results / "clusters" / minor / "state.json"


def _read_state(results: Path, minor: str) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads(_state_file(results, minor).read_text())
    except FileNotFoundError:
        return None
    return told
