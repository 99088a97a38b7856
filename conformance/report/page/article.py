"""Holds a run's verdicts against the source article: what it claims, what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conformance.plan import article
from conformance.plan import cells as plan
from conformance.plan.article import Claim
from conformance.plan.selection import version_order
from conformance.plan.sidecars import known
from conformance.report.page import groups
from conformance.verdicts.expectations import fits_k8s

Json = dict[str, Any]
CONTRADICTS = "contradicts the article"
AGREES = "as the article says"
UNSEEN = "not seen in this run"
MEASURED = "measured"
UNDECIDED = "undecided"
ABSENT = "not in this run"
REMARK = ""


def compare(
    entries: Sequence[Json], clusters: Mapping[str, Json], tables: Sequence[article.Table]
) -> list[Json]:
    """The article's tables with what this run saw of each claim (report.json, article).

    entries: report.json's cells. clusters: its run.clusters. What a control mode leaks by
    design says nothing of the article, unless a claim is about that very mode.
    """
    return [
        {
            "title": table.title,
            "columns": list(table.columns),
            "rows": [
                {"name": row.name, "claims": [_held(one, entries, clusters) for one in row.claims]}
                for row in table.rows
            ],
        }
        for table in tables
    ]


def contradictions(compared: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """The claims that this run contradicts, each with the name of its row."""
    for table in compared:
        for row in table["rows"]:
            for claim in row["claims"]:
                if claim["mark"] == CONTRADICTS:
                    yield row["name"], claim


def _held(claim: Claim, entries: Sequence[Json], clusters: Mapping[str, Json]) -> Json:
    held = {
        "column": claim.column,
        "says": claim.says,
        "about": list(claim.about or ()),
        "contradicted_by": claim.contradicted_by,
    }
    if claim.stage:
        return held | _stage(claim, clusters)
    spoken_of = [entry for entry in entries if _speaks_of(claim, entry)]
    seen = [
        {
            "behaviour": line.behaviour.id,
            "scenario": line.scenario,
            "name": line.name,
            "pattern": line.pattern,
            "who": line.who,
            "observed": {k8s: entry["observed"] for k8s, entry in line.entries.items()},
        }
        for line in groups.lines(spoken_of)
    ]
    if claim.same_as and spoken_of:
        return held | {"seen": seen} | _compared(claim.same_as, spoken_of, entries)
    decisive = claim.contradicted_by or claim.shown_by
    told = [entry for entry in spoken_of if entry["observed"] == decisive] or _decided(spoken_of)
    shown = _plainest(told or spoken_of)
    return held | {
        "mark": _mark(claim, spoken_of),
        "seen": seen,
        "reason": shown["reason"] if shown else "",
        "reason_from": _cell(shown) if shown else "",
    }


def _compared(pattern: str, spoken_of: Sequence[Json], entries: Sequence[Json]) -> Json:
    """Measured values of cells beside those of their twins in the other pattern."""
    twins = {_twin(entry): entry for entry in _decided(entries) if entry["pattern"] == pattern}
    pairs = [entry for entry in _decided(spoken_of) if _twin(entry) in twins]
    differing = [one for one in pairs if one["measured"] != twins[_twin(one)]["measured"]]
    shown = _plainest(differing or pairs)
    if shown is None:
        return {"mark": UNDECIDED, "reason": "", "reason_from": ""}
    return {
        "mark": CONTRADICTS if differing else AGREES,
        "reason": f"{shown['reason']} In the {pattern} pattern: {twins[_twin(shown)]['reason']}",
        "reason_from": _cell(shown),
    }


def _twin(entry: Json) -> tuple[str, ...]:
    return tuple(entry[name] for name in ("k8s", "sidecar", "mode", "scenario", "behaviour"))


def _speaks_of(claim: Claim, entry: Json) -> bool:
    return (
        entry["behaviour"] in (claim.about or ())
        and (claim.mode or entry["mode"] not in known(entry["sidecar"]).controls)
        and all(
            getattr(claim, name) in ("", entry[name]) for name in ("pattern", "sidecar", "mode")
        )
        and (not claim.k8s or fits_k8s(claim.k8s, entry["k8s"]))
    )


def _decided(entries: Sequence[Json]) -> list[Json]:
    return [entry for entry in entries if entry["observed"] in ("holds", "broken", "measured")]


def _mark(claim: Claim, spoken_of: Sequence[Json]) -> str:
    if not spoken_of:
        return REMARK if claim.about is None else ABSENT
    if not _decided(spoken_of):
        return UNDECIDED
    observed = {entry["observed"] for entry in spoken_of}
    if claim.contradicted_by in observed:
        return CONTRADICTS
    if claim.shown_by in observed:
        return AGREES
    # What was only measured neither supports a claim nor contradicts it.
    judged = bool(observed & {*article.JUDGED})
    if judged and claim.contradicted_by:
        return AGREES
    return UNSEEN if judged and claim.shown_by else MEASURED


def _plainest(entries: Sequence[Json]) -> Json | None:
    """The entry whose reason is told: of the version that is the likeliest in every run, else of
    the newest."""

    def likeliest(entry: Json) -> tuple[bool, Any]:
        return entry["k8s"] == plan.FIRST, version_order(entry["k8s"])

    return max(entries, key=likeliest, default=None)


def _cell(entry: Json) -> str:
    names = ("k8s", "sidecar", "pattern", "mode", "behaviour")
    return " · ".join(entry[name] for name in names)


def _stage(claim: Claim, clusters: Mapping[str, Json]) -> Json:
    """What the API servers of the versions in question say of the feature gate."""
    told = {
        k8s: cluster["versions"]["sidecar_gate"]
        for k8s, cluster in clusters.items()
        if fits_k8s(claim.k8s, k8s) and (cluster["versions"] or {}).get("sidecar_gate")
    }
    wrong = [k8s for k8s, said in told.items() if said.split(",")[0] != claim.stage]
    return {
        "mark": CONTRADICTS if wrong else AGREES if told else ABSENT,
        "seen": [],
        "reason": "; ".join(f"{k8s}: the gate SidecarContainers is {s}" for k8s, s in told.items()),
        "reason_from": "the API server's metrics" if told else "",
    }
