"""The cell's logs in one, in order of time: what stands around a moment, whoever wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.evidence import compressed
from conformance.evidence.parse import read_runtime, rfc3339_ns
from conformance.report.diary import numbered
from conformance.report.trace.model import Record

LONGEST = 220  # characters of a line
# Stamps that come by the hundred, and stand in lanes of their own.
_MANY = ("request.", "served", "kept.piece", "lines", "datagram.", "lookup.", "beacon.", "counters",
         "sink.received", "sink.up")  # fmt: skip
_TIME = re.compile(r"\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d\.\d+)Z?\]?")
_OBJECT = re.compile(r"\s*(?:\d{4}-\S+Z )?\{")  # JSON, after the kubelet's stamp or without one
_LOGRUS = re.compile(r'^time="(\d{4}-\d\d-\d\dT[^"]+)"')


def records(bundle: Path) -> list[Record]:
    """Every line that says when it was written."""
    found = [
        *_steps(bundle),
        *_stamps(bundle),
        *_runtime(bundle),
        *_journal(bundle, "containerd.log"),
        *_journal(bundle, "kubelet.log"),
        *_outputs(bundle),
    ]
    return sorted(found, key=lambda one: one.ns)


def _steps(bundle: Path) -> Iterator[Record]:
    for number, one in numbered(bundle / "steps.jsonl"):
        rest = {name: value for name, value in one.items() if name not in ("ns", "step")}
        yield _record(one["ns"], f"steps.jsonl:{number}", f"{one['step']} {_fields(rest)}")


def _stamps(bundle: Path) -> Iterator[Record]:
    files = (
        *compressed.glob(bundle / "stamps", "*.jsonl"),
        *compressed.glob(bundle / "capture", "*/agent.jsonl"),
    )
    for file in sorted(files):
        for number, one in numbered(file):
            if not one["event"].startswith(_MANY):
                rest = {k: v for k, v in one.items() if k not in ("ns", "mono_ns", "event")}
                where = f"{file.relative_to(bundle)}:{number}"
                yield _record(one["ns"], where, f"{one['event']} {_fields(rest)}")


def _runtime(bundle: Path) -> Iterator[Record]:
    for number, text in _lines(bundle / "runtime.log"):
        event = read_runtime(number, text)
        if event is not None:
            status = f" status {event.status}" if event.status is not None else ""
            told = f"{event.topic} {event.container_id[:12]}{status}"
            yield _record(event.ns, f"runtime.log:{number}", told)


def _journal(bundle: Path, name: str) -> Iterator[Record]:
    for number, text in _lines(bundle / name):
        try:
            raw = json.loads(text)
        except ValueError:
            continue  # journald was cut off in a line
        message = raw.get("MESSAGE", "")
        if isinstance(message, list):
            message = bytes(message).decode("utf-8", "replace")
        at = raw.get("__REALTIME_TIMESTAMP")
        logrus = _LOGRUS.search(message)
        if logrus:
            yield _record(rfc3339_ns(logrus[1]), f"{name}:{number}", message[logrus.end() :])
        elif at:
            yield _record(int(at) * 1000, f"{name}:{number}", message)


def _outputs(bundle: Path) -> Iterator[Record]:
    """Containers' own words; an access log's JSON lines are requests, and stand in their lane."""
    for file in compressed.glob(bundle / "logs", "*.log"):
        for number, text in _lines(file):
            time = _TIME.search(text[:60])
            if time and not _OBJECT.match(text):
                ns = rfc3339_ns(f"{time[1]}T{time[2]}Z")
                yield _record(ns, f"logs/{file.name}:{number}", text)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if compressed.exists(path):
        with compressed.opened(path) as source:
            for number, line in enumerate(source, 1):
                yield number, line.decode(errors="replace").rstrip("\r\n")


def _record(ns: int, source: str, text: str) -> Record:
    plain = " ".join(text.split())
    return Record(ns, source, plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…")


def _fields(rest: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in rest.items())
