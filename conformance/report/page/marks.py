"""The letters that stand for verdicts on the pages: never a colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.plan.sidecars import known

Json = Mapping[str, Any]
LETTERS = {
    "H": "held",
    "B": "broken, and expected to hold",
    "K": "broken, and known to be: the pattern gives no such promise here",
    "C": "control arm: its hazard was shown",
    "X": "control arm, or known hazard: not shown",
    "I": "inconclusive",
    "U": "not verified: this machine cannot have it",
    "M": "measured, neither right nor wrong",
}
_BY_VERDICT = {
    "pass": "H",
    "fail": "B",
    "not-reproduced": "X",
    "inconclusive": "I",
    "not-verified": "U",
    "measured": "M",
}


def letter(entry: Json, pattern: str = "native") -> str:
    """The letter of a verdict. pattern: the one under test, whose known hazards are no controls."""
    if entry["verdict"] != "reproduced":
        return _BY_VERDICT[entry["verdict"]]
    control = entry["mode"] in known(entry["sidecar"]).controls
    return "K" if entry["pattern"] == pattern and not control else "C"
