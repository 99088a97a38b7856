"""Why a cluster did not come up, in the words of whoever knows: kind, kubeadm, the kubelet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from conformance.cluster.state import ClusterHandle
from conformance.engine import client
from conformance.engine.client import CLUSTER_LABEL, docker
from conformance.errors import EnvironmentProblem

_LONGEST = 400  # characters of one program's error
_BEGINNING = 120  # of them from its beginning
# kubeadm runs with -v=6 under kind and prints each error with its stack (cmd/kubeadm/app/util/
# error.go): a message, then the function that made it.
_KUBEADM_FRAME = "k8s.io/kubernetes/cmd/kubeadm/"


def explained(handle: ClusterHandle, error: Exception) -> EnvironmentProblem:
    """Save the nodes' logs beside kind's; the failure in one sentence, with kubeadm's own error and
    the last errors of a kubelet: the control plane's, or that of a node that came to join it."""
    folder, engine = handle.kubeconfig.parent, client.at(handle.host)
    names = {handle.node: ""}  # node → what its files' names begin with
    with suppress(EnvironmentProblem):
        label = f"label={CLUSTER_LABEL}={handle.name}"
        listed = docker(engine, "ps", "-a", "--format", "{{.Names}}", "--filter", label, timeout=60)
        names |= {name: f"{name}." for name in listed.split() if name != handle.node}
    kubelets = ""
    for node, prefix in names.items():
        for unit in ("kubelet", "containerd"):
            with suppress(EnvironmentProblem):
                read = ["journalctl", "-u", unit, "--no-pager", "-o", "cat"]
                journal = client.in_node(engine, node, *read)
                (folder / f"{prefix}{unit}.log").write_text(journal)
                kubelets += journal if unit == "kubelet" else ""
        with suppress(EnvironmentProblem):
            output = docker(engine, "logs", "--tail", "200", node, timeout=60)
            (folder / f"{prefix}node.log").write_text(output)
    log = folder / "kind.log"
    kinds = log.read_text(errors="replace") if log.exists() else ""
    parts = [kind_error(kinds) or shortened(str(error))]
    if kubeadm := kubeadm_errors(kinds):
        parts.append(f"kubeadm said: {' / '.join(kubeadm)}")
    parts.append(f"its kubelet said: {' / '.join(kubelet_errors(kubelets)) or 'nothing'}")
    reason = "; ".join(part.rstrip(".") for part in parts)
    return EnvironmentProblem(
        f"The cluster for Kubernetes {handle.minor} did not come up: {reason}; the logs are in "
        f"{folder}."
    )


def shortened(text: str) -> str:
    """A long error without its middle: programs in Go put the cause last."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_BEGINNING]} … {text[-(_LONGEST - _BEGINNING) :]}"


def kind_error(log: str) -> str:
    """The last error of a kind log in one line, without the command that failed (the log has it)
    and the output that follows it; or ""."""
    errors = [line for line in log.splitlines() if line.startswith("ERROR: ")]
    if not errors:
        return ""
    return shortened(errors[-1].removeprefix("ERROR: ").partition(': command "')[0])


def kubeadm_errors(log: str, most: int = 3) -> list[str]:
    """The distinct errors of kubeadm in a kind log, the cause first; [] when it printed none.

    A preflight check that failed is a line of its own ("[ERROR Port-6443]: …").
    """
    lines = log.rpartition("\nERROR: ")[2].splitlines()
    return _distinct(_kubeadm_lines(lines), most)


def _kubeadm_lines(lines: list[str]) -> Iterable[str]:
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        made_here = following.startswith(_KUBEADM_FRAME) and not line.startswith(("\t", "["))
        if line.lstrip().startswith("[ERROR ") or made_here:
            yield line
        elif line.startswith(("error: ", "error execution phase ")):
            yield line.removeprefix("error: ")


def kubelet_errors(journal: str, most: int = 2) -> list[str]:
    """The last distinct errors in a kubelet's journal, newest last.

    klog's lines for errors and fatal errors begin with E or F and the date; a kubelet that cannot
    read its config panics.
    """
    form = re.compile(r"(?:[EF]\d{4} \S+\s+\d+ |(?=panic: |[Ee]rror: ))(.*)")
    matches = (form.match(line) for line in reversed(journal.splitlines()))
    return _distinct((match[1] for match in matches if match), most)[::-1]


def _distinct(errors: Iterable[str], most: int) -> list[str]:
    """The first distinct ones, shortened."""
    found: dict[str, None] = {}
    for error in errors:
        found.setdefault(shortened(error.strip()))
        if len(found) == most:
            break
    return list(found)
