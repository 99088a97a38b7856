"""The clusters of a run: created, asked for their versions, and deleted.

Several may be created at once, by threads of one run and by several runs. What is racy in kind
(kind#1288) is taken away instead of locked: the docker network is made here first, once, and is
the run's own; the API's port is picked by Docker; every cluster has a kubeconfig of its own; node
images are on the engine before.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from tenacity import (
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_fixed,
)

from conformance.cluster import cni as conflists
from conformance.cluster.kind import KindCluster, ip_family, kind_error, read_config, render
from conformance.cluster.state import ClusterHandle, await_cluster, publish, publish_state
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem
from conformance.images import tools
from conformance.machine import locks, process, timing
from conformance.machine.paths import KIND_CONFIGS
from conformance.machine.progress import board
from conformance.machine.runs import Record, Run, shielded

__all__ = [
    "ClusterHandle",
    "await_cluster",
    "create",
    "delete",
    "delete_all",
    "delete_networks",
    "load",
    "publish",
    "publish_state",
    "versions",
]

TOOLS_IN_NODE = "/opt/sidecar-conformance"
EVIDENCE_IN_NODE = "/evidence"
REDIRECT_IN_NODE = "/opt/sidecar-redirect"
_CLUSTER_LABEL = "io.x-k8s.kind.cluster"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# kind's known issues ask for 512 instances (systemd, containerd and kubelet of each node watch).
_INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}
_READY_PATIENCE = 240  # seconds from kind's end to a Ready node


def create(
    run: Run,
    engine: Engine,
    minor: str,
    node_images: Mapping[str, str],
    archives: Sequence[Path],
    tools_root: Path,
) -> ClusterHandle:
    """A cluster of this minor, with images loaded, DNS working and the capture plugin in place.

    node_images: the name in the kind config → what the engine has for it, the first node's first.
    tools_root: a root file system with python3 and tcpdump, mounted read-only in the nodes.
    Any thread may call it, several at once. Raises EnvironmentProblem with the kubelet's own words;
    logs stay in <results>/clusters/<minor>, nothing stays on the engine.
    """
    handle = _plan(run, minor, engine.host)
    folder = handle.kubeconfig.parent
    config = render(
        read_config(KIND_CONFIGS / f"v{minor}.yaml"),
        name=handle.name,
        images=node_images,
        mounts=lambda place: _mounts(handle, tools_root, place),
    )
    (folder / "kind.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for place in range(len(config["nodes"])):
        conflists.write(conflists.folder_of(handle.kubeconfig, place), place=place)
    run.register(handle.name)
    try:
        with board.phase(f"creating the cluster for Kubernetes {minor}") as phase:
            _ensure_inotify()
            _ensure_network(run, ip_family(config))
            cluster = _kind(run, engine, handle)
            try:
                with timing.span(run.results, "kind", k8s=minor):
                    cluster.create(timeout=_READY_PATIENCE)
            except RuntimeError as error:
                raise EnvironmentProblem(cluster.seen) from error
            phase.note("loading images")
            with timing.span(run.results, "load", k8s=minor):
                cluster.load_archives(archives)
            phase.note("waiting for CoreDNS and kube-proxy")
            with timing.span(run.results, "system", k8s=minor):
                if len(node_images) > 1:
                    _share_kube_proxy(cluster, handle)
                cluster.await_system()
    except Exception as error:
        if process.stopping():  # whoever stops the run deletes what is registered
            raise EnvironmentProblem(
                f"The cluster for Kubernetes {minor} was given up: the run is being stopped."
            ) from error
        problem = _told_by_the_node(handle, minor, error)
        with suppress(EnvironmentProblem):
            delete(handle)
            run.unregister(handle.name)
        raise problem from error
    return handle


def load(run: Run, engine: Engine, handle: ClusterHandle, archives: Sequence[Path]) -> None:
    """Load image archives into the nodes of a cluster that is up. Raises EnvironmentProblem."""
    if archives:
        with board.phase(f"loading {len(archives)} more images into Kubernetes {handle.minor}"):
            _kind(run, engine, handle).load_archives(archives)


def _kind(run: Run, engine: Engine, handle: ClusterHandle) -> KindCluster:
    folder = handle.kubeconfig.parent
    family = ip_family(read_config(folder / "kind.yaml"))
    env = {
        **engine.env,
        "KIND_EXPERIMENTAL_PROVIDER": "docker",
        "KIND_EXPERIMENTAL_DOCKER_NETWORK": _network(run, family),
    }
    return KindCluster(folder / "kind.yaml", handle.kubeconfig, folder / "kind.log", env)


def delete(handle: ClusterHandle) -> None:
    """Remove the cluster's containers and its kubeconfig, finished or half made. Idempotent.

    Raises EnvironmentProblem when the engine refuses several times.
    """
    _remove_containers(handle.host, handle.name)
    handle.kubeconfig.unlink(missing_ok=True)


def delete_all(record: Record) -> None:
    """Remove everything that a run has on the engine: clusters, then their network. Idempotent.

    The run must be dead, or its own children stopped (process.stop_all).
    Raises EnvironmentProblem when something stays.
    """
    with shielded():
        _end_orphans(record)
        if record.clusters:
            with ThreadPoolExecutor(len(record.clusters), thread_name_prefix="delete") as pool:
                list(pool.map(lambda name: _remove_containers(record.host, name), record.clusters))
        for kubeconfig in Path(record.results).glob("clusters/*/kubeconfig"):
            kubeconfig.unlink(missing_ok=True)
        delete_networks(record)


def delete_networks(record: Record) -> None:
    """Remove a run's networks, whose clusters are gone. Idempotent. Raises EnvironmentProblem."""
    name = f"name=^{record.network}(-[a-z0-9]+)?$"
    found = _docker(record.host, "network", "ls", "-q", "--filter", name).split()
    if found:
        _docker(record.host, "network", "rm", *found)


def versions(handle: ClusterHandle) -> dict[str, Any]:
    """What the cluster says of itself: kubernetes (the API server), cgroup (v1, v2), the stage of
    the feature gate of native sidecars, and by node role, kubelet, runtime, kernel, os,
    architecture."""
    kubectl = [str(tools.kubectl()), "--kubeconfig", str(handle.kubeconfig), "get"]
    what = f"asking {handle.name} for its versions"
    server = json.loads(process.run([*kubectl, "--raw", "/version"], what=what, timeout=60))
    nodes = json.loads(process.run([*kubectl, "nodes", "-o", "json"], what=what, timeout=60))
    metrics = process.run([*kubectl, "--raw", "/metrics"], what=what, timeout=60)
    kind = _docker(handle.host, "exec", handle.node, "stat", "-fc", "%T", "/sys/fs/cgroup")
    return {
        "kubernetes": server["gitVersion"],
        "sidecar_gate": gate_stage(metrics, "SidecarContainers"),
        "cgroup": "v2" if kind.strip() == "cgroup2fs" else "v1",
        "nodes": {
            node["metadata"]["name"]: {
                "role": "control-plane"
                if _CONTROL_PLANE in node["metadata"]["labels"]
                else "worker",
                "kubelet": node["status"]["nodeInfo"]["kubeletVersion"],
                "runtime": node["status"]["nodeInfo"]["containerRuntimeVersion"],
                "kernel": node["status"]["nodeInfo"]["kernelVersion"],
                "os": node["status"]["nodeInfo"]["osImage"],
                "architecture": node["status"]["nodeInfo"]["architecture"],
            }
            for node in nodes["items"]
        },
    }


def gate_stage(metrics: str, gate: str) -> str:
    """ "beta, on" for a feature gate in an API server's metrics; "gone" when there is none.

    A gate without a stage is GA (k8s.io/component-base/metrics/prometheus/feature).
    """
    form = rf'^kubernetes_feature_enabled{{name="{gate}",stage="(\w*)"}} ([01])$'
    found = re.search(form, metrics, re.MULTILINE)
    return f"{found[1].lower() or 'ga'}, {'on' if found[2] == '1' else 'off'}" if found else "gone"


def _plan(run: Run, minor: str, host: str) -> ClusterHandle:
    name = run.cluster_name(minor)
    folder = run.results / "clusters" / minor
    evidence = run.results / "evidence" / minor
    for place in (folder, evidence):
        place.mkdir(parents=True, exist_ok=True)
    return ClusterHandle(
        minor, name, folder / "kubeconfig", f"{name}-control-plane", evidence, host
    )


def _share_kube_proxy(cluster: KindCluster, handle: ClusterHandle) -> None:
    """Give every node the kube-proxy of the cluster's own version: a node of another version
    brings another one along, and not every machine can pull what it lacks."""
    found = cluster.kubectl(["-n", "kube-system", "get", "daemonset", "kube-proxy"])
    (container,) = found["spec"]["template"]["spec"]["containers"]
    archive = f"{EVIDENCE_IN_NODE}/.kube-proxy.tar"  # every node has the same folder there
    images = ("ctr", "-n", "k8s.io", "images")
    _docker(handle.host, "exec", handle.node, *images, "export", archive, container["image"])
    for node in cluster.kubectl(["get", "nodes"])["items"]:
        name = node["metadata"]["name"]
        if name != handle.node:
            _docker(handle.host, "exec", name, *images, "import", "--no-unpack", archive)
    _docker(handle.host, "exec", handle.node, "rm", archive)


def _mounts(handle: ClusterHandle, tools_root: Path, place: int) -> list[dict[str, Any]]:
    """extraMounts of the node at a place of the cluster. They exist when the node's containerd
    starts, which wants the conflist and every plugin that it names at once."""
    plugins = (conflists.CAPTURE, conflists.REDIRECT)
    for plugin in plugins:
        if not plugin.is_file():
            raise EnvironmentProblem(
                f"{plugin} is missing; the checkout is not whole: clone it again."
            )
    chains = conflists.folder_of(handle.kubeconfig, place)
    chains.mkdir(exist_ok=True)
    places = [
        (handle.evidence, EVIDENCE_IN_NODE, False),
        (tools_root, TOOLS_IN_NODE, True),
        (chains, "/etc/cni/net.d", True),
        # In no chain before a scenario puts it there.
        (conflists.REDIRECT.parent, REDIRECT_IN_NODE, True),
        *((plugin, f"/opt/cni/bin/{plugin.name}", True) for plugin in plugins),
    ]
    return [
        {"hostPath": str(here.resolve()), "containerPath": there, "readOnly": fixed}
        for here, there, fixed in places
    ]


def _network(run: Run, family: str) -> str:
    """The run's docker network for clusters of a family of addresses. One with IPv6 is another: an
    engine that cannot make it still has the clusters that do without."""
    return run.network if family == "ipv4" else f"{run.network}-{family}"


def _ensure_network(run: Run, family: str) -> None:
    """The run's own network, so that two runs share none; made once, however many create."""
    network = _network(run, family)
    with locks.exclusive(run.results / "clusters" / ".network.lock"):
        found = _docker(run.host, "network", "ls", "-q", "--filter", f"name=^{network}$")
        if found.strip():
            return
        option = "com.docker.network.driver.mtu"
        form = f'{{{{ index .Options "{option}" }}}}'
        mtu = _docker(run.host, "network", "inspect", "bridge", "--format", form).strip()
        options = ["-o", f"{option}={mtu}"] if mtu.isdigit() else []
        if family != "ipv4":  # as kind would: IPv4 is the engine's to choose, IPv6 has to be named
            options += ["--ipv6", "--subnet", unique_local_subnet(network)]
        _docker(run.host, "network", "create", *options, network)


def unique_local_subnet(name: str) -> str:
    """A /64 of IPv6 for a network of this name (RFC 4193: fd00::/8, a global id, a subnet)."""
    own = b"\xfd" + hashlib.sha256(name.encode()).digest()[:7] + bytes(8)
    return f"{ipaddress.IPv6Address(own)}/64"


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
    """Save the nodes' logs; the failure in one sentence, with the last errors of a kubelet: the
    control plane's, or that of a node that came to join it."""
    folder = handle.kubeconfig.parent
    names = {handle.node: ""}  # node → what its files' names begin with
    with suppress(EnvironmentProblem):
        label = f"label={_CLUSTER_LABEL}={handle.name}"
        listed = _docker(handle.host, "ps", "-a", "--format", "{{.Names}}", "--filter", label)
        names |= {name: f"{name}." for name in listed.split() if name != handle.node}
    said = ""
    for node, prefix in names.items():
        for unit in ("kubelet", "containerd"):
            with suppress(EnvironmentProblem):
                read = ["journalctl", "-u", unit, "--no-pager", "-o", "cat"]
                journal = _docker(handle.host, "exec", node, *read)
                (folder / f"{prefix}{unit}.log").write_text(journal)
                said += journal if unit == "kubelet" else ""
        with suppress(EnvironmentProblem):
            told = _docker(handle.host, "logs", "--tail", "200", node)
            (folder / f"{prefix}node.log").write_text(told)
    log = folder / "kind.log"
    failed = (kind_error(log.read_text(errors="replace")) if log.exists() else "") or str(error)
    words = " / ".join(kubelet_errors(said)) or "nothing"
    return EnvironmentProblem(
        f"The cluster for Kubernetes {minor} did not come up: {failed.rstrip('.')}; its kubelet "
        f"said: {words}; the logs are in {folder}."
    )


def kubelet_errors(journal: str, most: int = 2) -> list[str]:
    """The last distinct errors in a kubelet's journal, newest last.

    klog's lines for errors and fatal errors begin with E or F and the date; a kubelet that cannot
    read its config panics.
    """
    found: dict[str, None] = {}
    for line in reversed(journal.splitlines()):
        match = re.match(r"(?:[EF]\d{4} \S+\s+\d+ |(?=panic: |[Ee]rror: ))(.*)", line)
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


def _end_orphans(record: Record) -> None:
    """End the kind commands of a run that was killed: they would go on and make what we remove."""
    mark = f"{record.results}/clusters/"
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's; no /proc: no Linux
            words = (entry / "cmdline").read_text(errors="replace").split("\0")
            if Path(words[0]).name == "kind" and any(word.startswith(mark) for word in words):
                os.killpg(int(entry.name), signal.SIGKILL)  # process.start made it a leader


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
