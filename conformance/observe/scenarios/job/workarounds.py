"""The workarounds scenario: classic Jobs whose mains end their sidecars themselves, by each of the
ways that people use, and one whose main crashes before it comes to that.

The mains go on sending for a while afterwards, so that what they lose is seen. The Job of the
crashed main is held; like any other that is held, it is freed at the end, which proves the cause.
"""

from __future__ import annotations

from typing import Any

from conformance.evidence.vocabulary import JobName, Step
from conformance.observe.scenarios.job import batch
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

BY_ITSELF = "quit"  # needs nothing of the sidecar but its address
BY_ITS_SPEC = ("marker", "kill")  # need the sidecar's container, or its process, to be known
_SHARED = "/shared"
_MARKER = f"{_SHARED}/done"
# Stands before the sidecar's own command, and ends it when the marker is there.
_WRAPPER = (
    '"$@" & '
    f"while kill -0 $! && [ ! -e {_MARKER} ]; do sleep 0.2; done; "
    "kill -TERM $!; wait $!"
)  # fmt: skip


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the first Job's pod. Raises Stuck."""
    stage.without_capture()
    registered = REGISTRY[stage.driver.name]
    if registered.can("mesh"):
        stage.surround("witness", "peer")
    ways = (BY_ITSELF, *(BY_ITS_SPEC if registered.can("spec") else ()))
    jobs = [*ways, JobName.CRASH]
    for way in jobs:
        _submit(stage, way)
    subject = batch.await_pod(stage, ways[0])
    with stage.going_on():
        for job in jobs:
            batch.await_main(stage, job)
            stage.step(Step.JOB_MAIN_EXITED, job=job)
        held = batch.await_settled(stage, jobs)
        if held:
            _free(stage, held)
    return subject


def _submit(stage: Stage, way: str) -> None:
    ports, url = stage.facts.ports, stage.facts.quit_url

    def alter(document: Manifest) -> None:
        if way == "marker":
            _wait_for_marker(stage, document)
        elif way == "kill":
            manifests.pod_of(document)["spec"]["shareProcessNamespace"] = True
            program = stage.sidecar_in(document)["command"][-1]
            app = manifests.container_of(manifests.pod_of(document), APP_CONTAINER)
            app["env"].append({"name": "SC_VICTIM", "value": program})

    main: dict[str, Any] = {
        "SC_ROLE": way,
        "SC_WORKAROUND": way,
        "SC_READY_URL": f"http://127.0.0.1:{ports['health']}{stage.facts.ready_path}",
        "SC_QUIT_URL": url,
        "SC_MARKER": _MARKER,
    }
    batch.submit(stage, way, manifest="workaround", main=main, alter=alter)


def _wait_for_marker(stage: Stage, document: Manifest) -> None:
    pod, sidecar = manifests.pod_of(document), stage.sidecar_in(document)
    sidecar["command"] = ["sh", "-c", _WRAPPER, "sh", *sidecar["command"]]
    pod["spec"]["volumes"].append({"name": "shared", "emptyDir": {}})
    for container in (sidecar, manifests.container_of(pod, APP_CONTAINER)):
        container["volumeMounts"].append({"name": "shared", "mountPath": _SHARED})


def _free(stage: Stage, jobs: list[str]) -> None:
    batch.quit_sidecars(stage, jobs)
    stage.wait(
        f"the end of {' and '.join(jobs)}",
        lambda: all(batch.ended(stage, job) for job in jobs),
        seconds=60,
        seen=lambda: batch.describe(stage, jobs),
    )
    stage.step(Step.JOB_MOVED)
