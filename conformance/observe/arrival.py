"""The run arrives on a cluster of others: its own namespace, a pod with its image, the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from kubernetes import client as k8s
from kubernetes.stream import stream

from conformance.cluster.state import HOSTNAME, RUN_LABEL, ClusterHandle, base_namespace
from conformance.errors import EnvironmentProblem
from conformance.machine import waiting
from conformance.machine.progress import board
from conformance.sidecars import dry_run

_POD = "arrival"
_PULL_WITHIN = 180.0  # seconds; the image has some 150 MB
_CANNOT_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_LONGEST = 160  # characters of an error: programs in Go put the cause last
_NO_ACCOUNT = "error looking up service account"  # plugin/pkg/admission/serviceaccount
_LONGEST_REFUSAL = 400  # characters: what Pod Security lists of one container fits in
_ASKED = 15  # times; the quickest answer counts
_CLOCK = "import sys, time\nfor _ in sys.stdin:\n print(time.time_ns(), flush=True)"


@dataclass(frozen=True)
class Arrived:
    """ahead_ns: what the node's clock is ahead of this machine's, known to within_ns."""

    ahead_ns: int
    within_ns: int

    @property
    def clock(self) -> Mapping[str, float]:
        """For the versions of a report (ms)."""
        return {"ahead_ms": self.ahead_ns / 1e6, "within_ms": self.within_ns / 1e6}


def arrive(handle: ClusterHandle, client: Any, images: Mapping[str, str]) -> Arrived:
    """Make the run's namespace and see that a pod with the suite's image runs on the node.

    Raises EnvironmentProblem that says what was refused, or why the image did not come.
    """
    core = k8s.CoreV1Api(client)
    namespace = base_namespace(handle.label)
    labels = {"sidecar-conformance": "run", RUN_LABEL: handle.label}
    core.create_namespace({"metadata": {"name": namespace, "labels": labels}})
    with board.phase(f"bringing the suite's image to node {handle.node}"):
        _create(core, namespace, handle.hostname, images["app"])
        waiting.until(
            f"a pod with the image {images['app']} on node {handle.node}",
            lambda: _runs(core, namespace, images["app"]),
            seconds=_PULL_WITHIN,
            every=0.5,
            seen=lambda: _seen(core, namespace),
        )
    arrived = _clock(client, namespace)
    with suppress(k8s.ApiException):
        core.delete_namespaced_pod(_POD, namespace, grace_period_seconds=0)
    return arrived


def _create(core: k8s.CoreV1Api, namespace: str, hostname: str, image: str) -> None:
    pod = {
        "metadata": {"name": _POD},
        "spec": {
            "nodeSelector": {HOSTNAME: hostname},
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "app",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-I", "-S", "-c", "import time; time.sleep(3600)"],
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                }
            ],
        },
    }

    def created() -> bool:
        try:
            core.create_namespaced_pod(namespace, pod)
        except k8s.ApiException as error:
            said = dry_run.said_by(error)
            if error.status == 403 and _NO_ACCOUNT in said:
                return False  # the controller has not made it yet
            words = shorten(said, _LONGEST_REFUSAL, placeholder=" …")
            raise EnvironmentProblem(
                f"The cluster refuses a plain pod of the suite: {words}; "
                "it needs namespaces without the Pod Security level restricted, and without a "
                "policy of its kind."
            ) from error
        return True

    waiting.until("the service account of the run's namespace", created, seconds=60, every=0.2)


def _runs(core: k8s.CoreV1Api, namespace: str, image: str) -> bool:
    pod = core.read_namespaced_pod(_POD, namespace)
    for status in pod.status.container_statuses or ():
        waits = status.state.waiting
        if waits and waits.reason in _CANNOT_PULL and waits.reason != "ErrImagePull":
            raise EnvironmentProblem(
                f"The image {image} cannot be pulled by the cluster: "
                f"{_pull_error(core, namespace) or waits.message}; push it to a registry that the "
                "cluster reaches (images --push --image-prefix REGISTRY, and the same "
                "--image-prefix here), or load it into its nodes."
            )
    return str(pod.status.phase) == "Running"


def _pull_error(core: k8s.CoreV1Api, namespace: str) -> str:
    """The kubelet's own words on the pull that failed, the innermost."""
    events = core.list_namespaced_event(namespace).items
    failed = [one.message for one in events if one.reason == "Failed" and "pull" in one.message]
    said = failed[0].rpartition("desc = ")[2] if failed else ""
    return f"… {said[-_LONGEST:]}" if len(said) > _LONGEST else said


def _seen(core: k8s.CoreV1Api, namespace: str) -> str:
    events = core.list_namespaced_event(namespace).items
    return "; ".join(one.message for one in events[-2:]) or "no event"


def _clock(client: Any, namespace: str) -> Arrived:
    """The node's clock against this machine's: an answer came between two moments of it.

    Raises EnvironmentProblem when nobody answers.
    """
    channel = stream(
        k8s.CoreV1Api(k8s.ApiClient(client.configuration)).connect_get_namespaced_pod_exec,
        _POD,
        namespace,
        container="app",
        command=["python3", "-I", "-S", "-u", "-c", _CLOCK],
        stderr=True,
        stdin=True,
        stdout=True,
        tty=False,
        _preload_content=False,
    )
    best: Arrived | None = None
    for _ in range(_ASKED):
        before = time.time_ns()
        channel.write_stdin("?\n")
        said = channel.readline_stdout(timeout=10)
        after = time.time_ns()
        if not said:
            break
        within = (after - before) // 2
        if best is None or within < best.within_ns:
            best = Arrived(int(said) - (before + within), within)
    channel.close()
    if best is None:
        raise EnvironmentProblem(
            "The clock of the node could not be read: exec into a pod of the suite gave nothing."
        )
    return best
