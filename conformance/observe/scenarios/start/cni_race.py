"""The cni-race scenario: the mesh's redirection is a CNI plugin's work, and the plugin comes late.

- subject, guarded: made on a node whose chain lacks the plugin. The guarded one has an init
  container first that ends badly as long as the pod is not redirected; nothing guards the subject.
- late, healed: the same two pods, made when the plugin is there. The healed one takes the place of
  the guarded one, which is deleted.

No pod has an init container that sets the rules: whatever redirects it was done by the plugin.
"""

from __future__ import annotations

from collections.abc import Callable

from conformance.cluster import cni as conflists
from conformance.evidence.vocabulary import Role, Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, await_steady, leak_on_purpose
from conformance.observe.scenarios.start import chain
from conformance.observe.scenarios.stop import departing
from conformance.observe.stage import APP_CONTAINER, Stage, Stuck
from conformance.sidecars.driver import Manifest, RedirectedByCni
from conformance.sidecars.envoy.driver import VALIDATION_CONTAINER

VALIDATED = {SUBJECT: False, Role.GUARDED: True, Role.LATE: False, Role.HEALED: True}
REQUESTS = 40  # of the subject's app, before the plugin comes, and again after it
ANSWERED = 20  # requests of each pod that is redirected
REFUSALS = 2  # one may be chance; from the second on the kubelet backs off
# Seconds at which an app that has not sent anything counts as kept from it: many times what a
# native pod waits for, its sidecar's start delay and a probe's period.
BOUND_SECONDS = 30.0


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    driver = stage.driver
    if not isinstance(driver, RedirectedByCni):
        raise Stuck(f"{stage.cell.sidecar} is not redirected by a CNI plugin")
    # As it is already, unless somebody died in the middle of this.
    conflists.write(conflists.folder_of(stage.handle.kubeconfig))
    (stage.bundle / "redirect.on").write_text("".join(f"{role}\n" for role in VALIDATED))
    stage.without_capture(*chain.HERALDS)
    stage.surround("witness", "peer")

    def create(role: str) -> None:
        departing.create(stage, role, _by_cni(driver, VALIDATED[role]))
        chain.note(stage, role)

    create(SUBJECT)
    create(Role.GUARDED)
    _await_sent(stage, since=0)
    _await_refused(stage, REFUSALS, since=0)
    stage.kubectl("get", "pods")

    stage.step(Step.PLUGIN_ASKED)
    chain.put(stage, conflists.REDIRECT.name)
    arrived = stage.step(Step.PLUGIN_ARRIVED)
    create(Role.LATE)
    _see_redirected(stage, Role.LATE)
    _await_sent(stage, since=stage.step(Step.SUBJECT_WATCHED_ON))
    _await_refused(stage, 1, since=arrived)
    departing.delete(stage, Role.GUARDED)
    departing.await_gone(stage, Role.GUARDED)
    stage.step(Step.GUARDED_GONE)
    create(Role.HEALED)
    _see_redirected(stage, Role.HEALED)
    stage.step(Step.SUBJECT_SEEN)
    leak_on_purpose(stage)
    return SUBJECT


def _by_cni(driver: RedirectedByCni, validated: bool) -> Callable[[Manifest], None]:
    """What makes an injected pod one whose rules are left to the node."""

    def alter(document: Manifest) -> None:
        document.update(driver.by_cni(document, SUBJECT, validated=validated))

    return alter


def _await_sent(stage: Stage, since: int) -> None:
    """Wait for requests of the subject's app, whatever becomes of them, or for the bound: an app
    that is kept from starting sends none."""

    def ended() -> int:
        return sum(
            one["event"] == Stamp.REQUEST_END and one["ns"] > since
            for one in stage.stamps(f"{SUBJECT}.{APP_CONTAINER}")
        )

    with stage.going_on(Step.BOUND):
        stage.wait(
            "requests of an app that nothing redirects",
            lambda: ended() >= REQUESTS,
            seconds=BOUND_SECONDS,
            seen=lambda: f"{ended()} requests; {stage.describe(SUBJECT)}",
        )


def _refusals(stage: Stage, since: int) -> int:
    """How many validations of the guarded pod began after a moment (ns), and failed."""
    begun = failed = 0
    for one in stage.stamps(f"{Role.GUARDED}.{VALIDATION_CONTAINER}"):
        begun += one["event"] == Stamp.VALIDATION_STARTED and one["ns"] > since
        failed += one["event"] == Stamp.VALIDATION_FAILED and begun > failed
    return failed


def _await_refused(stage: Stage, times: int, since: int) -> None:
    """Wait until the guarded pod's validation has failed so often since a moment (ns), and its
    status tells of it; or until its app has begun."""

    def refused() -> bool:
        state = stage.containers(Role.GUARDED).get(VALIDATION_CONTAINER, {}).get("state", {})
        return _refusals(stage, since) >= times and "running" not in state

    stage.wait(
        f"{times} failures of the validation",
        lambda: refused() or stage.stamps(f"{Role.GUARDED}.{APP_CONTAINER}"),
        seconds=90,  # the kubelet's back-off: 10 s, 20 s, 40 s
        seen=lambda: stage.describe(Role.GUARDED),
    )


def _see_redirected(stage: Stage, role: str) -> None:
    """See a pod at work that was made with the plugin; then let it leak on purpose."""
    stage.await_ready(role, seconds=120)
    stage.step(f"{role}.ready")
    await_steady(stage, {(f"{role}.{APP_CONTAINER}", "steady", "ok"): ANSWERED}, f"{role}.ready")
    stage.step(f"{role}.seen")
    leak_on_purpose(stage, role, role)
