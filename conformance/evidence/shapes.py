"""What the lines of a bundle must hold to be read: the fields of FORMAT.md, and their types.

A line of the wrong shape is no record: readers leave it out, and say which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conformance.model import NEVER

Fields = Mapping[str, Any]

# Fields that mean the same wherever they stand in stamps and in the capture agent's diary.
_TEXTS = frozenset({
    "token", "kind", "outcome", "detail", "target", "via", "local", "remote", "phase", "path",
    "connection", "how", "name", "boot", "mac", "sandbox", "action",
})  # fmt: skip
_NUMBERS = frozenset({
    "seq", "captured", "received", "dropped", "port", "bytes", "number", "first", "last",
})  # fmt: skip
# By event: what it is nothing without.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "request.begin": ("token", "kind"),
    "request.connected": ("token",),
    "request.end": ("token", "kind", "outcome"),
    "datagram.begin": ("token",),
    "datagram.end": ("token", "outcome"),
    "control.begin": ("token",),
    "control.end": ("token",),
    "served": ("token", "phase"),
    "kept.open": ("connection", "kind"),
    "kept.closed": ("connection", "kind", "how"),
    "lookup.begin": ("number", "name"),
    "lookup.end": ("number", "name", "outcome"),
    "witness.connection": ("port", "remote", "first_bytes"),
    "witness.datagram": ("port", "remote", "first_bytes"),
    "lines": ("first", "last"),
    "added": ("boot", "mac"),
    "counters": ("captured", "dropped"),
    "beacon.last": ("seq",),
}


def check(name: str, fields: Fields) -> None:
    """Whether a line of the file ``name`` has the shape of its kind. Raises ValueError."""
    _number("ns", fields.get("ns"))
    folder, _, _ = name.partition("/")
    if folder == "stamps" or name.endswith("/agent.jsonl"):
        _stamp(fields)
    elif name == "steps.jsonl":
        _text("step", fields.get("step"))
    elif name == "clock.jsonl":
        for one in ("offset_ns", "uncertainty_ns"):
            _number(one, fields.get(one), least=-NEVER)
    elif name == "watch.jsonl":
        _watched(fields)


def _stamp(fields: Fields) -> None:
    _text("event", fields.get("event"))
    if "mono_ns" in fields:
        _number("mono_ns", fields["mono_ns"], least=-NEVER)
    for name, value in fields.items():
        if name in _TEXTS:
            _text(name, value, empty=True)
        elif name in _NUMBERS:
            _number(name, value)
        elif name == "first_bytes":
            _text(name, value, empty=True)
            bytes.fromhex(value)
        elif name == "begun":
            for count in _object(name, value).values():
                _number(name, count)
    lacks = [name for name in _NEEDED.get(fields["event"], ()) if name not in fields]
    if lacks:
        raise ValueError(f"{fields['event']} without {' and '.join(lacks)}")


def _watched(fields: Fields) -> None:
    _text("kind", fields.get("kind"))
    found = _object("object", fields.get("object"))
    metadata = _object("metadata", found.get("metadata"))
    for name in ("name", "uid"):
        _text(name, metadata.get(name))
    _optional("spec", found, _object)
    status = _optional("status", found, _object)
    for group in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for one in (status or {}).get(group) or ():
            _text("name", _object(group, one).get("name"))


def _optional(name: str, fields: Fields, read: Callable[[str, Any], Fields]) -> Fields | None:
    return read(name, fields[name]) if fields.get(name) is not None else None


def _object(name: str, value: Any) -> Fields:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return value


def _text(name: str, value: Any, *, empty: bool = False) -> None:
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{name} is no text")


def _number(name: str, value: Any, *, least: int = 0) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < NEVER:
        raise ValueError(f"{name} is no whole number in its bounds")
