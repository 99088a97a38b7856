"""pytest-kubernetes' kind provider, with what a run needs and it lacks.

It loses the environment that it is given, joins commands into a shell string, lets kind write to
the user's kubeconfig when a cluster is deleted, loads images by ``kind load docker-image`` (which
fails with Docker's containerd store, kind#3795), and keeps no log. The subclass replaces those
steps and leaves the rest, so that a fixed release can take them back one by one.
"""

from __future__ import annotations

import copy
import ipaddress
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pytest_kubernetes.providers.kind import KindManagerBase

from conformance.errors import EnvironmentProblem
from conformance.images import tools
from conformance.machine import process, waiting

PATCHES_IN_NODE = "/etc/sidecar-conformance/patches"
# kubeadm changes the manifests of the control plane by the files there (kubeadm 1.22 and newer).
_PATCHED = f"kind: InitConfiguration\npatches: {{directory: {PATCHES_IN_NODE}}}\n"
CREATE_PATIENCE = 600  # seconds; 15 to 26 s on idle cores, many times that beside compilers


class KindCluster(KindManagerBase):  # type: ignore[misc]  # the package has no types
    """One kind cluster: its config and kubeconfig are files of the run, its log too.

    config: the rendered kind config; the cluster's name is in it. env: what docker and kind need.
    """

    def __init__(self, config: Path, kubeconfig: Path, log: Path, env: Mapping[str, str]) -> None:
        self._kind = tools.kind()
        self._kubectl = tools.kubectl()
        self._env = dict(env)
        self._log = log
        self.seen = "nothing was asked yet"  # what `ready` saw last when it said no
        super().__init__(provider_config=str(config), kubeconfig=kubeconfig)
        self._cluster_options.cluster_timeout = CREATE_PATIENCE

    @property
    def _exec_path(self) -> Path:
        return self._kind

    def _exec(
        self,
        arguments: list[str],
        additional_env: Mapping[str, str] | None = None,
        timeout: int | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        command = [str(self._kind), *arguments]
        process.run(
            command,
            what=f"kind {arguments[0]} of {self.cluster_name}",
            log=self._log,
            env={**self._env, **(additional_env or {})},
            timeout=timeout or self._cluster_options.cluster_timeout,
        )
        return subprocess.CompletedProcess(command, 0, b"", b"")

    def _on_create(self, cluster_options: Any, **kwargs: Any) -> None:
        # --retain: a failed cluster stays until its kubelet's words have been read.
        super()._on_create(cluster_options, options=["--retain"], **kwargs)
        cluster_options.kubeconfig_path.chmod(0o600)

    def _on_delete(self) -> None:
        options = ["--name", self.cluster_name, "--kubeconfig", str(self.kubeconfig)]
        self._exec(["delete", "cluster", *options])

    def load_archives(self, archives: Sequence[Path]) -> None:
        """Load image archives (``docker save``) into every node."""
        for archive in archives:
            self._exec(["load", "image-archive", str(archive), "--name", self.cluster_name])

    def kubectl(self, args: list[str], as_dict: bool = True, timeout: int = 60) -> Any:
        """Run kubectl against this cluster; its JSON as data, or its text."""
        said = process.run(
            [
                self._kubectl,
                *("--kubeconfig", str(self.kubeconfig)),
                *args,
                *(["-o", "json"] if as_dict else []),
            ],
            what=f"kubectl {' '.join(args[:3])} on {self.cluster_name}",
            timeout=timeout,
        )
        return json.loads(said) if as_dict else said

    def ready(self, timeout: int = 20) -> bool:
        """Whether, within ``timeout`` seconds, the API answers and every node is Ready."""
        if self.kubeconfig is None or not self.kubeconfig.exists():
            return False
        try:
            waiting.until(
                "a Ready node",
                lambda: self._must_be_ready(timeout),
                seconds=timeout,
                every=0.5,
                forgive=EnvironmentProblem,
            )
        except EnvironmentProblem as problem:
            self.seen = str(problem)
            return False
        return True

    def renew_dns(self) -> None:
        """Have CoreDNS begin anew, and be asked every second whether it is ready: one of it, which
        asks for little of the node. To be called when kube-proxy has its rules.

        The first pods may dial the API server's Service before that; the kernel keeps a dial that
        began like that away from the rules, and CoreDNS gives it up after 30 s.
        """
        self.kubectl(
            ["-n", "kube-system", "patch", "deployment", "coredns", "--patch", json.dumps(_DNS)],
            as_dict=False,
        )

    def await_system(self, timeout: int = 180) -> None:
        """Return when DNS and Services work: kube-proxy and CoreDNS are ready.

        Raises EnvironmentProblem with what kubectl saw last.
        """
        limit = f"--timeout={timeout}s"
        for what in ("daemonset/kube-proxy", "deployment/coredns"):
            self.kubectl(
                ["-n", "kube-system", "rollout", "status", what, limit],
                as_dict=False,
                timeout=timeout + 10,
            )

    def _must_be_ready(self, timeout: int) -> bool:
        """True, or EnvironmentProblem with what is not ready yet."""
        self.kubectl(["get", "--raw", "/readyz"], as_dict=False)
        # Pods are refused before the controller manager has made this account.
        self.kubectl(["-n", "default", "get", "serviceaccount", "default"], as_dict=False)
        limit = f"--timeout={timeout}s"
        self.kubectl(
            ["wait", "--for=condition=Ready", "nodes", "--all", limit],
            as_dict=False,
            timeout=timeout + 10,
        )
        return True


_DNS_CONTAINER = {
    "name": "coredns",
    "readinessProbe": {"periodSeconds": 1},
    "resources": {"requests": {"cpu": "20m"}},
}
_DNS = {"spec": {"replicas": 1, "template": {"spec": {"containers": [_DNS_CONTAINER]}}}}

# The nodes beside the first one, where the suite adds them: only what is meant for them comes to
# them, so that whatever is said about "the node" is still about the first.
FAR = "sidecar-conformance/far"
_FAR_PATCH = f"""\
kind: JoinConfiguration
nodeRegistration:
  taints:
    - {{key: {FAR}, effect: NoSchedule}}
"""


def with_nodes(config: Mapping[str, Any], count: int) -> dict[str, Any]:
    """A kind config with at least so many nodes, for pods that are to be apart from each other."""
    made = copy.deepcopy(dict(config))
    nodes = made.setdefault("nodes", [{"role": "control-plane"}])
    while len(nodes) < count:
        nodes.append(
            {"role": "worker", "labels": {FAR: "true"}, "kubeadmConfigPatches": [_FAR_PATCH]}
        )
    return made


def node_names(config: Mapping[str, Any], cluster: str) -> list[str]:
    """The containers of a config's nodes, as kind names them: control-plane, worker, worker2 …"""
    names: list[str] = []
    for node in config["nodes"]:
        role = f"{cluster}-{node['role']}"
        again = sum(name.rstrip("0123456789") == role for name in names)
        names.append(f"{role}{again + 1}" if again else role)
    return names


def render(
    config: Mapping[str, Any],
    *,
    name: str,
    images: Mapping[str, str],
    mounts: Callable[[int], Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """A kind config with the run's own name, node images, mounts and settings of the control plane;
    the rest is as it was.

    images: the name in the config → what the engine has for it, the first node's first: a node that
    names none gets that. mounts: of the node at a place in the config. The API's port is picked by
    Docker (-1) and not by kind (0), which looks for a free one and lets it go again before Docker
    takes it: two creations at once can be given the same.
    """
    made = copy.deepcopy(dict(config))
    made["name"] = name
    made["kubeadmConfigPatches"] = [*made.get("kubeadmConfigPatches", []), _PATCHED]
    made.setdefault("networking", {}).setdefault("apiServerPort", -1)
    nodes = made.setdefault("nodes", [{"role": "control-plane"}])
    first = next(iter(images))
    for place, node in enumerate(nodes):
        node["image"] = images[node.get("image", first)]
        node["extraMounts"] = [*node.get("extraMounts", []), *map(dict, mounts(place))]
    return made


def render_conflist(conflist: str, *plugins: str, place: int = 0, nodes: int = 1) -> str:
    """A CNI conflist (JSON) with plugins put at the end of its chain, for the node at a place of
    its cluster.

    Each node has the next subnet of the same size, as the controller manager gives them out, so
    that no two pods share an address. Where there are several nodes, the subnet is named as a part
    of the whole pod network: what goes to another node's pods keeps its address then, for ptp
    masks only what leaves the subnet (plugins/pkg/ip, SetupIPMasq).
    """
    made = json.loads(conflist)
    for one in made["plugins"]:
        for pool in chain.from_iterable(one.get("ipam", {}).get("ranges", ())):
            own = pod_subnet(pool["subnet"], place)
            pool["subnet"] = str(own)
            if nodes > 1:
                pool["subnet"] = str(own.supernet(new_prefix=_POD_NETWORK[own.version]))
                pool["gateway"] = str(own[1])
                pool["rangeStart"], pool["rangeEnd"] = str(own[2]), str(own[254])
    made["plugins"] += [{"type": plugin} for plugin in plugins]
    return json.dumps(made, indent=2) + "\n"


# kind's default networking.podSubnet, by IP version (pkg/apis/config/v1alpha4/default.go).
_POD_NETWORK = {4: 16, 6: 56}
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network


def pod_subnet(first: str, place: int) -> Subnet:
    """The pods' subnet of the node at a place, where the first node has ``first``."""
    subnet = ipaddress.ip_network(first)
    start = subnet.network_address + place * subnet.num_addresses
    return ipaddress.ip_network(f"{start}/{subnet.prefixlen}")


def ip_family(config: Mapping[str, Any]) -> str:
    """Which addresses a kind config's cluster has: ipv4 (kind's default) or dual."""
    return str((config.get("networking") or {}).get("ipFamily", "ipv4"))


def read_config(path: Path) -> dict[str, Any]:
    """A kind config file as data. Raises EnvironmentProblem when it is none."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise EnvironmentProblem(f"{path} cannot be read as a kind config: {error}.") from error
    if not isinstance(data, dict) or data.get("kind") != "Cluster":
        raise EnvironmentProblem(f"{path} is no kind config: it has no 'kind: Cluster'.")
    return data
