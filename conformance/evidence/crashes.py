"""Crashes of a sidecar in a pod that goes on: each from what made it end to its return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line
from conformance.evidence.timeline import Event, Life, lives, stamp_events
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.windows import container_statuses
from conformance.model import NEVER, Evidence, Window

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Crash:
    """One end of a sidecar's container that the scenario asked for, and what came of it.

    asked: the step. died: between the step and the exit that the runtime noticed. new: the next
    container, None when there was none. ready: its own word for it (a stamp), where it has one.
    back: the first version of the pod that was received with the new container and the app ready.
    """

    asked: Line
    old: Life
    died: Event
    new: Life | None
    ready: Event | None
    back: Line | None

    @property
    def name(self) -> str:
        return str(self.asked["crash"])

    @property
    def window(self) -> Window:
        """From the step to the receipt of "ready again", or to the sidecar's own word for it when
        its status is ahead of that: rather too long than too short.

        Raises Unjudgeable when it never came back.
        """
        if self.back is None:
            raise Unjudgeable(f"the sidecar never came back after the {self.name}")
        said = self.ready.latest if self.ready else 0
        return Window(self.name, self.asked.ns, max(self.back.ns, said))

    @property
    def away(self) -> Window:
        """From the noticed end to the next one's own word that it is ready, or its status.

        Raises Unjudgeable when it never came back.
        """
        until = self.ready.earliest if self.ready else self.window.end
        return Window(self.name, self.died.latest, until)

    @property
    def gone(self) -> Window:
        """While there was not even a container: from the noticed end to the next one's creation.

        Raises Unjudgeable when there was none.
        """
        if self.new is None or self.new.created_event is None:
            raise Unjudgeable(f"no container of the sidecar was created after the {self.name}")
        return Window(self.name, self.died.latest, self.new.created_event.earliest)


def only_crash(bundle: Bundle) -> Crash:
    """The one crash of a scenario that makes one. Raises Unjudgeable."""
    found = crashes(bundle)
    if len(found) != 1:
        raise Unjudgeable(
            f"{len(found)} crashes were made where one is judged",
            evidence=[_step(one.asked) for one in found],
        )
    return found[0]


def crashes(bundle: Bundle) -> list[Crash]:
    """Every crash that the scenario asked for, in order. Raises Unjudgeable for none.

    As many containers of the sidecar must have ended as were made to: one that ended by itself
    would be taken for another's crash.
    """
    asked = [line for line in bundle.steps() if line.event == "crash.asked"]
    if not asked:
        raise Unjudgeable("no crash is in steps.jsonl")
    container = str(asked[0]["container"])
    its = lives(bundle).get(container, [])
    over = _over_ns(bundle)
    ended = [life for life in its if life.exited is not None and life.exited.ns < over]
    if len(ended) != len(asked):
        raise Unjudgeable(
            f"{container} ended {len(ended)} times before the scenario's end, and was made to "
            f"{len(asked)} times",
            evidence=[_step(line) for line in asked],
        )
    return [
        _crash(bundle, line, life, its[index + 1] if index + 1 < len(its) else None)
        for index, (line, life) in enumerate(zip(asked, its, strict=False))
    ]


def _crash(bundle: Bundle, asked: Line, old: Life, new: Life | None) -> Crash:
    if old.container_id != asked["id"] or old.exited is None or old.exited_latest is None:
        raise Unjudgeable(
            f"it was not the container that was made to end which ended in the {asked['crash']}",
            evidence=(_step(asked),),
        )
    if old.exited_latest < asked.ns:
        raise Unjudgeable(
            f"{old.name} had ended before it was made to ({asked['crash']})",
            evidence=(_step(asked), old.exit_evidence()),
        )
    died = Event(f"the end of {old.name}", asked.ns, old.exited_latest, (old.exit_evidence(),))
    ready = None
    if new is not None and new.created is not None:
        until = new.exited.ns if new.exited else NEVER
        said = stamp_events(bundle, old.name, "sidecar.ready")
        ready = next((one for one in said if new.created.ns < one.latest < until), None)
    return Crash(asked, old, died, new, ready, _back(bundle, new))


def _back(bundle: Bundle, new: Life | None) -> Line | None:
    if new is None or new.created is None:
        return None
    for line, status in versions(bundle):
        if line.ns < new.created.ns:
            continue
        ready = {
            one["name"]: str(one.get("containerID", "")).partition("://")[2]
            for one in container_statuses(status)
            if one.get("ready")
        }
        if bundle.index.app in ready and ready.get(new.name) == new.container_id:
            return line
    return None


def versions(bundle: Bundle) -> Iterator[tuple[Line, Json]]:
    """Every version of the pod under test that was received: (line of the watch, its status)."""
    uid = bundle.index.subject_pod.uid
    for line in bundle.watch():
        if line.get("kind") == "Pod" and line["object"]["metadata"]["uid"] == uid:
            yield line, line["object"].get("status") or {}


def _over_ns(bundle: Bundle) -> int:
    """When the scenario was over (ns): what ends later was ended by the suite."""
    end = bundle.step("end")
    if end is None:
        raise Unjudgeable("the scenario's end is not in steps.jsonl")
    return end.ns


def _step(line: Line) -> Evidence:
    return Evidence("steps.jsonl", line=line.number, ns=line.ns, text=str(line["crash"]))
