"""What scenarios about the end of pods have in common: several pods, and deletions that say of
which one they are.

These scenarios are about the runtime's events and the programs' own stamps, not about packets: no
pod is captured, which leaves the machine to the pods.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence

from conformance.evidence.vocabulary import Container, Stamp, Step
from conformance.observe import workloads
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture.driver import container as plain_sidecar

SECOND_PORT = 15022
_ANSWERED = 5  # of the app's own requests, before its pod may be deleted


def surround(stage: Stage) -> None:
    """The peer, where the sidecar carries traffic to it; nothing is captured."""
    stage.without_capture()
    if is_mesh(stage):
        stage.surround("peer")


def is_mesh(stage: Stage) -> bool:
    """Whether the sidecar carries the app's requests."""
    return REGISTRY[stage.cell.sidecar].can("mesh")


def create(stage: Stage, role: str, alter: Callable[[Manifest], None] | None = None) -> None:
    """Create the pod under test, or another like it, as that role."""

    def cast(document: Manifest) -> None:
        if alter:
            alter(document)
        if role != SUBJECT:
            document.update(workloads.as_role(document, role))

    stage.step(f"{role}.create")
    stage.create(SUBJECT, role=SUBJECT, alter=cast)


def await_ready(stage: Stage, *roles: str) -> None:
    """Wait until the pods are ready, and those with a mesh are answered. Raises Stuck."""
    for role in roles:
        stage.await_ready(role, seconds=120)
        stage.step(f"{role}.ready")
    if not is_mesh(stage):
        return

    def answered(role: str) -> int:
        return sum(
            one["event"] == Stamp.REQUEST_END and one["kind"] == "steady" and one["outcome"] == "ok"
            for one in stage.stamps(f"{role}.{APP_CONTAINER}")
        )

    stage.wait(
        "answers to the apps' own requests",
        lambda: all(answered(role) >= _ANSWERED for role in roles),
        seconds=60,
        seen=lambda: ", ".join(f"{role}: {answered(role)}" for role in roles),
    )


def delete(stage: Stage, role: str, grace: int | None = None) -> None:
    """Delete a pod; grace: seconds, where they are not the pod's own."""
    stage.step(
        Step.DELETE_ASKED, pod=role, grace=grace if grace is not None else own_grace(stage, role)
    )
    stage.core.delete_namespaced_pod(role, stage.namespace, grace_period_seconds=grace)
    stage.step(Step.DELETE_ACCEPTED, pod=role)


def delete_together(stage: Stage, pods: Mapping[str, Callable[[Manifest], None]]) -> None:
    """Create pods (role → what makes it another pod), await them all, and delete them at the same
    moment, to the end. Raises Stuck."""
    for role, alter in pods.items():
        create(stage, role, alter)
    await_ready(stage, *pods)
    for role in pods:
        delete(stage, role)
    await_gone(stage, *pods)


def own_grace(stage: Stage, role: str) -> int:
    """The grace period in an admitted pod's spec (s)."""
    pod = stage.watch.newest("Pod", role)
    return int(pod["spec"]["terminationGracePeriodSeconds"]) if pod else 0


def await_gone(stage: Stage, *roles: str, seconds: float = 90) -> None:
    """Wait until the pods' objects are gone. Raises Stuck."""

    def left() -> list[str]:
        return [role for role in roles if not stage.watch.gone("Pod", role)]

    stage.wait(
        "the end of the deleted pods",
        lambda: not left(),
        seconds=seconds,
        seen=lambda: "; ".join(f"{role}: {stage.describe(role)}" for role in left()),
    )


def await_stamp(stage: Stage, who: str, event: str, *, times: int = 1, seconds: float = 60) -> None:
    """Wait for a program's own stamp; who: "<role>.<container>". Raises Stuck."""
    stage.wait(
        f"{event} of {who}",
        lambda: sum(one["event"] == event for one in stage.stamps(who)) >= times,
        seconds=seconds,
        seen=lambda: ", ".join(one["event"] for one in stage.stamps(who)[-3:]) or "no stamp",
    )


def app_in(document: Manifest) -> Manifest:
    """The app's container in a document that is not sent yet."""
    return manifests.container_of(manifests.pod_of(document), APP_CONTAINER)


def add_second(stage: Stage, document: Manifest, *, start_delay: float, drain: float) -> Manifest:
    """Place one more plain sidecar after the one under test, and return its container."""
    spec = manifests.pod_of(document)["spec"]
    second = plain_sidecar(
        SUBJECT, Container.SECOND, port=SECOND_PORT, start_delay=start_delay, drain=drain
    )
    second["image"] = stage.images[second["image"]]
    del second["startupProbe"]  # a mesh would take it for the app's traffic
    if stage.cell.pattern == "native":
        second["restartPolicy"] = "Always"
        spec["initContainers"].append(second)
    else:
        spec["containers"].append(second)
    return second


def hook(container: Manifest, *script: str) -> None:
    """Give a container a preStop hook: lines of shell."""
    command = ["sh", "-c", "\n".join(script)]
    container["lifecycle"] = {"preStop": {"exec": {"command": command}}}


def stamped(event: str) -> str:
    """A line of shell that writes a stamp into the container's own file, in one write(2)."""
    line = f'{{"ns": %s, "event": "{event}"}}\\n'
    return f'printf {shlex.quote(line)} "$(date +%s%N)" >>"$SC_STAMPS"'


def as_shell(command: Sequence[str]) -> str:
    """A command as a line of shell."""
    return shlex.join(command)
