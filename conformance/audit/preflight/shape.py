"""What of an admitted pod matters to whoever upgrades a mesh, and how two of them differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conformance.audit.document import Json, mapping, mappings
from conformance.audit.subject import Container, Subject

Kind = Literal["pattern", "names", "order", "hooks", "probes", "ports", "images"]
# What a release changes each time, and nobody need look at.
EXPECTED: Sequence[Kind] = ("images",)
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HOOKS = ("postStart", "preStop")


@dataclass(frozen=True)
class Change:
    """One difference. before, after: what stood there; "" for nothing."""

    kind: Kind
    container: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        told = ": ".join(filter(None, (self.container, self.what)))
        return f"{told}: {self.before or 'none'} → {self.after or 'none'}"


def changes(before: Subject, after: Subject) -> Iterator[Change]:
    """How the pod that would be admitted after differs from the one before."""
    one, two = _by_name(before), _by_name(after)
    for name in dict.fromkeys((*one, *two)):
        was, now = one.get(name), two.get(name)
        if was is None or now is None:
            yield Change("names", name, "container", _place(was), _place(now))
            continue
        if _place(was) != _place(now):
            yield Change("pattern", name, "", _place(was), _place(now))
        yield from _fields(name, was, now)
    orders = [_order(subject, set(one) & set(two)) for subject in (before, after)]
    if orders[0] != orders[1]:
        yield Change("order", "", "init containers", *(", ".join(o) for o in orders))


def _by_name(subject: Subject) -> Mapping[str, Container]:
    return {one.name: one for one in (*subject.inits, *subject.regular)}


def _place(container: Container | None) -> str:
    if container is None:
        return ""
    return "native" if container.native else "init container" if container.init else "classic"


def _order(subject: Subject, names: set[str]) -> Sequence[str]:
    """Init containers that both have there: one that came or moved is told as such."""
    return [one.name for one in subject.inits if one.name in names and not one.native]


def _fields(name: str, was: Container, now: Container) -> Iterator[Change]:
    if was.image != now.image:
        yield Change("images", name, "image", was.image, now.image)
    for key in _PROBES:
        yield from _field("probes", name, key, was.spec, now.spec)
    for key in _HOOKS:
        hooks = (mapping(one.spec.get("lifecycle")) for one in (was, now))
        yield from _field("hooks", name, key, *hooks)
    ports = [_ports(one.spec) for one in (was, now)]
    if ports[0] != ports[1]:
        yield Change("ports", name, "ports", *(", ".join(one) for one in ports))


def _field(kind: Kind, name: str, key: str, was: Json, now: Json) -> Iterator[Change]:
    before, after = (_said(one.get(key)) for one in (was, now))
    if before != after:
        yield Change(kind, name, key, before, after)


def _said(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if value else ""


def _ports(spec: Json) -> Sequence[str]:
    return sorted(
        f"{port.get('name') or '-'}={port.get('containerPort')}/{port.get('protocol', 'TCP')}"
        for _, port in mappings(spec.get("ports"))
    )
