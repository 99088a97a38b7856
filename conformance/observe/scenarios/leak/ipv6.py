"""The ipv6 scenario: a meshed app on a dual-stack cluster asks its peer by IPv4 and by IPv6."""

from __future__ import annotations

from collections.abc import Callable

from conformance.evidence.vocabulary import Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, leak_on_purpose
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars.driver import Manifest

# Requests of each kind that must have ended since the pod was ready, by each family of addresses:
# more than the judge asks for (judges/leak/ipv6.py).
ENOUGH = {"steady": 30, "mesh-witness": 4}


def observe(stage: Stage, alter: Callable[[Manifest], None] | None = None) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck.

    alter: changes the pod under test at the last moment, sidecar included.
    """
    stage.surround("witness", "peer")
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject", alter=alter)
    stage.await_ready(SUBJECT, seconds=120)
    ready = stage.step(Step.SUBJECT_READY)

    def counts() -> dict[tuple[str, bool], int]:
        begun: dict[str, tuple[str, bool]] = {}
        found = {(kind, six): 0 for kind in ENOUGH for six in (False, True)}
        for one in stage.stamps(f"{SUBJECT}.{APP_CONTAINER}"):
            if one["event"] == Stamp.REQUEST_BEGIN and one["kind"] in ENOUGH and one["ns"] > ready:
                begun[one["token"]] = one["kind"], one["target"].startswith("[")
            elif one["event"] == Stamp.REQUEST_END and one["token"] in begun:
                found[begun[one["token"]]] += 1
        return found

    stage.wait(
        "enough requests by IPv4 and by IPv6",
        lambda: all(number >= ENOUGH[kind] for (kind, _), number in counts().items()),
        seconds=60,
        seen=lambda: ", ".join(
            f"{number} {kind} by IPv{6 if six else 4}" for (kind, six), number in counts().items()
        ),
    )
    stage.step(Step.ENOUGH)
    leak_on_purpose(stage)
    return SUBJECT
