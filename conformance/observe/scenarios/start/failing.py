"""The failing scenario: sidecars that do not come up as they should, one pod for each way.

- subject, crash-onfailure, crash-always: the second of two sidecars crashes as long as a file is
  missing, under each restartPolicy of the pod. The file is given once every one of them has crashed
  twice; an app that starts at that was waiting for it.
- bare: the sidecar has no startup probe, and is not ready before its app has been seen to run.
- unhurried (native only): its startup probe names no period, so that the kubelet takes its default.
- early (native only): deleted while the first of two sidecars is still starting.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from conformance.evidence.vocabulary import Container, File, Role, Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop.departing import create
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture import driver as fixture

# Never first, as the pod under test: under it alone some minors never come to the app.
CRASHING = {SUBJECT: "Never", "crash-onfailure": "OnFailure", "crash-always": "Always"}
OTHER_PORT = 15022
FAIL_CODE = 3
CRASHES = 2  # from the second on the kubelet backs off (10 s)
# Seconds at which an app that has not started counts as kept from it: many times what is left to
# wait for, a probe period of 1 s and a container's creation.
BOUND_SECONDS = 20.0


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()
    for role, policy in CRASHING.items():
        create(stage, role, partial(_crash, stage, policy))
    create(stage, Role.BARE, partial(_unprobe, stage))
    if stage.cell.pattern == "native":
        create(stage, Role.UNHURRIED, partial(_name_no_period, stage))
        create(stage, Role.EARLY, partial(_start_for_long, stage))
        _delete_early(stage)
    _let_crash(stage)
    _await_apps(stage, "the app beside an unprobed sidecar", [Role.BARE])
    _heal(stage)
    for role in (Role.BARE, Role.UNHURRIED) if stage.cell.pattern == "native" else (Role.BARE,):
        stage.await_ready(role)
    return SUBJECT


def _crash(stage: Stage, policy: str, pod: Manifest) -> None:
    pod["spec"]["restartPolicy"] = policy
    for name, value in (
        ("SC_NEEDS", f"/evidence/{File.CONFIGURATION}"),
        ("SC_FAIL_CODE", str(FAIL_CODE)),
        ("SC_START_DELAY", "1"),
    ):
        manifests.set_variable(stage.sidecar_in(pod), name, value)
    other = fixture.container(SUBJECT, Container.OTHER, port=OTHER_PORT, start_delay=0)
    fixture.add(pod, other, native=stage.cell.pattern == "native")


def _unprobe(stage: Stage, pod: Manifest) -> None:
    del stage.sidecar_in(pod)["startupProbe"]
    file = f"/evidence/{File.CONFIGURATION}"
    manifests.set_variable(stage.sidecar_in(pod), "SC_WAITS_FOR", file)


def _name_no_period(stage: Stage, pod: Manifest) -> None:
    """The sidecar is ready at once, so that what is waited for is the probe's next turn."""
    del stage.sidecar_in(pod)["startupProbe"]["periodSeconds"]
    manifests.set_variable(stage.sidecar_in(pod), "SC_START_DELAY", "0")


def _start_for_long(stage: Stage, pod: Manifest) -> None:
    manifests.set_variable(stage.sidecar_in(pod), "SC_START_DELAY", "600")
    other = fixture.container(SUBJECT, Container.OTHER, port=OTHER_PORT)
    fixture.add(pod, other, native=True, at=1)


def _delete_early(stage: Stage) -> None:
    """Delete a pod while its first sidecar starts, and its second does not run yet."""
    stage.wait(
        "the start of the sidecar that is deleted early",
        lambda: "running" in _state(stage, Role.EARLY, fixture.CONTAINER),
        seconds=60,
        seen=lambda: stage.describe(Role.EARLY),
    )
    stage.step(Step.DELETE_ASKED, pod=Role.EARLY)
    stage.core.delete_namespaced_pod(Role.EARLY, stage.namespace)
    stage.step(Step.DELETE_ACCEPTED, pod=Role.EARLY)
    stage.wait(
        "the end of the pod that is deleted early",
        lambda: stage.watch.gone("Pod", Role.EARLY),
        seconds=60,
        seen=lambda: stage.describe(Role.EARLY),
    )
    stage.step(Step.SUBJECT_GONE, pod=Role.EARLY)


def _state(stage: Stage, role: str, container: str) -> dict[str, object]:
    found: dict[str, object] = stage.containers(role).get(container, {}).get("state", {})
    return found


def _stamped(stage: Stage, role: str, container: str, event: str) -> int:
    return sum(one["event"] == event for one in stage.stamps(f"{role}.{container}"))


def _restarted(stage: Stage) -> list[str]:
    """The pods whose crashing sidecar is started again: not a regular container under Never."""
    native = stage.cell.pattern == "native"
    return [role for role, policy in CRASHING.items() if native or policy != "Never"]


def _let_crash(stage: Stage) -> None:
    """Wait until every crashing sidecar has crashed twice, or has been left to lie, and the kubelet
    has told of it."""
    again = _restarted(stage)
    stage.wait(
        f"{CRASHES} crashes of each crashing sidecar",
        lambda: all(
            _stamped(stage, role, fixture.CONTAINER, Stamp.SIDECAR_LAST)
            >= (CRASHES if role in again else 1)
            and _told(stage, role)
            for role in CRASHING
        ),
        seconds=60,
        seen=lambda: "; ".join(f"{role}: {stage.describe(role)}" for role in CRASHING),
    )
    stage.kubectl("get", "pods")


def _told(stage: Stage, role: str) -> bool:
    """Whether the status says with which code the sidecar ended."""
    status = stage.containers(role).get(fixture.CONTAINER, {})
    ended = (status.get(one, {}).get("terminated") or {} for one in ("state", "lastState"))
    return any(one.get("exitCode") == FAIL_CODE for one in ended)


def _heal(stage: Stage) -> None:
    """Give the crashing sidecars what they lack, and wait for the apps that start after them."""
    again = _restarted(stage)
    stage.step(Step.HEALED)
    stage.give(File.CONFIGURATION)
    stage.wait(
        "the crashing sidecars' recovery",
        lambda: all(_stamped(stage, one, fixture.CONTAINER, Stamp.SIDECAR_READY) for one in again),
        seconds=60,
        seen=lambda: "; ".join(f"{role}: {stage.describe(role)}" for role in again),
    )
    stage.step(Step.CRASHING_READY)
    _await_apps(stage, "the apps behind the crashing sidecars", again)


def _await_apps(stage: Stage, what: str, roles: Sequence[str]) -> None:
    """Wait for running apps, but not for longer than a bound: one that is kept stays kept."""
    with stage.going_on(Step.BOUND):
        stage.wait(
            what,
            lambda: all("running" in _state(stage, one, APP_CONTAINER) for one in roles),
            seconds=BOUND_SECONDS,
            seen=lambda: "; ".join(stage.describe(one) for one in roles),
        )
