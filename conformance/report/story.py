"""A verdict that is no success, told in the terminal: what happened when, and the packets.

Made from the report's entry and its bundle alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from conformance.evidence import compressed
from conformance.evidence.packets import dissect
from conformance.evidence.packets.capture import Capture
from conformance.model import NS
from conformance.report.diary import lines

Json = dict[str, Any]
STORIES = 4  # told in full in the terminal; a run in which all is bad has one cause
_PACKETS = 3  # shown for each verdict; the report names them all
_BYTES = 240  # shown of each packet's payload
# Stamps that tell a pod's life; requests are too many, and the picture shows them.
_TOLD = ("app.", "sidecar.", "control.", "beacon.first", "beacon.last", "deleting", "ended")


def tell(results: Path, entry: Json) -> RenderableType:
    """The story of one entry of report.json's cells."""
    names = ("k8s", "sidecar", "pattern", "mode", "scenario", "behaviour")
    title = Text(f"\n{entry['verdict']}: {' · '.join(entry[n] for n in names)}", style="bold")
    parts: list[RenderableType] = [title, Text(entry["reason"])]
    if entry["bundle"]:
        bundle = results / entry["bundle"]
        parts += [Text(line, style="dim") for line in timeline(bundle)]
        parts += [Text(line) for line in packets(bundle, entry["evidence"])]
        parts.append(Text(f"evidence: {bundle}"))
    return Group(*parts)


def timeline(bundle: Path) -> list[str]:
    """The bundle's notable events in order, in seconds from the first step."""
    steps = [(one["ns"], one["step"], "") for one in lines(bundle / "steps.jsonl")]
    if not steps:
        return []
    told = [
        (one["ns"], one["event"], str(file.relative_to(bundle)))
        for file in (
            *compressed.glob(bundle / "stamps", "subject.*.jsonl"),
            *compressed.glob(bundle / "capture", "subject*/agent.jsonl"),
        )
        for one in lines(file)
        if one["event"].startswith(_TOLD)
    ]
    zero = steps[0][0]
    return [
        f"{(ns - zero) / NS:9.3f} s  {what}{f'  ({where})' if where else ''}"
        for ns, what, where in sorted(steps + told)
    ]


def packets(bundle: Path, evidence: Sequence[Json]) -> Iterator[str]:
    """The first packets that the evidence names: what scapy reads in them, and readable bytes."""
    named = [one for one in evidence if "frame" in one][:_PACKETS]
    for file in dict.fromkeys(one["file"] for one in named):
        wanted = {one["frame"] for one in named if one["file"] == file}
        dissected = dissect.frames(bundle / file, wanted)
        for packet in Capture(bundle / file):
            if packet.frame in wanted:
                whole, *layers = dissected[packet.frame].summary
                yield f"{file}, frame {packet.frame}: {whole}"
                yield from (f"    {layer}" for layer in layers)
                yield f"    {_readable(packet.payload)}"
            if packet.frame >= max(wanted):
                break


def _readable(payload: bytes) -> str:
    shown = payload[:_BYTES].decode("latin-1")
    return "".join(c if c.isascii() and c.isprintable() else "·" for c in shown)
