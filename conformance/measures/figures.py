"""The figures: what each is, what it came to, and its goal."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import UsageProblem
from conformance.evidence import compressed
from conformance.evidence.bundle import SUBJECT_ROLE
from conformance.measures.spent import Spent, spent, work
from conformance.plan.selection import known_k8s
from conformance.report import remake

CAPTURES = 12  # the largest ones of a run: more packets, and less of each process's own start
FRAMES = 2000  # of each capture for scapy's dissection, which needs some 0.5 ms a frame
BUNDLES = 24  # that are judged: every so many of a run's
VERSIONS = 8
# What a leak would be for who has tshark alone: payload that is no TLS. Fields of each are printed,
# as the judge names each.
_CLEAR = "(tcp.len > 0 || udp) && !tls && !dns"
_FIELDS = ("frame.number", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "tcp.len")


@dataclass(frozen=True)
class Figure:
    """name: a few words. value: a number in unit. goal: in words, "" for none. more: what it is
    made of."""

    name: str
    value: float
    unit: str
    goal: str
    more: Mapping[str, Any]


def figures(run: Path, say: Callable[[str], None]) -> Iterator[Figure]:
    """All figures of a run's evidence. Raises UsageProblem when it has none."""
    bundles = sorted(
        file.parent
        for file in (run / "evidence").glob("*/*/cell.json")
        if (run / "verdicts" / file.parent.parent.name / file.parent.name).is_dir()
    )
    if not bundles:
        raise UsageProblem(f"{run} has no evidence that was judged; name a run's folder.")
    yield from _packets(bundles, say)
    yield from _judging(bundles, say)
    yield _report(run, say)


def _packets(bundles: Sequence[Path], say: Callable[[str], None]) -> Iterator[Figure]:
    captures = {bundle: bundle / f"capture/{SUBJECT_ROLE}/eth0.pcap" for bundle in bundles}
    there = [bundle for bundle, file in captures.items() if compressed.kept(file).exists()]
    there.sort(key=lambda bundle: compressed.kept(captures[bundle]).stat().st_size)
    chosen = there[-CAPTURES:]
    if not chosen:
        return
    say(f"the leak judge reads {len(chosen)} captures")
    start = work("nothing")
    ours = work("leaks", *map(str, chosen))
    packets = json.loads(ours.said)["packets"]
    rate = _rate(packets, ours.cpu, start.cpu)
    if not rate:
        say(f"{packets} packets are too few: their work is not to be told from a process's start")
        return
    files = [compressed.kept(captures[bundle]) for bundle in chosen]
    about = {
        "captures": len(chosen),
        "bytes": sum(file.stat().st_size for file in files),
        "packets": packets,
    }
    yield Figure(
        "leak judge", round(rate), "packets in a processor second", "",
        {**about, "cpu": ours.cpu, "start": start.cpu, "memory": ours.memory},
    )  # fmt: skip
    theirs: dict[str, Any] = {}
    if shutil.which("tshark"):
        say("tshark reads the same")
        theirs = _tshark(files)
    if theirs and theirs["rate"]:
        yield Figure(
            "leak judge beside tshark", round(rate / theirs["rate"], 2), "times as many packets",
            "5", {**theirs, "memory_ratio": round(theirs["memory"] / ours.memory, 2)},
        )  # fmt: skip
    elif not theirs:
        say("tshark is not on PATH, so nothing is held against it (Debian: tshark)")
    say(f"scapy dissects {FRAMES} frames of each")
    none = work("scapy", "0", *map(str, files))
    scapy = work("scapy", str(FRAMES), *map(str, files))
    dissected = json.loads(scapy.said)["packets"]
    other = _rate(dissected, scapy.cpu, none.cpu)
    if not other:
        return
    yield Figure(
        "leak judge beside scapy's full dissection", round(rate / other, 2),
        "times as many packets", "",
        {"packets": dissected, "rate": other, "cpu": scapy.cpu, "memory": scapy.memory},
    )  # fmt: skip


def _tshark(files: Sequence[Path]) -> dict[str, Any]:
    """What tshark needs beyond its start, which one frame takes as well."""
    fields = [word for field in _FIELDS for word in ("-e", field)]
    command = ["tshark", "-n", "-Y", _CLEAR, "-T", "fields", *fields]
    starts = [spent([*command, "-c", "1", "-r", str(file)]) for file in files]
    whole: list[Spent] = [spent([*command, "-r", str(file)]) for file in files]
    counted = [spent(["tshark", "-n", "-T", "fields", "-e", "frame.number", "-r", str(file)])
               for file in files]  # fmt: skip
    packets = sum(len(one.said.splitlines()) for one in counted)
    cpu, start = (sum(one.cpu for one in its) for its in (whole, starts))
    return {
        "packets": packets,
        "rate": _rate(packets, cpu, start),
        "cpu": cpu,
        "start": sum(one.cpu for one in starts) / len(starts),
        "memory": max(one.memory for one in whole),
        "shown": sum(len(one.said.splitlines()) for one in whole),
    }


def _rate(packets: int, cpu: float, start: float) -> float:
    """Packets in a processor second; 0 where the work is not to be told from the start."""
    return packets / (cpu - start) if cpu > 1.2 * start else 0.0


def _judging(bundles: Sequence[Path], say: Callable[[str], None]) -> Iterator[Figure]:
    chosen = bundles[:: max(1, len(bundles) // BUNDLES)][:BUNDLES]
    say(f"{len(chosen)} bundles are judged")
    done = work("judge", *map(str, chosen))
    told = json.loads(done.said)
    seconds = told["seconds"]
    most = max(zip(seconds, chosen, strict=True))
    more = {
        "bundles": len(chosen), "most": round(most[0], 3), "most_of": most[1].name,
        "first": round(told["first"], 3), "memory": done.memory,
    }  # fmt: skip
    median = round(statistics.median(seconds), 3)
    yield Figure("judging a bundle", median, "processor seconds (median)", "0.5", more)
    yield Figure("judging a bundle", round(most[0], 3), "processor seconds (most)", "0.5", more)


def _report(run: Path, say: Callable[[str], None]) -> Figure:
    say(f"the report of {VERSIONS} versions is made")
    with tempfile.TemporaryDirectory(prefix="sidecar-conformance-") as folder:
        verdicts = eight(run, Path(folder))
        start = work("nothing")
        done = work("report", folder)
        more = {
            "verdicts": verdicts, **json.loads(done.said), "memory": done.memory,
            "start": round(start.cpu, 2), "whole": round(done.whole, 2),
        }  # fmt: skip
    # Two starts of Python differ by more than the report of a run of one cell.
    cpu = max(0.0, round(done.cpu - start.cpu, 2))
    return Figure(f"report of {VERSIONS} versions", cpu, "processor seconds", "2", more)


def eight(run: Path, target: Path) -> int:
    """Write the report of a run's first version as if it were one of eight that came to the same;
    how many verdicts that makes. Raises UsageProblem."""
    report = remake.read(run)
    first = report["cells"][0]["k8s"]
    cells = [one for one in report["cells"] if one["k8s"] == first]
    versions = [k8s for k8s in known_k8s() if "-" not in k8s][:VERSIONS]
    clusters = dict.fromkeys(versions, report["run"]["clusters"].get(first))
    told = report | {
        "run": report["run"] | {"clusters": {k: v for k, v in clusters.items() if v}},
        "cells": [one | {"k8s": k8s} for k8s in versions for one in cells],
    }
    (target / "report.json").write_text(json.dumps(told))
    return len(told["cells"])
