"""The lives of containers by the API's statuses alone, where the runtime was not seen.

A status has whole seconds: the moment lies anywhere within one. A program's own stamps and the
receipt of the status bound it further. What a judge concludes is worth something only if it
concludes the same wherever in its bounds each moment lies: so a bundle is judged several times,
each time with one container's moments at one end, and all others' at the other. Any two moments are
held against each other both ways like that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from conformance.evidence.parse import RuntimeEvent, StopLine, rfc3339_ns
from conformance.model import NS

if TYPE_CHECKING:
    from conformance.evidence.bundle import Bundle

# The runtime makes a task before it starts it, and the status has the time of the start: some 20 ms
# lie between, and more on a crowded machine.
_MADE_BEFORE_NS = NS // 10
_GROUPS = ("initContainerStatuses", "containerStatuses")
_TOLD = ("sidecar.sigterm", "app.sigterm")


@dataclass(frozen=True)
class Supposition:
    """Where moments lie within their bounds: those of one container, and all others' at the other
    end. alone: its name; "" for none, then all are alike."""

    alone: str = ""
    created_late: bool = False
    exited_late: bool = False


@dataclass
class _Life:
    """What is known of one container id. Moments: (earliest, latest), ns; None: not yet, or no
    word of it."""

    name: str
    number: int
    created: tuple[int, int] | None = None
    exited: tuple[int, int] | None = None
    exit_number: int = 0
    code: int = 0
    told: list[int] = field(default_factory=list)


def suppositions(bundle: Bundle) -> Iterator[Supposition]:
    """Every one that a conclusion has to stand."""
    names = {name for pod in bundle.index.pods.values() for name in pod.containers}
    for created, exited in product((False, True), repeat=2):
        yield Supposition("", created, exited)
        yield from (Supposition(name, created, exited) for name in sorted(names))


def events(bundle: Bundle, supposed: Supposition) -> Iterator[RuntimeEvent]:
    """The events that the runtime would have told. number: the line of watch.jsonl."""
    found: list[RuntimeEvent] = []
    for ident, life in _lives(bundle).items():
        alone = life.name == supposed.alone
        if life.created:
            ns = life.created[supposed.created_late == (alone or not supposed.alone)]
            found.append(RuntimeEvent(life.number, ns, "/tasks/create", ident, ident))
        if life.exited:
            ns = life.exited[supposed.exited_late == (alone or not supposed.alone)]
            found.append(
                RuntimeEvent(life.exit_number, ns, "/tasks/exit", ident, ident, life.code, ns)
            )
    yield from sorted(found, key=lambda one: one.ns)


def stops(bundle: Bundle) -> Iterator[StopLine]:
    """Signals that programs felt, when they felt them. number: the line in their stamps."""
    for ident, life in _lives(bundle).items():
        yield from (StopLine(life.number, ns, ident, "terminated") for ns in life.told)


def _lives(bundle: Bundle) -> Mapping[str, _Life]:
    found: dict[str, _Life] = {}
    roles: dict[str, str] = {pod.uid: role for role, pod in bundle.index.pods.items()}
    owners: dict[str, tuple[str, str]] = {}
    for line in bundle.watch():
        if line["kind"] != "Pod":
            continue
        uid = line["object"]["metadata"]["uid"]
        status = line["object"].get("status") or {}
        for group in _GROUPS:
            for one in status.get(group) or ():
                for state in (one.get("state") or {}, one.get("lastState") or {}):
                    _note(found, owners, roles.get(uid, ""), one, state, line.number, line.ns)
    for ident, (role, container) in owners.items():
        _bound(bundle, found, ident, role, container)
    return found


def _note(
    found: dict[str, _Life],
    owners: dict[str, tuple[str, str]],
    role: str,
    status: Mapping[str, Any],
    state: Mapping[str, Any],
    number: int,
    received: int,
) -> None:
    for kind in ("running", "terminated"):
        told = state.get(kind)
        if not told or not told.get("startedAt"):
            continue
        raw = told.get("containerID") or (status.get("containerID") if kind == "running" else "")
        ident = str(raw or "").partition("://")[2]
        if not ident:
            continue
        life = found.setdefault(ident, _Life(status["name"], number))
        owners.setdefault(ident, (role, status["name"]))
        began = rfc3339_ns(told["startedAt"])
        if life.created is None:
            life.created = (began - _MADE_BEFORE_NS, min(began + NS, received))
        if kind == "terminated" and life.exited is None:
            ended = rfc3339_ns(told["finishedAt"])
            life.exited = (ended, max(ended, min(ended + NS, received)))
            life.exit_number, life.code = number, int(told.get("exitCode", 0))


def _bound(bundle: Bundle, found: dict[str, _Life], ident: str, role: str, container: str) -> None:
    """A program lives from its first stamp to its last: those of a container that had one life."""
    file = f"stamps/{'subject' if role == bundle.index.subject else role}.{container}.jsonl"
    lives = [life for life in found.values() if life.name == container]
    if not bundle.has(file):
        return
    life = found[ident]
    lines = [line for line in bundle.records(file) if _within(life, line.ns)]
    life.told = [line.ns for line in lines if line.event in _TOLD]
    if not lines or len(lives) > len(bundle.index.pods):
        return
    first, last = lines[0].ns, lines[-1].ns
    if life.created:
        life.created = (min(life.created[0], first), min(life.created[1], first))
    if life.exited:
        life.exited = (max(life.exited[0], last), max(life.exited[1], last))


def _within(life: _Life, ns: int) -> bool:
    """Whether a stamp is of this life, as far as whole seconds tell."""
    begins = life.created[0] if life.created else 0
    ends = life.exited[0] + NS if life.exited else None
    return begins <= ns and (ends is None or ns <= ends)
