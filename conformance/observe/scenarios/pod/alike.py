"""The alike scenario: what the kubelet does for regular containers, and for a sidecar as well.

subject  its OOM scores are read; its sidecar and its app are given another image; its sidecar
         then writes more to its own disk than its limit allows
twin     its sidecar is a regular container in both patterns, and writes as much: so that it is
         seen that the kubelet looks at limits
"""

from __future__ import annotations

import json

from kubernetes.utils.quantity import parse_quantity

from conformance.evidence.vocabulary import Role, Step
from conformance.observe import workloads
from conformance.observe.pods import running_id
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.stage import APP_CONTAINER, Stage, Stuck
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture import driver as fixture

_MIB = 1 << 20
# The app asks for more memory than its sidecar does, by so great a part of the node's: a score is
# a thousand, less the part that is asked for in thousandths.
_PART = 64
LIMIT_MIB = 20  # of the sidecar's disk; it writes stamps elsewhere, and little to its output
FILLED_MIB = 64
ROOM = "1Gi"  # the app's limit: without it, the pod's own limit would be the sidecar's
# The kubelet looks at disks every 10 s (pkg/kubelet/kubelet.go, evictionMonitoringPeriod).
BOUND_SECONDS = 35.0
IMAGE_BOUND_SECONDS = 20.0  # after the app's restart, which the kubelet decides in the same pass


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()
    app_bytes = _memory_of_node(stage) // _PART + 32 * _MIB

    def limited(document: Manifest) -> None:
        _limit(stage.sidecar_in(document), f"{LIMIT_MIB}Mi")
        app = departing.app_in(document)
        _limit(app, ROOM)
        app["resources"]["requests"]["memory"] = str(app_bytes)

    def regular(document: Manifest) -> None:
        sidecar = fixture.container(SUBJECT)
        _limit(sidecar, f"{LIMIT_MIB}Mi")
        _limit(departing.app_in(document), ROOM)
        fixture.add(document, sidecar, native=False)
        document.update(workloads.as_role(document, Role.TWIN))

    departing.create(stage, SUBJECT, limited)
    stage.create(SUBJECT, alter=regular)
    for pod in (SUBJECT, Role.TWIN):
        stage.await_ready(pod)
    _read_scores(stage)
    with stage.going_on():
        _change_images(stage)
    _fill_disks(stage)
    return SUBJECT


def _limit(container: Manifest, disk: str) -> None:
    """Limit a container's own disk. It asks for little of it: a limit would be its request."""
    resources = container["resources"]
    resources["requests"]["ephemeral-storage"] = "1Mi"
    resources["limits"] = {"ephemeral-storage": disk}


def _memory_of_node(stage: Stage) -> int:
    """Its capacity, in bytes, as commands.jsonl keeps it too."""
    path = "jsonpath={.status.capacity.memory}"
    return int(parse_quantity(stage.kubectl("get", "node", stage.handle.node, "-o", path)))


def _read_scores(stage: Stage) -> None:
    """What the kernel goes by when it has to kill for memory."""
    for container in (fixture.CONTAINER, APP_CONTAINER):
        stage.kubectl("exec", SUBJECT, "-c", container, "--", "cat", "/proc/1/oom_score_adj")


def _change_images(stage: Stage) -> None:
    """Give both containers the image by another name, in one change of the pod."""
    image = _second_name(stage, stage.images[fixture.IMAGE])
    before = {name: _running(stage, name) for name in (APP_CONTAINER, fixture.CONTAINER)}
    # In the order that they have: a patch in another one would move them, which is forbidden.
    spec: dict[str, list[Manifest]] = {"initContainers": [], "containers": []}
    group = "initContainers" if stage.cell.pattern == "native" else "containers"
    for where, name in (("containers", APP_CONTAINER), (group, fixture.CONTAINER)):
        spec[where].append({"name": name, "image": image})
    stage.step(Step.IMAGE_ASKED, image=image)
    stage.core.patch_namespaced_pod(SUBJECT, stage.namespace, {"spec": spec})

    def again(name: str) -> bool:
        return _running(stage, name) not in ("", before[name])

    stage.wait(
        "the app's restart with another image",
        lambda: again(APP_CONTAINER),
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )
    with stage.going_on(Step.IMAGE_BOUND):
        stage.wait(
            "the sidecar's restart with another image",
            lambda: again(fixture.CONTAINER),
            seconds=IMAGE_BOUND_SECONDS,
            seen=lambda: stage.describe(SUBJECT),
        )
    stage.await_ready(SUBJECT)


def _second_name(stage: Stage, image: str) -> str:
    """Another name for an image that the node has. The kubelet goes by names: to it, it is another
    image."""
    runtime = ("ctr", "-n", "k8s.io", "images")
    known = stage.on_node(*runtime, "ls", "-q", what="listing images").split()
    whole = next((one for one in known if one == image or one.endswith(f"/{image}")), None)
    if whole is None:
        raise Stuck(f"the node has no image {image}")
    stage.on_node(*runtime, "tag", "--force", whole, f"{whole}-again", what="naming an image")
    return f"{image}-again"


def _running(stage: Stage, container: str) -> str:
    """The id of a container of the subject that runs; "" where it does not."""
    return running_id(stage.watch.newest("Pod", SUBJECT) or {}, container)


def _fill_disks(stage: Stage) -> None:
    """Have both sidecars write more than they may, the subject's first, until both pods are evicted
    or the kubelet has passed the subject over for long enough."""
    count = f"count={FILLED_MIB}"
    for pod in (SUBJECT, Role.TWIN):
        command = ("dd", "if=/dev/zero", "of=/filled", "bs=1M", count)
        stage.execute(pod, fixture.CONTAINER, command)
        stage.step(Step.DISK_FILLED, pod=pod, container=fixture.CONTAINER, mebibytes=FILLED_MIB)

    def seen() -> bool:
        return _evicted(stage, SUBJECT) or _used(stage) > LIMIT_MIB * _MIB

    stage.wait("the kubelet's word on the disk", seen, seconds=60, seen=lambda: "less", every=1)
    _tell_used(stage)
    stage.wait(
        "the eviction of the twin",
        lambda: _evicted(stage, Role.TWIN),
        seconds=90,
        seen=lambda: stage.describe(Role.TWIN),
    )
    try:
        stage.wait(
            "the eviction of the subject",
            lambda: _evicted(stage, SUBJECT),
            seconds=BOUND_SECONDS,
            seen=lambda: stage.describe(SUBJECT),
        )
    except Stuck as stuck:
        _tell_used(stage)
        stage.step(Step.DISK_BOUND, why=str(stuck))


def _evicted(stage: Stage, pod: str) -> bool:
    """Whether a pod has come to its end, which one with restartPolicy Always does not by itself.
    Where all of its containers end with 0, it may be called Succeeded."""
    status = (stage.watch.newest("Pod", pod) or {}).get("status", {})
    return bool(status.get("phase") in ("Failed", "Succeeded"))


def _tell_used(stage: Stage) -> None:
    if used := _used(stage):
        stage.step(Step.DISK_USED, pod=SUBJECT, container=fixture.CONTAINER, bytes=used)


def _used(stage: Stage) -> int:
    """What the subject's sidecar has written to its own disk, by the kubelet's statistics (bytes);
    0 where they do not say."""
    told = stage.core.connect_get_node_proxy_with_path(
        stage.handle.node, "stats/summary", _preload_content=False
    )
    return sum(
        one.get("rootfs", {}).get("usedBytes", 0) + one.get("logs", {}).get("usedBytes", 0)
        for pod in json.loads(told.data)["pods"]
        if (pod["podRef"]["namespace"], pod["podRef"]["name"]) == (stage.namespace, SUBJECT)
        for one in pod.get("containers") or ()
        if one["name"] == fixture.CONTAINER
    )
