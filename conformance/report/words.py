"""What the reports call things: ids, links and commands, the same ones everywhere.

A verdict's id is its cell's, a point, and its behaviour's; report.html has it as an anchor, and
cells/<cell's id>.html has an anchor for the behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.plan import selection
from conformance.plan.sidecars import REGISTRY, known
from conformance.report.decision.decide import identifier

Json = Mapping[str, Any]
CELLS = "cells"
COMMAND = "sidecar-conformance"
# Option → its place in a selection, in an order in which each one's default is known when it comes.
_SELECTED = {
    "k8s": "k8s",
    "sidecar": "sidecars",
    "pattern": "patterns",
    "mode": "modes",
    "behaviour": "behaviours",
    "scenario": "scenarios",
}


def cell_id(entry: Json) -> str:
    """The id of the cell of a verdict: "1.33-envoy-native-init-rules-lifecycle"."""
    return identifier(entry).removesuffix(f".{entry['behaviour']}")


def fragment(entry: Json) -> str:
    """Where a verdict stands in report.html."""
    return identifier(entry)


def trace(entry: Json) -> str:
    """The page of a verdict's cell, from report.html; "" where it has no bundle."""
    return f"{CELLS}/{cell_id(entry)}.html" if entry["bundle"] else ""


def judge_again(entry: Json) -> str:
    """What judges the cell again; to be run in the run's folder."""
    return f"{COMMAND} judge {entry['bundle']}"


def dissect(bundle: str, file: str, frame: int) -> str:
    """What shows one frame whole; to be run in the run's folder. The file may be compressed: *."""
    return f"tshark -r {bundle}/{file}* -Y frame.number=={frame} -V"


def again(report: Json) -> str:
    """The command that runs the same selection once more."""
    options = report["run"].get("options") or {}
    given: dict[str, str] = {}
    for option, key in _SELECTED.items():
        asked = [str(one) for one in options.get(key) or ()]
        if asked and asked != list(getattr(selection.select(_known(given)), key)):
            whole = given | {"level": "all"}
            if option == "behaviour" and asked == list(selection.select(_known(whole)).behaviours):
                given = whole
                continue
            # Named one by one, versions that a sidecar is too new for would be wrong use.
            every = option == "k8s" and asked == list(selection.known_k8s())
            given[option] = "all" if every else ",".join(asked)
    words = [f"{option.upper()}={value}" for option, value in _called(given).items()]
    turns = report["run"]["attempts"].get("turns", 1)
    words += [f"REPEAT={turns}"] * (turns > 1)
    words += ["STRICT=1"] * bool(options.get("strict_promises"))
    return " ".join(["make conformance", *words])


def _known(given: Mapping[str, str]) -> Mapping[str, str]:
    """The options without sidecars that are not known here, such as a file's that was not read."""
    names = [name for name in given.get("sidecar", "").split(",") if name in REGISTRY]
    rest = {option: value for option, value in given.items() if option != "sidecar"}
    return rest | ({"sidecar": ",".join(names)} if names else {})


def _called(given: Mapping[str, str]) -> Mapping[str, str]:
    """The options as they are written: sidecars and pods of the user's own by their files."""
    found: dict[str, list[str]] = {}
    for option, value in given.items():
        if option != "sidecar":
            found.setdefault(option, []).append(value)
            continue
        for name in value.split(","):
            file = known(name).file
            pods = known(name).package.endswith(".pods")
            called = str(file) if file else name if name in REGISTRY else f"{name}.yaml"
            found.setdefault("pods" if pods else option, []).append(called)
    return {option: ",".join(values) for option, values in found.items()}
