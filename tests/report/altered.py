"""Bundles that are not as they were: what follows came later, or captures break off.

Works on bundles of real runs too: whatever a file says of a moment, in whichever way, moves.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from conformance.evidence.parse import rfc3339_ns
from conformance.report.document import iso

NS = 10**9
_PCAP_HEADER, _PCAP_RECORD = 24, 16
_READINGS = re.compile(r'"(ns|mono_ns)": ?(\d+)')
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_RUNTIME = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d+) \+0000 UTC", re.MULTILINE)
_JOURNAL = re.compile(r'"(__REALTIME_TIMESTAMP|__MONOTONIC_TIMESTAMP)": ?"(\d+)"')
_EXITED = re.compile(r'"exited_at": ?\{"seconds": ?(\d+), ?"nanos": ?(\d+)\}')
_ZONE = " +0000 UTC"


class Move(Protocol):
    """A moment, moved. exact: False for one of which only the second is told."""

    def __call__(self, at: int, *, exact: bool = True) -> int: ...


def later(bundle: Path, since: int, seconds: int) -> None:
    """Let everything that comes after a moment (ns) come so many seconds later."""

    def moved(at: int, *, exact: bool = True) -> int:
        gone_by = at > since if exact else at // NS > since // NS
        return at + seconds * NS if gone_by else at

    for file in sorted(one for one in bundle.rglob("*") if one.is_file()):
        if file.suffix == ".pcap":
            file.write_bytes(_capture(file.read_bytes(), moved))
        elif file.name not in ("cell.json", "net.json"):
            file.write_text(_text(file.read_text(), moved))
    _seal(bundle, moved)


def blind(bundle: Path, since: int) -> None:
    """Let every capture end at a moment (ns)."""
    for file in bundle.rglob("*.pcap"):
        content = file.read_bytes()
        file.write_bytes(content[: next((a for a, at in _records(content) if at > since), None)])
    _seal(bundle)


def _records(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each record of a capture begins, and its time (ns)."""
    at = _PCAP_HEADER
    while at + _PCAP_RECORD <= len(content):
        seconds, part, size, _ = struct.unpack_from("<IIII", content, at)
        yield at, seconds * NS + part
        at += _PCAP_RECORD + size


def _text(text: str, moved: Move) -> str:
    lines = [_line(one, moved) for one in text.splitlines(keepends=True)]
    return "".join(lines)


def _line(line: str, moved: Move) -> str:
    """Both readings of a line's clocks move by as much."""
    at = {name: int(value) for name, value in _READINGS.findall(line)}
    by = moved(at["ns"]) - at["ns"] if "ns" in at else 0
    line = _READINGS.sub(lambda one: one[0].replace(one[2], str(int(one[2]) + by)), line)
    real = {name: int(value) for name, value in _JOURNAL.findall(line)}
    now = real.get("__REALTIME_TIMESTAMP", 0) * 1000
    late = (moved(now) - now) // 1000
    line = _JOURNAL.sub(lambda one: one[0].replace(one[2], str(int(one[2]) + late)), line)
    line = _EXITED.sub(lambda one: _exited(int(one[1]) * NS + int(one[2]), moved), line)
    line = _RUNTIME.sub(lambda one: _written(f"{one[1]}T{one[2]}Z", moved, " ") + _ZONE, line)
    return _RFC3339.sub(lambda one: _written(one[0], moved, "T") + "Z", line)


def _exited(at: int, moved: Move) -> str:
    seconds, nanos = divmod(moved(at), NS)
    return f'"exited_at": {{"seconds": {seconds}, "nanos": {nanos}}}'


def _written(text: str, moved: Move, between: str) -> str:
    """A written time, moved, and as exact as it was."""
    digits = len(text.partition(".")[2].removesuffix("Z"))
    at = moved(rfc3339_ns(text), exact=digits > 0)
    day = iso(at // NS).removesuffix("Z").replace("T", between)
    return day + (f".{at % NS:09}"[: digits + 1] if digits else "")


def _capture(content: bytes, moved: Move) -> bytes:
    made = bytearray(content)
    for place, at in _records(content):
        struct.pack_into("<II", made, place, *divmod(moved(at), NS))
    return bytes(made)


def _seal(bundle: Path, moved: Move | None = None) -> None:
    index = json.loads((bundle / "cell.json").read_text())
    for name in ("started_ns", "ended_ns"):
        if name in index and moved is not None:
            index[name] = moved(index[name])
    for name, mark in index["files"].items():
        content = (bundle / name).read_bytes()
        mark |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (bundle / "cell.json").write_text(json.dumps(index))
