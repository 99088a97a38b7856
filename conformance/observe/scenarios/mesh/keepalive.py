"""The keepalive scenario: two meshed pods keep connections of several kinds open to each other;
one is deleted, and both go on using them until its drain is over.

Where the mesh was asked for short-lived certificates, the deletion waits until both ends have shown
each other a second one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

from conformance.evidence.vocabulary import File, Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT, delete
from conformance.observe.stage import Stage
from conformance.sidecars.driver import ShowsCertificates

ROLES = (SUBJECT, "peer")
# Used so often before anything happens: kept.piece for a stream, answered requests for the others.
USED = 5
KINDS = {"pool": Stamp.REQUEST_END, "raw": Stamp.REQUEST_END, "long": Stamp.KEPT_PIECE}
ASK_EVERY = 2.0  # seconds between two looks at certificates that are asked for
_POLL = 0.05
_SERIAL = re.compile(rb'"peer_serial":"([0-9a-f]+)"')


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.surround("peer")
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role=SUBJECT)
    with stage.going_on():
        stage.await_ready(SUBJECT, seconds=120)
        stage.step(Step.SUBJECT_READY)
        await_used(stage, since=0)
        stage.step(Step.KEPT)
        if stage.facts.certificate_seconds:
            _await_rotation(stage)
            await_used(stage, since=stage.step(Step.ROTATED))
    delete(stage)
    return SUBJECT


def await_used(stage: Stage, since: int) -> None:
    """Wait until every kind of kept connection was of use so often since a moment (ns).

    Raises Stuck.
    """

    def uses() -> dict[str, int]:
        stamps = {role: stage.stamps(f"{role}.app") for role in ROLES}
        return {
            f"{kind} of {role}": sum(
                one["event"] == event
                and one["ns"] > since
                and one.get("kind") == kind
                and one.get("outcome", "ok") == "ok"
                for one in stamps[role]
            )
            for kind, event in KINDS.items()
            for role in ROLES
        }

    stage.wait(
        "the use of every kind of connection, from both ends",
        lambda: all(number >= USED for number in uses().values()),
        seconds=60,
        seen=lambda: ", ".join(f"{number} {name}" for name, number in uses().items()),
    )


def _await_rotation(stage: Stage) -> None:
    asked = isinstance(stage.driver, ShowsCertificates)
    seen = {role: _Asked(stage, role) if asked else _Serials(stage, role) for role in ROLES}
    stage.wait(
        "a second certificate of both ends, each seen from the other side",
        lambda: min(one.number() for one in seen.values()) > 1,
        seconds=2 * stage.facts.certificate_seconds + 30,
        seen=lambda: ", ".join(f"{one.number()} seen by {role}" for role, one in seen.items()),
        every=ASK_EVERY if asked else _POLL,
    )


class _Asked:
    """The certificates that the sidecar of a pod shows to whoever asks, look by look."""

    def __init__(self, stage: Stage, role: str) -> None:
        self._stage = stage
        self._role = role
        self._found: set[str] = set()

    def number(self) -> int:
        """How many there were so far, this look's included; each is written down."""
        stage, driver = self._stage, self._stage.driver
        assert isinstance(driver, ShowsCertificates)
        serial = driver.certificate(stage.handle, stage.namespace, self._role)
        if serial not in self._found:
            self._found.add(serial)
            line = {"ns": time.time_ns(), "role": self._role, "serial": serial}
            with (stage.bundle / File.CERTIFICATES).open("a") as sink:
                sink.write(json.dumps(line) + "\n")
        return len(self._found)


class _Serials:
    """The certificates that the sidecar of a pod was shown, counted as its log grows."""

    def __init__(self, stage: Stage, role: str) -> None:
        (sidecar,) = stage.sidecars(role)
        self._path = stage.bundle / "logs" / f"{role}.{sidecar}.log"
        self._offset = 0
        self._found: set[bytes] = set()

    def number(self) -> int:
        """How many there were so far."""
        self._found.update(self._new())
        return len(self._found)

    def _new(self) -> Iterator[bytes]:
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield from _SERIAL.findall(line)
