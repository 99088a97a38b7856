"""The lines of a bundle's text files, typed. Times are ns since the Unix epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from conformance.evidence import shapes
from conformance.evidence.lacking import in_line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import NS, Evidence

Json = Mapping[str, Any]

_RUNTIME = re.compile(
    r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))? ([+-]\d{4}) \S+ (?:\S+ )?(/\S+) (\{.*\})\s*"
)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_LOGRUS_TIME = re.compile(r'\btime="([^"]+)"')
# journald writes a message that is not clean UTF-8 as a list of bytes.
_BYTES = re.compile(r'"MESSAGE"\s*:\s*\[')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a character, perhaps
_STOP = re.compile(r'Stop container \\?"([0-9a-f]+)\\?" with signal (\w+(?: \w+)*)')


@dataclass(frozen=True)
class Line:
    """A JSON line with its time. Fields are read by ``line["name"]``, and those of objects in it by
    ``line["object"]["name"]``: Unjudgeable names what is lacking."""

    number: int
    ns: int
    fields: Json
    file: str = ""

    def __getitem__(self, name: str) -> Any:
        if name not in self.fields:
            where = Evidence(self.file, line=self.number, ns=self.ns)
            raise Unjudgeable(f"{self.file}:{self.number} has no {name}", evidence=(where,))
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

    exited_ns and status: of /tasks/exit only; an exec ends with a process_id of its own. image: of
    /containers/create only, by the name that containerd has for it.
    """

    number: int
    ns: int
    topic: str
    container_id: str
    process_id: str
    status: int | None = None
    exited_ns: int | None = None
    image: str = ""


@dataclass(frozen=True)
class StopLine:
    """containerd is about to signal a container: written before the signal is sent."""

    number: int
    ns: int
    container_id: str
    signal: str


def read_json(number: int, text: str, file: str = "") -> Line:
    """A line of a JSON file. file: which one, to hold the line against its shape.

    Raises ValueError when it is none, or when a text in it could not be written down again.
    """
    nested = "{" in text[1:]  # most lines are one object, which Line itself asks
    fields = json.loads(text, object_hook=in_line(file, number) if nested else None)
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    if _SURROGATE.search(text):
        json.dumps(fields, ensure_ascii=False).encode()
    shapes.check(file, fields)
    return Line(number, fields["ns"], fields, file)


def read_runtime(number: int, text: str) -> RuntimeEvent | None:
    """A line of ``ctr events``; None when it tells of no container. Raises ValueError."""
    match = _RUNTIME.fullmatch(text)
    if match is None:
        raise ValueError("not a line of ctr events")
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
        image=str(fields.get("image") or ""),
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
