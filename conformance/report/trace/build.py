"""Reads a bundle and its verdicts into a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.packets import dissect
from conformance.evidence.packets.dissect import Dissection
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.report.diary import lines
from conformance.report.trace import carried, containers, stamps, wire
from conformance.report.trace.model import Bracket, Lane, Mark, Shade, Trace
from conformance.report.trace.records import records

Json = dict[str, Any]
FRAMES = 40  # dissected for a cell, and
EACH = 8  # for a verdict: the first ones, for the rest is like them


def build(bundle: Path, entries: Sequence[Json], id_: str) -> Trace:
    """The trace of a cell. entries: the report's, about this cell.

    What cannot be read is missing from it, and is told in its notes.
    """
    opened = Bundle.open(bundle)
    notes: list[str] = []

    def read(what: Callable[[], Iterable[Lane]]) -> list[Lane]:
        try:
            return list(what())
        except (Unjudgeable, UnreadableCapture, KeyError, ValueError, OSError) as error:
            notes.append(f"not shown: {error}")
            return []

    steps = list(lines(bundle / "steps.jsonl"))
    lives = read(lambda: containers.lanes(opened))
    roles = containers.roles(opened) if lives else ["subject"]
    sidecars = opened.index.sidecars if lives else ()
    sent = read(lambda: stamps.lanes(bundle, roles))
    through = read(lambda: carried.lanes(bundle, sidecars))
    packets = read(lambda: wire.lanes(opened)) if lives and opened.has(opened.agent_file) else []
    found = [*lives, *_with(sent, through), _clear(entries), *packets]
    kept = [lane for lane in found if lane.marks]
    zero = _zero(steps, kept)
    end = max((mark.end or mark.begin for lane in kept for mark in lane.marks), default=zero)
    return Trace(
        id=id_,
        pattern=entries[0]["pattern"],
        bundle=entries[0]["bundle"],
        zero=zero,
        lanes=kept,
        shades=list(_shades(steps, end)),
        brackets=list(_brackets(entries)),
        records=records(bundle),
        frames=_frames(bundle, entries, notes),
        notes=notes,
    )


def _with(sent: Sequence[Lane], through: Sequence[Lane]) -> Iterator[Lane]:
    """Requests in the order of their way: who sends, the proxies, who serves."""
    yield from (lane for lane in sent if lane.name.endswith(" sends") and "peer" not in lane.name)
    by_name = {lane.name: lane for lane in (*sent, *through)}
    way = ("proxy out", "peer's proxy in", "peer serves", "peer sends", "peer's proxy out",
           "proxy in", "app serves")  # fmt: skip
    yield from (by_name[name] for name in way if name in by_name)
    for lane in sent:
        if lane.name not in way and not lane.name.endswith(" sends"):
            yield lane


def _zero(steps: Sequence[Json], found: Sequence[Lane]) -> int:
    asked = {one["step"]: one["ns"] for one in reversed(steps)}
    first = [mark.begin for lane in found for mark in lane.marks]
    for name in ("subject.create", "job.create", "former.create"):
        if name in asked:
            return int(asked[name])
    return min([*asked.values(), *first], default=0)


def _shades(steps: Sequence[Json], end: int) -> Iterator[Shade]:
    """Windows by the events that bound them."""
    own = [one for one in steps if one.get("pod", "subject") == "subject"]
    at = {one["step"]: one["ns"] for one in reversed(own)}
    begin = at.get("subject.create") or at.get("job.create")
    ready, deleted, exited = (
        at.get(name) for name in ("subject.ready", "delete.accepted", "job.main-exited")
    )
    if begin and ready:
        yield Shade(begin, ready, "startup", "startup")
    if ready and deleted:
        yield Shade(ready, deleted, "steady", "steady life")
    if deleted:
        yield Shade(deleted, end, "shutdown", "shutdown")
    if exited:
        yield Shade(exited, at.get("job.complete", end), "shutdown", "main exited, Job active")
    if down := at.get("plane.down"):
        yield Shade(down, at.get("plane.up", end), "away", "no control plane")
    back = {one["crash"]: one["ns"] for one in steps if one["step"] == "sidecar.back"}
    for one in steps:
        if one["step"] == "crash.asked":
            until = back.get(one["crash"], end)
            yield Shade(one["ns"], until, "away", f"sidecar away: {one['crash']}")


def _brackets(entries: Sequence[Json]) -> Iterator[Bracket]:
    """Of each verdict, from the first to the last moment that its evidence names."""
    for entry in entries:
        seen = sorted(
            (one for one in entry["evidence"] if one.get("ns")), key=lambda one: one["ns"]
        )
        if seen:
            first, last = seen[0], seen[-1]
            yield Bracket(
                entry["behaviour"],
                entry["verdict"],
                first["ns"],
                last["ns"],
                first.get("text", ""),
                last.get("text", ""),
            )


def _clear(entries: Sequence[Json]) -> Lane:
    """The frames that verdicts name as plaintext, or as an answer to an outsider."""
    lane = Lane("in clear", "plaintext")
    for entry in entries:
        if entry["hazard"].startswith(("plaintext", "answered")):
            for one in entry["evidence"]:
                if "frame" in one and "ns" in one:
                    title = f"{entry['behaviour']}: {one.get('text', '')}"
                    lane.marks.append(
                        Mark(one["ns"], None, "leak", title, "", one["file"], 0, one["frame"])
                    )
    return lane


def _frames(
    bundle: Path, entries: Sequence[Json], notes: list[str]
) -> dict[tuple[str, int], Dissection]:
    """What verdicts name first, dissected; broken promises first."""
    wanted: dict[str, dict[int, None]] = {}
    for entry in sorted(entries, key=lambda one: one["observed"] != "broken"):
        named = [one for one in entry["evidence"] if "frame" in one][:EACH]
        for one in named:
            if sum(map(len, wanted.values())) < FRAMES:
                wanted.setdefault(one["file"], {})[one["frame"]] = None
    found: dict[tuple[str, int], Dissection] = {}
    for file, numbers in wanted.items():
        try:
            shown = dissect.frames(bundle / file, numbers)
        except (UnreadableCapture, OSError) as error:
            notes.append(f"frames not shown: {error}")
            continue
        found |= {(file, number): one for number, one in shown.items()}
    return found
