"""What a decision holds for, and what lies outside: versions, sidecars, modes, node, settings.

Made from report.json alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.plan.catalogue import behaviours
from conformance.plan.selection import known_k8s
from conformance.plan.sidecars import REGISTRY, known
from conformance.report.decision import summary
from conformance.report.page import groups

Json = Mapping[str, Any]
_OUTSIDE = (
    "other nodes, kernels, runtimes and network plugins than these; other apps, load and settings "
    "than the fixtures'"
)


@dataclass(frozen=True)
class Scope:
    """inside: what was tried, by its name. outside: what nothing here speaks of."""

    inside: Sequence[tuple[str, str]]
    outside: Sequence[str]


def scope(report: Json, pattern: str = "native") -> Scope:
    """The scope of a report's decision."""
    tried = [
        one
        for one in report["cells"]
        if one["pattern"] == pattern and one["observed"] != "not-verified"
    ]
    return Scope(list(_inside(report, tried)), list(_outside(tried)))


def _inside(report: Json, tried: Sequence[Json]) -> Iterator[tuple[str, str]]:
    run = report["run"]
    used = {one["k8s"] for one in tried}
    said: dict[tuple[str, str], list[str]] = {}
    for k8s, cluster in run["clusters"].items():
        told = cluster.get("versions") or {}
        if k8s in used and told:
            yield f"Kubernetes {k8s}", summary.versions(told)
        for sidecar, parts in (told.get("sidecars") or {}).items():
            words = "; ".join(
                f"{name.replace('_', ' ')} {one}" for name, one in parts.items() if one
            )
            if words:
                said.setdefault((sidecar, words), []).append(k8s)
    order = list(dict.fromkeys(sidecar for sidecar, _ in said))
    for (sidecar, words), where in sorted(said.items(), key=lambda one: order.index(one[0][0])):
        yield f"{sidecar} on {', '.join(where)}", words
    for sidecar in dict.fromkeys(one["sidecar"] for one in tried):
        modes = dict.fromkeys(one["mode"] for one in tried if one["sidecar"] == sidecar)
        yield f"modes of {sidecar}", ", ".join(modes)
    if tried:
        scenarios = {one["scenario"] for one in tried}
        promises = {one["behaviour"] for one in tried}
        yield "promises", f"{len(promises)}, in {len(scenarios)} scenarios"
    machine = run.get("machine") or {}
    if machine:
        memory = f"{machine['memory_mb'] / 1024:.0f} GiB, {machine['arch']}"
        yield "node", f"{machine['cpus']} processors, {memory}, kernel {machine['kernel']}"
    turns = run["attempts"].get("turns", 1)
    strict = ", strict promises" if (run.get("options") or {}).get("strict_promises") else ""
    yield "settings", f"each cell played {turns} time{'s' * (turns > 1)}{strict}"
    for note in sorted({one["note"] for one in run["images"].values()} - {""}):
        yield "substituted", note


def _outside(tried: Sequence[Json]) -> Iterator[str]:
    used = groups.versions(list(map(dict, tried)))
    others = [one for one in known_k8s() if one not in used]
    if others:
        yield f"Kubernetes {', '.join(others)}"
    sidecars = {one["sidecar"] for one in tried}
    missing = [one for one in REGISTRY if one not in sidecars]
    if missing:
        yield f"the sidecars {', '.join(missing)}"
    for name in sorted(sidecars):
        modes = {one["mode"] for one in tried if one["sidecar"] == name}
        left = [one for one in known(name).modes if one not in modes]
        if left:
            yield f"{name} in mode {', '.join(left)}"
    judged = {one["behaviour"] for one in tried}
    unjudged = [
        id_ for id_, one in behaviours().items() if id_ not in judged and one.pattern != "classic"
    ]
    if unjudged:
        shown = ", ".join(unjudged[:4])
        more = f" and {len(unjudged) - 4} more" if len(unjudged) > 4 else ""
        yield f"{len(unjudged)} promises of the catalogue ({shown}{more})"
    yield _OUTSIDE
