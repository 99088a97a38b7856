"""The lines of a bundle's text files, typed. Times are ns since the Unix epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from conformance.model import NS

Json = Mapping[str, Any]

_RUNTIME = re.compile(
    r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))? ([+-]\d{4}) \S+ (?:\S+ )?(/\S+) (\{.*\})\s*"
)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_LOGRUS_TIME = re.compile(r'\btime="([^"]+)"')
# journald writes a message that is not clean UTF-8 as a list of bytes.
_BYTES = re.compile(r'"MESSAGE"\s*:\s*\[')
_STOP = re.compile(r'Stop container \\?"([0-9a-f]+)\\?" with signal (\w+)')


@dataclass(frozen=True)
class Line:
    """A JSON line with its time. Fields are read with ``line["name"]``; KeyError names a lack."""

    number: int
    ns: int
    fields: Json

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or the default."""
        return self.fields.get(name, default)

    @property
    def event(self) -> str:
        """What the line is about, in stamps, steps and the agent's diary."""
        return str(self.fields.get("event") or self.fields.get("step") or "")


@dataclass(frozen=True)
class RuntimeEvent:
    """One of containerd's events. ns is when it was published: after what it tells of.

    exited_ns and status: of /tasks/exit only; an exec ends with a process_id of its own.
    """

    number: int
    ns: int
    topic: str
    container_id: str
    process_id: str
    status: int | None = None
    exited_ns: int | None = None


@dataclass(frozen=True)
class StopLine:
    """containerd is about to signal a container: written before the signal is sent."""

    number: int
    ns: int
    container_id: str
    signal: str


def read_json(number: int, text: str) -> Line:
    """A line of stamps, steps, watch or agent. Raises ValueError when it is none."""
    fields = json.loads(text)
    if not isinstance(fields, dict) or not isinstance(fields.get("ns"), int):
        raise ValueError("not a JSON object with ns")
    return Line(number, fields["ns"], fields)


def read_runtime(number: int, text: str) -> RuntimeEvent | None:
    """A line of ``ctr events``; None when it is about something else."""
    match = _RUNTIME.fullmatch(text)
    if match is None:
        return None
    day, clock, fraction, zone, topic, body = match.groups()
    fields = json.loads(body)
    ident = str(fields.get("container_id") or fields.get("id") or "")
    exited = fields.get("exited_at")
    is_exit = topic == "/tasks/exit"
    return RuntimeEvent(
        number=number,
        ns=_ns(day, clock, fraction, zone[:3] + ":" + zone[3:]),
        topic=topic,
        container_id=ident,
        process_id=str(fields.get("id") or ident),
        # Go's JSON leaves out a zero.
        status=int(fields.get("exit_status", 0)) if is_exit else None,
        exited_ns=_exited(exited) if is_exit else None,
    )


def read_stop(number: int, text: str) -> StopLine | None:
    """A journal line of containerd that announces a signal; None for any other.

    Raises ValueError when it is no JSON object.
    """
    if "Stop container" not in text and not _BYTES.search(text):
        return None
    message = json.loads(text).get("MESSAGE", "")
    if isinstance(message, list):
        message = bytes(message).decode("utf-8", "replace")
    time = _LOGRUS_TIME.search(message)
    stop = _STOP.search(message)
    if time is None or stop is None:
        return None
    return StopLine(number, rfc3339_ns(time.group(1)), stop.group(1), stop.group(2))


def rfc3339_ns(text: str) -> int:
    """ns of a time such as 2026-11-22T17:45:01.123456789Z. Raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    return _ns(*match.groups())


def _ns(day: str, clock: str, fraction: str | None, zone: str) -> int:
    # datetime holds microseconds only: the fraction is added by hand.
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone == 'Z' else zone}")
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * NS + int((fraction or "0").ljust(9, "0")[:9])


def _exited(raw: Any) -> int | None:
    if isinstance(raw, dict):
        return int(raw.get("seconds", 0)) * NS + int(raw.get("nanos", 0))
    return rfc3339_ns(raw) if isinstance(raw, str) else None
