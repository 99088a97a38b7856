"""A cluster that the suite did not make: reached by its kubeconfig, and left as it was.

pytest-kubernetes' external provider, with the user's kubeconfig cut down to the one context, in a
file of the run's own: whatever the user's current context becomes meanwhile, the run stays where
it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pytest_kubernetes.providers.external import ExternalManagerBase

from conformance.cluster.state import HOSTNAME
from conformance.errors import EnvironmentProblem, UsageProblem
from conformance.images import tools
from conformance.machine import process

Json = dict[str, Any]
_ANSWER_WITHIN = 20  # seconds; kubectl tries several times by itself


class ExistingCluster(ExternalManagerBase):  # type: ignore[misc]  # the package has no types
    """One cluster. kubeconfig: of the run's own, with one context. name: that context's."""

    def __init__(self, kubeconfig: Path, name: str) -> None:
        self._kubectl = tools.kubectl()
        self.name = name
        super().__init__(cluster_name=name, kubeconfig=kubeconfig)

    def kubectl(self, args: list[str], as_dict: bool = True, timeout: int = 60) -> Any:
        """Run kubectl against this cluster; its JSON as data, or its text."""
        said = process.run(
            [
                self._kubectl,
                *("--kubeconfig", str(self.kubeconfig)),
                *args,
                *(["-o", "json"] if as_dict else []),
            ],
            what=f"kubectl {' '.join(args[:3])} on {self.name}",
            timeout=timeout,
        )
        return json.loads(said) if as_dict else said


@dataclass(frozen=True)
class Node:
    """A node of the cluster. hostname: by which pods ask for it; it need not be the name.
    about: its versions, as a report has them. subnets: its pods'."""

    name: str
    hostname: str
    about: Mapping[str, str]
    addresses: Sequence[str]
    subnets: Sequence[str]


def contexts(kubeconfig: Path) -> tuple[Sequence[str], str]:
    """The contexts of a kubeconfig file, and its current one. Raises UsageProblem."""
    try:
        content = yaml.safe_load(kubeconfig.read_text())
        names = [str(one["name"]) for one in content["contexts"]]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageProblem(
            f"KUBECONFIG_FILE={kubeconfig} is no kubeconfig: {str(error).splitlines()[0]}; name "
            "the file that kubectl uses for the cluster."
        ) from error
    return names, str(content.get("current-context") or "")


def reach(kubeconfig: Path, context: str, target: Path) -> ExistingCluster:
    """Write a kubeconfig with the one context to ``target``, and see that the cluster answers.

    context: "" for the current one. Raises UsageProblem for one that is not in the file,
    EnvironmentProblem for a cluster that does not answer, or lets nobody in.
    """
    names, current = contexts(kubeconfig)
    wanted = context or current
    if wanted not in names:
        what = f"CONTEXT={wanted} is not in" if wanted else "no context is the current one of"
        raise UsageProblem(f"{what} {kubeconfig}; choose from {', '.join(names) or 'none'}.")
    cut = process.run(
        [
            *(tools.kubectl(), "config", "view", "--raw", "--minify", "--flatten"),
            *("--kubeconfig", str(kubeconfig), "--context", wanted),
        ],
        what=f"reading context {wanted} of {kubeconfig}",
        timeout=_ANSWER_WITHIN,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    target.write_text(cut)
    cluster = ExistingCluster(target, wanted)
    server = yaml.safe_load(cut)["clusters"][0]["cluster"].get("server", "")
    try:
        cluster.kubectl(
            ["get", "--raw", "/version", "--request-timeout=10s"],
            as_dict=False,
            timeout=_ANSWER_WITHIN,
        )
    except EnvironmentProblem as problem:
        raise EnvironmentProblem(
            f"The cluster of context {wanted} ({server}) cannot be used: {_reason(str(problem))}; "
            "is it up, is the way to it open, and are the credentials still good?"
        ) from problem
    return cluster


def _reason(said: str) -> str:
    """What kubectl said at last, without the lines of its library before it."""
    last = said.rpartition(" / ")[2] or said
    return re.sub(r"^.*?exit code \d+: ", "", last).rstrip(". ")


def minor(cluster: ExistingCluster) -> str:
    """ "1.33": the API server's, whatever its vendor puts behind it."""
    version = json.loads(cluster.kubectl(["get", "--raw", "/version"], as_dict=False))
    found = re.match(r"v(\d+\.\d+)", version["gitVersion"])
    if found is None:
        raise EnvironmentProblem(f"{cluster.name} says that it is {version['gitVersion']}.")
    return found[1]


def choose_node(cluster: ExistingCluster, wanted: str = "") -> Node:
    """A node for all pods of the run: Ready, Linux, and open to any pod; no control plane where
    there is another. One node, because the stamps of two have two clocks. wanted: its name.

    Raises EnvironmentProblem when there is none.
    """
    nodes = cluster.kubectl(["get", "nodes"])["items"]
    if wanted:
        nodes = [node for node in nodes if node["metadata"]["name"] == wanted]
        if not nodes:
            raise EnvironmentProblem(f"{cluster.name} has no node {wanted} (ON_NODE).")
    open_ones = [node for node in nodes if _takes_pods(node)]
    if not open_ones:
        raise EnvironmentProblem(
            f"{cluster.name} has no node for the run: of {len(nodes)} none is Ready, Linux and "
            "without a taint that keeps pods away."
        )
    chosen = min(open_ones, key=_holds_control_plane)
    return Node(
        chosen["metadata"]["name"],
        chosen["metadata"]["labels"].get(HOSTNAME, chosen["metadata"]["name"]),
        _about(chosen),
        [one["address"] for one in chosen["status"]["addresses"] if one["type"] != "Hostname"],
        chosen["spec"].get("podCIDRs") or [],
    )


def _holds_control_plane(node: Json) -> bool:
    return "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"]


def _takes_pods(node: Json) -> bool:
    spec, status = node["spec"], node["status"]
    return (
        not spec.get("unschedulable")
        and not any(one["effect"] != "PreferNoSchedule" for one in spec.get("taints") or ())
        and node["metadata"]["labels"].get("kubernetes.io/os", "linux") == "linux"
        and any(one["type"] == "Ready" and one["status"] == "True" for one in status["conditions"])
    )


def _about(node: Json) -> Mapping[str, str]:
    info = node["status"]["nodeInfo"]
    return {
        "role": "control-plane" if _holds_control_plane(node) else "worker",
        "kubelet": info["kubeletVersion"],
        "runtime": info["containerRuntimeVersion"],
        "kernel": info["kernelVersion"],
        "os": info["osImage"],
        "architecture": info["architecture"],
    }
