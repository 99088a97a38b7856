"""move.pattern-flip: what a change of the mesh's default pattern does to each workload, and
whether a dry run says so before it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File
from conformance.judges.premise import pattern_of
from conformance.judges.ruling import broken, holds, lines_of
from conformance.judges.sources import in_watch
from conformance.model import NEVER, Evidence, Finding, Value

_DECIDED = "says-"  # workloads that name their pattern are called says-<pattern>
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_GROUPS = ("initContainers", "containers")


@dataclass(frozen=True)
class Shape:
    """What of an admitted pod a change of pattern may touch. containers: in order, each with its
    group, name, restartPolicy, hooks and probes."""

    pattern: str
    containers: tuple[tuple[str, str, str, str, str], ...]
    line: Line

    def same_as(self, other: Shape) -> bool:
        return (self.pattern, self.containers) == (other.pattern, other.containers)

    @property
    def evidence(self) -> Evidence:
        """The admitted pod."""
        text = f"{self.line['workload']} {self.line['when']}: {self.pattern}"
        return Evidence(File.ADMISSIONS, line=self.line.number, ns=self.line.ns, text=text)


def told(bundle: Bundle) -> Finding:
    """To hold: each dry run says what the admission then does, the change of the default reaches
    those that left their pattern to the mesh, and nobody else."""
    found = _shapes(bundle)
    workloads = sorted({name for name, _, _ in found})
    if not workloads or len(found) != 4 * len(workloads):
        raise Unjudgeable(
            f"{File.ADMISSIONS} has {len(found)} admissions of {len(workloads)} workloads"
        )
    for one in found.values():
        if one.pattern not in ("classic", "native"):
            raise Unjudgeable("a workload got no sidecar at all", evidence=(one.evidence,))
    flips = {
        name: _difference(found[name, "before", False], found[name, "after", False])
        for name in workloads
        if found[name, "before", False].pattern != found[name, "after", False].pattern
    }
    differs = [
        found[name, when, dry]
        for name in workloads
        for when in ("before", "after")
        for dry in (True, False)
        if not found[name, when, True].same_as(found[name, when, False])
    ]
    measured: dict[str, Value | Sequence[Value] | Mapping[str, Value]] = {
        "workloads": len(workloads),
        "flipped": len(flips),
        "flips": dict(flips),
        "before": {name: found[name, "before", False].pattern for name in workloads},
        "after": {name: found[name, "after", False].pattern for name in workloads},
    }
    if differs:
        return broken(
            "differs",
            f"A dry run and the admission differ: {differs[0].line['workload']} "
            f"{differs[0].line['when']} the change.",
            measured,
            lines_of(differs),
        )
    overruled = [
        found[name, when, False]
        for name in workloads
        if name.startswith(_DECIDED)
        for when in ("before", "after")
        if found[name, when, False].pattern != name.removeprefix(_DECIDED)
    ]
    if overruled:
        return broken(
            "overruled",
            f"{overruled[0].line['workload']} became {overruled[0].pattern} "
            f"{overruled[0].line['when']} the change.",
            measured,
            lines_of(overruled),
        )
    decided = sum(name.startswith(_DECIDED) for name in workloads)
    if not 0 < decided < len(workloads):
        raise Unjudgeable(
            f"of {len(workloads)} workloads {decided} name their pattern: both sorts are needed",
            measured,
        )
    if not flips:
        raise Unjudgeable("the change of the default changed no workload", measured)
    passed_over = [
        name for name in workloads if name not in flips and not name.startswith(_DECIDED)
    ]
    if passed_over:
        return broken(
            "passed-over",
            f"{passed_over[0]}, which leaves its pattern to the mesh, stayed "
            f"{found[passed_over[0], 'after', False].pattern} while {', '.join(flips)} flipped.",
            measured,
            [
                found[name, when, False].evidence
                for name in passed_over
                for when in ("before", "after")
            ],
        )
    said = ", ".join(f"{name} from {what.partition(';')[0]}" for name, what in flips.items())
    return holds(
        f"{len(flips)} of {len(workloads)} workloads flip ({said}), and each dry run said so.",
        measured,
        [
            found[name, when, dry].evidence
            for name in workloads
            for when in ("before", "after")
            for dry in (True, False)
        ],
    )


def _shapes(bundle: Bundle) -> dict[tuple[str, str, bool], Shape]:
    """(workload, before or after, dry run or not) → what was admitted."""
    found: dict[tuple[str, str, bool], Shape] = {}
    moments: dict[str, list[int]] = {"before": [], "after": []}
    told: list[int] = []
    for line in bundle.admissions():
        if (line["workload"], line["when"], bool(line["dry"])) in found:
            raise Unjudgeable(
                f"{line['workload']} was admitted twice {line['when']} the change: which counts?"
            )
        if line["dry"]:
            told.append(line.ns)
        else:
            moments[line["when"]].append(line.ns)
            _require_as_watched(bundle, line)
        spec = line["pod"]["spec"]
        patterns = {pattern_of(spec, sidecar) for sidecar in bundle.index.sidecars}
        found[line["workload"], line["when"], bool(line["dry"])] = Shape(
            " and ".join(sorted(patterns)),
            tuple(_container(group, one) for group in _GROUPS for one in spec.get(group) or ()),
            line,
        )
    if max(moments["before"], default=0) > min(moments["after"], default=NEVER):
        raise Unjudgeable("what was admitted before the change and after it is mixed up in time")
    if max(told, default=0) > min(moments["after"], default=NEVER):
        raise Unjudgeable("a dry run was asked for after the change: it foretold nothing")
    return found


def _require_as_watched(bundle: Bundle, line: Line) -> None:
    """The pod that was admitted is, by its uid, what the watch shows. Raises Unjudgeable."""
    uid = (line["pod"].get("metadata") or {}).get("uid")
    for seen in bundle.watch() if uid else ():
        its = seen["object"]
        if seen.get("kind") != "Pod" or its["metadata"].get("uid") != uid:
            continue
        for sidecar in bundle.index.sidecars:
            both = [pattern_of(one["spec"], sidecar) for one in (line["pod"], its)]
            if both[0] != both[1]:
                raise Unjudgeable(
                    f"{line['workload']} was admitted as {both[0]}, and the watch shows it as "
                    f"{both[1]}",
                    evidence=(in_watch(seen),),
                )


def _container(group: str, one: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    hooks = sorted(one.get("lifecycle") or {})
    probes = [name for name in _PROBES if name in one]
    return (
        group,
        one["name"],
        str(one.get("restartPolicy", "")),
        repr([(name, one["lifecycle"][name]) for name in hooks]),
        repr([(name, sorted(one[name].items())) for name in probes]),
    )


def _difference(before: Shape, after: Shape) -> str:
    """What changes, in words: the pattern, the order of containers, the sidecar's hooks, probes."""
    words = [f"{before.pattern} to {after.pattern}"]
    order = [", ".join(name for _, name, *_ in shape.containers) for shape in (before, after)]
    if order[0] != order[1]:
        words.append(f"containers {order[0]} to {order[1]}")
    for what, place in (("hooks", 3), ("probes", 4)):
        its = [{one[1]: one[place] for one in shape.containers} for shape in (before, after)]
        changed = [name for name in its[0] if its[0][name] != its[1].get(name)]
        if changed:
            words.append(f"{what} of {', '.join(changed)} change")
    return "; ".join(words)
