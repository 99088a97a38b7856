"""A run's clusters come up: created, given their images, and checked.

Several may be created at once, by threads of one run and by several runs. What is racy in kind
(kind#1288) is taken away instead of locked: the docker network is made here first, once, and is
the run's own; the API's port is picked by Docker; every cluster has a kubeconfig of its own; node
images are on the engine before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from conformance.cluster import cni, failure, network
from conformance.cluster.deletion import delete
from conformance.cluster.kind import (
    PATCHES_IN_NODE,
    KindCluster,
    ip_family,
    node_names,
    read_config,
    render,
    with_nodes,
)
from conformance.cluster.state import EVIDENCE_IN_NODE, ClusterHandle
from conformance.engine import client
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem
from conformance.machine import process, timing, waiting
from conformance.machine.paths import KIND_CONFIGS, is_patch, kind_config
from conformance.machine.progress import board
from conformance.machine.runs import Run

TOOLS_IN_NODE = "/opt/sidecar-conformance"
OUTPUTS_IN_NODE = "/var/log/pods"
REDIRECT_IN_NODE = "/opt/sidecar-redirect"
# What costs processors and says nothing is turned down in the suite's own nodes.
NODE_SETTINGS = KIND_CONFIGS / "node"
_SYSTEMD_IN_NODE = "/etc/systemd/system.conf.d/90-sidecar-conformance.conf"
# The comment of kube-proxy's rule for the API server, and how long it is awaited (seconds).
_API_RULE, _RULES_WITHIN = "default/kubernetes:https", 15.0
# kind's known issues ask for 512 instances (systemd, containerd and kubelet of each node watch).
_INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}
# kind's pod networks: of all nodes together.
_POD_NETS = {"iptables": "10.244.0.0/16", "ip6tables": "fd00:10:244::/56"}
_READY_PATIENCE = 240  # seconds from kind's end to a Ready node


def create(
    run: Run,
    engine: Engine,
    minor: str,
    node_images: Mapping[str, str],
    archives: Sequence[Path],
    tools_root: Path,
    nodes: int = 1,
) -> ClusterHandle:
    """A cluster of this minor, with images loaded, DNS working and the capture plugin in place.

    node_images: the name in the kind config → what the engine has for it, the first node's first.
    tools_root: a root file system with python3 and tcpdump, mounted read-only in the nodes.
    nodes: how many there are at least; pods of all of them reach each other, and only what
    tolerates kind.FAR comes to those beside the kind config's own.
    Any thread may call it, several at once. Raises EnvironmentProblem with the kubelet's own words;
    logs stay in <results>/clusters/<minor>, nothing stays on the engine.
    """
    plain = with_nodes(read_config(kind_config(minor)), nodes)
    if is_patch(minor):  # the nodes of its minor's config name another patch
        for node in plain["nodes"]:
            node.pop("image", None)
    handle = _plan(run, minor, engine.host, plain)
    folder = handle.kubeconfig.parent
    config = render(
        plain,
        name=handle.name,
        images=node_images,
        mounts=lambda place: _mounts(handle, tools_root, place),
    )
    (folder / "kind.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for place in range(len(config["nodes"])):
        cni.write(cni.folder_of(handle.kubeconfig, place), place=place)
    run.register(handle.name)
    try:
        with board.phase(f"creating the cluster for Kubernetes {minor}") as phase:
            _ensure_inotify()
            network.ensure(run, ip_family(config))
            cluster = _kind(run, engine, handle)
            try:
                with timing.span(run.results, "kind", k8s=minor):
                    cluster.create(timeout=_READY_PATIENCE)
            except RuntimeError as error:
                raise EnvironmentProblem(cluster.seen) from error
            _await_services(handle)
            cluster.renew_dns()  # it comes up while images are loaded
            phase.note("loading images")
            with timing.span(run.results, "load", k8s=minor):
                cluster.load_archives(archives)
            phase.note("waiting for CoreDNS and kube-proxy")
            with timing.span(run.results, "system", k8s=minor):
                _masquerade(handle, ip_family(config))
                if len(node_images) > 1:
                    _share_kube_proxy(cluster, handle)
                if nodes > 1:
                    _connect(cluster, handle, ip_family(config))
                cluster.await_system()
    except Exception as error:
        if process.stopping():  # whoever stops the run deletes what is registered
            raise EnvironmentProblem(
                f"The cluster for Kubernetes {minor} was given up: the run is being stopped."
            ) from error
        problem = failure.explained(handle, error)
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
        "KIND_EXPERIMENTAL_DOCKER_NETWORK": network.name(run, family),
    }
    return KindCluster(folder / "kind.yaml", handle.kubeconfig, folder / "kind.log", env)


def _plan(run: Run, minor: str, host: str, config: Mapping[str, Any]) -> ClusterHandle:
    name = run.cluster_name(minor)
    first, *others = node_names({"nodes": [{"role": "control-plane"}], **config}, name)
    folder = run.results / "clusters" / minor
    evidence = run.results / "evidence" / minor
    for place in (folder, evidence):
        place.mkdir(parents=True, exist_ok=True)
    kubeconfig = folder / "kubeconfig"
    return ClusterHandle(minor, name, kubeconfig, first, evidence, host, tuple(others))


def _connect(cluster: KindCluster, handle: ClusterHandle, family: str) -> None:
    """Lead pods of every node to those of every other, and let pods come to the control plane, as
    kind does where it is the only node."""
    addresses = {
        node["metadata"]["name"]: [
            one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"
        ]
        for node in cluster.kubectl(["get", "nodes"])["items"]
    }
    engine = client.at(handle.host)
    for node in handle.nodes:
        for place, other in enumerate(handle.nodes):
            for subnet in cni.subnets(family, place) if other != node else ():
                via = next(one for one in addresses[other] if (":" in one) == (subnet.version == 6))
                client.in_node(engine, node, "ip", "route", "replace", str(subnet), "via", via)
    taint = "node-role.kubernetes.io/control-plane:NoSchedule-"
    cluster.kubectl(["taint", "node", handle.node, taint], as_dict=False)


def _await_services(handle: ClusterHandle) -> None:
    """Return when kube-proxy has its rule for the API server's Service; after a while without it,
    too: whether Services work is asked later."""
    engine = client.at(handle.host)
    rules = ("iptables", "-w", "-t", "nat", "-S")

    def there() -> bool:
        try:
            said = client.in_node(engine, handle.node, *rules)
        except EnvironmentProblem:
            return False
        return _API_RULE in said

    waiting.within(_RULES_WITHIN, there, every=0.3)


def _masquerade(handle: ClusterHandle, family: str) -> None:
    """Give what pods send out of a node the node's address, by one rule for all pods: rules of each
    pod's own (ipMasq) cost its start and its end a dozen commands."""
    engine = client.at(handle.host)
    for command, pods in _POD_NETS.items():
        if command == "ip6tables" and family != "dual":
            continue
        rule = ("-s", pods, "!", "-d", pods, "-j", "MASQUERADE")
        for node in handle.nodes:
            client.in_node(engine, node, command, "-w", "-t", "nat", "-A", "POSTROUTING", *rule)


def _share_kube_proxy(cluster: KindCluster, handle: ClusterHandle) -> None:
    """Give every node the kube-proxy of the cluster's own version: a node of another version
    brings another one along, and not every machine can pull what it lacks."""
    found = cluster.kubectl(["-n", "kube-system", "get", "daemonset", "kube-proxy"])
    (container,) = found["spec"]["template"]["spec"]["containers"]
    archive = f"{EVIDENCE_IN_NODE}/.kube-proxy.tar"  # every node has the same folder there
    images = ("ctr", "-n", "k8s.io", "images")
    engine = client.at(handle.host)
    client.in_node(engine, handle.node, *images, "export", archive, container["image"])
    for name in handle.workers:
        client.in_node(engine, name, *images, "import", "--no-unpack", archive)
    client.in_node(engine, handle.node, "rm", archive)


def _mounts(handle: ClusterHandle, tools_root: Path, place: int) -> list[dict[str, Any]]:
    """extraMounts of the node at a place of the cluster. They exist when the node's containerd
    starts, which wants the conflist and every plugin that it names at once."""
    plugins = (cni.CAPTURE, cni.REDIRECT)
    for plugin in plugins:
        if not plugin.is_file():
            raise EnvironmentProblem(
                f"{plugin} is missing; the suite is not whole: clone or install it again."
            )
    chains = cni.folder_of(handle.kubeconfig, place)
    chains.mkdir(exist_ok=True)
    places = [
        (handle.evidence, EVIDENCE_IN_NODE, False),
        (tools_root, TOOLS_IN_NODE, True),
        (chains, "/etc/cni/net.d", True),
        # In no chain before a scenario puts it there.
        (cni.REDIRECT.parent, REDIRECT_IN_NODE, True),
        *((plugin, f"/opt/cni/bin/{plugin.name}", True) for plugin in plugins),
        (NODE_SETTINGS / "patches", PATCHES_IN_NODE, True),
        (NODE_SETTINGS / "processors.conf", _SYSTEMD_IN_NODE, True),
    ]
    if os.geteuid() == 0:  # the kubelet's files are root's alone
        outputs = handle.outputs_of(handle.nodes[place])
        outputs.mkdir(exist_ok=True)
        places.append((outputs, OUTPUTS_IN_NODE, False))
    return [
        {"hostPath": str(here.resolve()), "containerPath": there, "readOnly": fixed}
        for here, there, fixed in places
    ]


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
