"""see.chart-value: the value that the source article names is in no chart."""

from __future__ import annotations

from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File
from conformance.judges.premise import require_no_sidecar
from conformance.judges.ruling import broken, holds, premised
from conformance.model import Evidence, Finding, Measured


@premised(require_no_sidecar)
def no_such_value(bundle: Bundle) -> Finding:
    """To hold: the chart that was used was read, and has no such value; nor has any other one that
    could be had.

    To be broken: one of them has it.
    """
    lines = list(bundle.records(File.CHARTS))
    read = [line for line in lines if not line.get("missing")]
    if not any(line["used"] for line in read):
        raise Unjudgeable("the chart that was used was not read")
    if any(not line["files"] or not line["values_lines"] for line in read):
        raise Unjudgeable("a chart without files or without values was read")
    evidence = [
        Evidence(File.CHARTS, one.number, ns=one.ns, text=f"{one['version']} {_told(one['found'])}")
        for one in read
    ]
    measured: Measured = {
        "charts": [str(line["version"]) for line in read],
        "files_read": sum(int(line["files"]) for line in read),
        "missing": [str(line["version"]) for line in lines if line.get("missing")],
    }
    has = [line for line in read if line["found"]]
    if has:
        return broken(
            "value-found",
            f"The chart of {has[0]['version']} has it: {_told(has[0]['found'])}.",
            measured,
            evidence,
        )
    where = ", ".join(
        f"{line['version']} ({line['files']} files, values.yaml of {line['values_lines']} lines)"
        for line in read
    )
    return holds(f"No word of a native sidecar is in Cilium's charts: {where}.", measured, evidence)


def _told(found: list[str]) -> str:
    return ", ".join(found[:5]) or "no word of it"
