"""Counts verdicts, and turns the counts into the command's exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from conformance.model import Outcome, Verdict

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
BAD: tuple[Outcome, ...] = ("fail", "not-reproduced", "inconclusive")
MEANING = {
    0: "every verdict came out as expected",
    1: "a promise was broken, or a control arm did not reproduce its hazard",
    2: "wrong use",
    3: "the environment could not be set up",
    4: "nothing could be verified",
    5: "nothing failed, but something stayed inconclusive",
    130: "interrupted",
}


def versions(told: Mapping[str, Any]) -> str:
    """What a cluster says of itself, in a few words."""
    return (
        f"API server {told['server']}, kubelet {kubelets(told)}, {told['runtime']}, "
        f"kernel {told['kernel']}"
    )


def kubelets(told: Mapping[str, Any]) -> str:
    """The versions of a cluster's kubelets, each once, the first node's first."""
    others = [node["kubelet"] for node in told.get("nodes", {}).values()]
    return " and ".join(dict.fromkeys((told["kubelet"], *others)))


def counts(verdicts: Iterable[Verdict]) -> Mapping[str, int]:
    """How many verdicts there are of each outcome, zeros included."""
    found = Counter(verdict.outcome for verdict in verdicts)
    return {outcome: found[outcome] for outcome in OUTCOMES}


def sentence(counted: Mapping[str, int]) -> str:
    """ "3 pass, 2 reproduced": what there is, in the order of OUTCOMES."""
    return ", ".join(f"{counted[one]} {one}" for one in OUTCOMES if counted[one]) or "no verdict"


def exit_code(counted: Mapping[str, int], *, clusters_failed: bool = False) -> int:
    """The command's exit code.

    clusters_failed: a Kubernetes version of the plan could not be brought up at all.
    """
    if counted["fail"] or counted["not-reproduced"]:
        return 1
    if clusters_failed:
        return 3
    if counted["inconclusive"]:
        return 5
    if not (counted["pass"] or counted["reproduced"]):
        return 4
    return 0
