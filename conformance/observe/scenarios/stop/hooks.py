"""The hooks scenario: preStop hooks on the app and on the sidecar, the source article's among them.

subject  the sidecar's hook waits until the app must be done, the workaround of the classic
         pattern; the app has a hook too, and both stamp when they begin and end
quit     the article's Step 1: the sidecar's hook tells it to quit
asleep   the article's Step 5: the sidecar's hook tells it to quit and sleeps for 30 s, the
         app's sends SIGTERM and sleeps for 25 s
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Role, Stamp
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.stop import departing
from conformance.observe.scenarios.stop.departing import app_in, hook, stamped
from conformance.observe.stage import Stage
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest

APP_HOOK = 2  # seconds
APP_DRAIN = 3  # seconds
SIDECAR_HOOK = 10  # seconds: longer than the app's hook, drain and slowest answer (3 s) together


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    departing.surround(stage)
    begin, end = stamped(Stamp.HOOK_BEGIN), stamped(Stamp.HOOK_END)
    asked = stamped(Stamp.HOOK_QUIT)  # the sidecar was told to quit, and is still there
    quit_ = departing.as_shell(stage.driver.quit_command())

    def waits(document: Manifest) -> None:
        manifests.set_variable(app_in(document), "SC_DRAIN_SECONDS", str(APP_DRAIN))
        hook(app_in(document), begin, f"sleep {APP_HOOK}", end)
        hook(stage.sidecar_in(document), begin, f"sleep {SIDECAR_HOOK}", end)

    def quits(document: Manifest) -> None:
        hook(stage.sidecar_in(document), begin, quit_, asked)

    def quits_and_sleeps(document: Manifest) -> None:
        hook(stage.sidecar_in(document), begin, quit_, asked, "sleep 30")
        hook(app_in(document), begin, "kill -TERM 1", "sleep 25")

    departing.delete_together(
        stage, {SUBJECT: waits, Role.QUIT: quits, Role.ASLEEP: quits_and_sleeps}
    )
    return SUBJECT
