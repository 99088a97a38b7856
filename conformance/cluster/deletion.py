"""A run's clusters go: finished, half made, or left by a run that was killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from conformance.cluster import connection, network
from conformance.cluster.state import EVIDENCE_IN_NODE, ClusterHandle
from conformance.engine import client
from conformance.engine.client import CLUSTER_LABEL, Client, docker
from conformance.errors import EnvironmentProblem
from conformance.machine import waiting
from conformance.machine.runs import Record, shielded

_DOCKER_SECONDS = 120.0


def delete(handle: ClusterHandle) -> None:
    """Remove the cluster's containers and its kubeconfig, finished or half made. Idempotent.

    Raises EnvironmentProblem when the engine refuses several times.
    """
    _remove_containers(handle.host, handle.name)
    connection.forget(handle.kubeconfig)
    _remove_outputs(handle.kubeconfig.parent)


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
        for cluster in Path(record.results).glob("clusters/*/"):
            connection.forget(cluster / "kubeconfig")
            _remove_outputs(cluster)
        network.remove_all(record)


def _remove_outputs(folder: Path) -> None:
    """The nodes' own files of what containers wrote: the cells' bundles have all that is theirs."""
    for outputs in folder.glob(".output*"):
        shutil.rmtree(outputs, ignore_errors=True)


def _remove_containers(host: str, cluster: str) -> None:
    """docker rm until none is listed twice in a row: one may still be in the making.

    kind keeps all its state in the containers' labels, so nobody else has to know.
    """
    engine, label = client.at(host), f"label={CLUSTER_LABEL}={cluster}"
    seen_none = 0

    def attempt() -> bool:
        nonlocal seen_none
        ps = docker(engine, "ps", "-aq", "--filter", label, timeout=_DOCKER_SECONDS)
        if listed := ps.split():
            _return_evidence(engine, listed)
            docker(engine, "rm", "-f", "-v", *listed, timeout=_DOCKER_SECONDS)
        seen_none = 0 if listed else seen_none + 1
        return seen_none >= 2

    waiting.until(
        f"the end of {cluster}'s containers",
        attempt,
        seconds=2,
        every=0.3,
        least=8,
        forgive=EnvironmentProblem,
    )


def _end_orphans(record: Record) -> None:
    """End the kind commands of a run that was killed: they would go on and make what we remove."""
    mark = f"{record.results}/clusters/"
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's; no /proc: no Linux
            words = (entry / "cmdline").read_text(errors="replace").split("\0")
            if Path(words[0]).name == "kind" and any(word.startswith(mark) for word in words):
                os.killpg(int(entry.name), signal.SIGKILL)  # process.start made it a leader


def _return_evidence(engine: Client, containers: Sequence[str]) -> None:
    """Nodes write as root; whoever may use Docker without being root gets the files all the same.

    The folder itself belongs to that user, however the engine maps users.
    """
    if os.geteuid() == 0:
        return
    give = ["chown", "-R", f"--reference={EVIDENCE_IN_NODE}", EVIDENCE_IN_NODE]
    for container in containers:
        with suppress(EnvironmentProblem):  # it may not run (any more)
            client.in_node(engine, container, *give)
