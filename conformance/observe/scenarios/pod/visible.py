"""The visible scenario: what tools show of a pod with a sidecar, in one pod's life.

The article's own commands are run as they stand there. Then the sidecar is made unready and ready
again, crashes once, takes memory until the kubelet's metrics show it, and an old collector is asked
about the pod; at last the pod is deleted while kubectl follows the sidecar's log.
"""

from __future__ import annotations

import json

from conformance.evidence.vocabulary import File, Step
from conformance.machine import process
from conformance.observe.pods import condition
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.pod import naive
from conformance.observe.stage import Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture import driver as fixture

MEBIBYTES = 96  # what the sidecar takes: far more than the pod's programs have without it


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""

    def probed(document: Manifest) -> None:
        sidecar = stage.sidecar_in(document)
        health = {"path": "/healthz/ready", "port": fixture.HEALTH_PORT}
        sidecar["readinessProbe"] = {"httpGet": health, "periodSeconds": 1}
        manifests.set_variable(sidecar, "SC_START_DELAY", "1")

    stage.without_capture()
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject", alter=probed)
    stage.await_ready(SUBJECT)
    stage.step(Step.SUBJECT_READY)
    if stage.cell.pattern == "native":
        _ask_as_the_article_does(stage)
    _become_unready(stage)
    _crash_once(stage)
    _take_memory(stage)
    _delete_while_following(stage)
    return SUBJECT


def _ask_as_the_article_does(stage: Stage) -> None:
    """Its steps 2 and 6, and the first command of "Verify the lifecycle"."""
    name = fixture.CONTAINER
    for path in (
        f'{{.spec.initContainers[?(@.name=="{name}")].restartPolicy}}',
        "{.spec.initContainers[*].name}",
        "{.status.initContainerStatuses[*].state}",
    ):
        stage.kubectl("get", "pod", SUBJECT, "-o", f"jsonpath={path}")


def _ask(stage: Stage, path: str) -> None:
    """Ask the sidecar for something; one that ends at it gives no answer."""
    command = ("python3", "-I", "-S", "/app/ask.py", str(fixture.HEALTH_PORT), path)
    stage.step(Step.SIDECAR_ASKED, path=path)
    stage.execute(SUBJECT, fixture.CONTAINER, command)


def _await_condition(stage: Stage, ready: bool) -> None:
    stage.wait(
        f"the pod's condition Ready {ready}",
        lambda: condition(stage.watch.newest("Pod", SUBJECT) or {}, "Ready") is ready,
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )


def _become_unready(stage: Stage) -> None:
    stage.kubectl("get", "pod", SUBJECT)
    for path, ready in (("/unready", False), ("/ready", True)):
        _ask(stage, path)
        _await_condition(stage, ready)
        stage.kubectl("get", "pod", SUBJECT)


def _crash_once(stage: Stage) -> None:
    _ask(stage, "/crash")
    stage.wait(
        "the sidecar's restart",
        lambda: stage.containers(SUBJECT).get(fixture.CONTAINER, {}).get("restartCount"),
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )
    _await_condition(stage, True)


def _take_memory(stage: Stage) -> None:
    """The kubelet samples memory some times a minute: its metrics are read until they show it."""
    _ask(stage, f"/allocate/{MEBIBYTES}")
    metrics = ""

    def shown() -> bool:
        nonlocal metrics
        metrics = _metrics(stage)
        return _shows_memory(metrics)

    with stage.going_on():
        stage.wait("metrics of the memory", shown, seconds=60, seen=lambda: metrics, every=1)
    stage.step(Step.METRICS_READ)
    (stage.bundle / File.METRICS).write_text(metrics)
    told = naive.collect(stage.watch.newest("Pod", SUBJECT) or {}, metrics)
    ns = stage.step(Step.NAIVE_ASKED)
    (stage.bundle / File.NAIVE).write_text(json.dumps({"ns": ns, **told}) + "\n")


def _metrics(stage: Stage) -> str:
    """The lines of the kubelet's /metrics/resource that are about this namespace."""
    found = str(stage.core.connect_get_node_proxy_with_path(stage.handle.node, "metrics/resource"))
    mine = f'namespace="{stage.namespace}"'
    return "".join(f"{line}\n" for line in found.splitlines() if mine in line)


def _shows_memory(metrics: str) -> bool:
    """Whether the memory of the pod, and that of one of its containers, is what was taken."""
    grown = [
        line.partition("_")[0]
        for line in metrics.splitlines()
        if "memory_working_set_bytes" in line and float(line.split()[1]) >= MEBIBYTES << 20
    ]
    return {"container", "pod"} <= set(grown)


def _delete_while_following(stage: Stage) -> None:
    """The rest of "Verify the lifecycle": kubectl delete, and the sidecar's log to its end."""
    following = stage.kubectl_command("logs", "-f", SUBJECT, "-c", fixture.CONTAINER)
    with (stage.bundle / File.FOLLOWED).open("wb") as sink:
        child = process.start(following, stdout=sink, stderr=sink)
        try:
            stage.wait(
                "the sidecar's log",
                lambda: (stage.bundle / File.FOLLOWED).stat().st_size,
                seconds=30,
                seen=lambda: f"kubectl logs gave {child.poll()}",
            )
            stage.step(Step.DELETE_ASKED)
            stage.kubectl("delete", "pod", SUBJECT, "--wait=false")
            stage.step(Step.DELETE_ACCEPTED)
            stage.wait(
                "the end of the deleted pod",
                lambda: stage.watch.gone("Pod", SUBJECT) and child.poll() is not None,
                seconds=90,
                seen=lambda: stage.describe(SUBJECT),
            )
        finally:
            process.stop(child)
    stage.step(Step.SUBJECT_GONE)
