"""A merged fleet in words, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.report.decision import summary
from conformance.report.fleet.merge import Fleet, Key, Row

SCHEMA = 1
_TOLD = 3  # reports that are told of each bad row; the JSON has more
_LONG = 200  # characters of a reason


def lines(fleet: Fleet) -> Iterator[str]:
    """Line by line: the fleet, what is bad or differs, what holds with its bound, the sum."""
    pools = ", ".join(f"{name or 'no pool'} {count}" for name, count in sorted(fleet.pools.items()))
    yield f"{len(fleet.runs)} reports ({pools})"
    for what, told in fleet.nodes.items():
        for one, count in told.most_common():
            yield f"  {what}, {count} times: {one}"
    for key, row in fleet.ordered():
        if row.mixed or any(row.outcomes[one] for one in summary.BAD):
            yield from _bad(key, row)
    yield ""
    yield from _held(fleet)
    yield from (f"not read: {sentence}" for sentence in fleet.unread)
    yield from (f"no verdict in {name}" for name in fleet.empty)
    if fleet.twice:
        yield f"{fleet.twice} reports were given twice, and count once"
    yield f"{summary.sentence(fleet.counts)}; {len(fleet.rows)} kinds of cells and promises"
    yield f"Exit code {fleet.exit_code}: {_meaning(fleet)}"


def _bad(key: Key, row: Row) -> Iterator[str]:
    counted = ", ".join(f"{count} {one}" for one, count in row.outcomes.most_common())
    mixed = "  (nodes disagree)" if row.mixed else ""
    yield ""
    yield f"{' · '.join(key)}: {counted}{mixed}"
    for pool, outcomes in sorted(row.pools.items()) if len(row.pools) > 1 else ():
        told = ", ".join(f"{count} {one}" for one, count in outcomes.most_common())
        yield f"  pool {pool or '-'}: {told}"
    for outcome, named in row.where.items():
        for name, reason in named[:_TOLD]:
            yield f"  {outcome} in {name}: {reason[:_LONG]}"
        if row.outcomes[outcome] > _TOLD:
            yield f"  {outcome} in {row.outcomes[outcome] - _TOLD} more"


def _held(fleet: Fleet) -> Iterator[str]:
    """The promises that held in every report, and what that is worth."""
    for key, row in fleet.ordered():
        if row.bound is not None:
            yield (
                f"{' · '.join(key)}: held in {row.outcomes['pass']}, {row.attempts} attempts: "
                f"breaches rarer than 1 in {1 / row.bound:,.0f} would be missed (95 %)"
            )


def _meaning(fleet: Fleet) -> str:
    if fleet.exit_code == 5 and (fleet.unread or fleet.empty):
        return "nothing failed, but not every report could be read, or has a verdict"
    return summary.MEANING[fleet.exit_code]


def data(fleet: Fleet) -> Mapping[str, Any]:
    """The whole as JSON: schema is raised when a field changes its meaning or goes."""
    return {
        "schema": SCHEMA,
        "reports": len(fleet.runs),
        "pools": dict(fleet.pools),
        "nodes": {what: dict(told) for what, told in fleet.nodes.items()},
        "unread": fleet.unread,
        "empty": fleet.empty,
        "twice": fleet.twice,
        "counts": dict(fleet.counts),
        "exit_code": fleet.exit_code,
        "rows": [_row(key, row) for key, row in fleet.ordered()],
    }


def _row(key: Key, row: Row) -> Mapping[str, Any]:
    names = ("k8s", "sidecar", "pattern", "mode", "scenario", "behaviour")
    return {
        **dict(zip(names, key, strict=True)),
        "outcomes": dict(row.outcomes),
        "hazards": dict(row.hazards),
        "mixed": row.mixed,
        "attempts": row.attempts,
        "rate_bound_95": row.bound,
        "pools": {pool: dict(outcomes) for pool, outcomes in row.pools.items()},
        "where": {
            outcome: [{"report": name, "reason": reason} for name, reason in named]
            for outcome, named in row.where.items()
        },
        "sizes": {
            what: {
                "count": one.count,
                "min": one.least,
                "median": one.quantile(0.5),
                "p95": one.quantile(0.95),
                "max": one.most,
            }
            for what, one in row.sizes.items()
        },
    }
