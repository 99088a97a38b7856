"""The verdict on the pattern: what makes it not safe, not proven, or safe for its scope."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from conformance.report.decision import answer
from conformance.report.decision.decide import (
    Decision,
    Gap,
    attempts_needed,
    decide,
    identifier,
    rate_bound,
)

Json = dict[str, Any]


def entry(behaviour: str, observed: str = "holds", **how: Any) -> Json:
    """A verdict of report.json: expected to hold in the native pattern, and broken else."""
    pattern = how.pop("pattern", "native")
    expected = how.pop("expected", "holds" if pattern == "native" else "broken")
    verdicts = {
        ("holds", "holds"): "pass",
        ("holds", "broken"): "not-reproduced",
        ("broken", "holds"): "fail",
        ("broken", "broken"): "reproduced",
    }
    base = {
        "k8s": "1.33",
        "sidecar": "envoy",
        "pattern": pattern,
        "mode": "init-rules",
        "scenario": "lifecycle",
        "turn": 1,
        "behaviour": behaviour,
        "observed": observed,
        "expected": expected,
        "verdict": verdicts.get((observed, expected), observed),
        "hazard": "lost-request" if observed == "broken" else "",
        "reason": "So it was.",
        "measured": {},
    }
    return base | how


CONTROL = entry("stop.order", "broken", pattern="classic", hazard="wrong-order")
HELD = entry("stop.order")


def kinds(entries: list[Json]) -> list[tuple[str, str]]:
    return [(gap.kind, gap.behaviour) for part in decide(entries).parts for gap in part.gaps]


def test_what_held_beside_a_control_that_broke_is_safe() -> None:
    found = decide([HELD, CONTROL])
    assert found.word == found.rest == "safe for this scope"
    assert found.instrument.sound and found.instrument.controls == 1


def test_a_native_run_whose_sidecar_quits_in_its_prestop_is_not_safe_and_says_what_broke() -> None:
    lost = entry("stop.app-egress", "broken")
    found = decide([HELD, CONTROL, lost])
    assert found.word == found.rest == "not safe"
    (broken,) = found.parts[0].broken
    assert broken.behaviour == "stop.app-egress" and not broken.known and broken.repair
    report = told([HELD, CONTROL, lost])
    assert "stop.app-egress (lost-request)" in report["decision"]["sentence"]
    assert report["decision"]["sentence"].startswith("Not safe: ")


def test_a_broken_promise_counts_though_it_was_expected_and_what_is_left_is_told() -> None:
    known = entry("crash.no-plaintext", "broken", expected="broken", hazard="plaintext")
    found = decide([HELD, CONTROL, known])
    assert known["verdict"] == "reproduced"
    assert (found.word, found.rest) == ("not safe", "safe for this scope")
    assert found.parts[0].broken[0].known
    assert found.instrument.controls == 1  # what the pattern itself breaks is no control of it
    said = told([HELD, CONTROL, known])["decision"]["sentence"]
    assert said.startswith("Safe for this scope apart from 1 known limit: every other promise")
    assert said.endswith("Not safe within them: crash.no-plaintext (plaintext).")
    new = entry("stop.order", "broken", hazard="wrong-order")
    said = told([new, CONTROL, known])["decision"]["sentence"]
    assert said.startswith("Not safe: the native pattern breaks 1 promise that it was not known")
    assert "stop.order (wrong-order)" in said and said.endswith("Beside that: 1 known limit.")
    open_ = entry("stop.in-flight", "inconclusive")
    said = told([open_, CONTROL, known])["decision"]["sentence"]
    assert said.startswith("Not proven apart from 1 known limit: nothing else")
    assert "stop.in-flight (inconclusive)" in said and "crash.no-plaintext" in said


def test_what_strict_promises_count_is_not_told_as_new() -> None:
    how = {"expected": "holds", "hazard": "field-dropped"}
    counted = entry("move.webhook", "broken", known_hazards=["field-dropped"], **how)
    found = decide([HELD, CONTROL, counted])
    assert found.word == found.rest == "not safe"
    report = told([HELD, CONTROL, counted])
    said = report["decision"]["sentence"]
    assert said.startswith(
        "Not safe: the native pattern breaks 1 promise that it is known to break, which strict "
        "promises count: move.webhook (field-dropped). Tried: "
    )
    text = "\n".join(line for _, line in answer.lines(report))
    assert "(field-dropped, known, and counted: strict promises)" in text
    assert "NOT KNOWN BEFORE" not in text
    assert [title for title, _ in answer.new(report["decision"])] == [
        "Known to break, and counted by strict promises"
    ]
    another = entry("move.webhook", "broken", known_hazards=["lost-request"], **how)
    said = told([HELD, CONTROL, another])["decision"]["sentence"]
    assert "1 promise that it was not known to break" in said  # a hazard that nobody knows of
    both = told([HELD, CONTROL, counted, entry("stop.order", "broken")])["decision"]["sentence"]
    assert "was not known to break: stop.order (lost-request), and 1 promise that it is" in both


def test_what_is_left_beside_a_known_break_may_be_open() -> None:
    known = entry("crash.no-plaintext", "broken", expected="broken")
    blind = entry("stop.app-egress", "inconclusive")
    found = decide([HELD, CONTROL, known, blind])
    assert (found.word, found.rest) == ("not safe", "not proven")


def test_what_was_not_known_and_what_exposes_comes_first() -> None:
    found = decide(
        [
            CONTROL,
            entry("stop.stale-prestop-quit", "broken", expected="broken"),
            entry("crash.no-plaintext", "broken", expected="broken", hazard="plaintext"),
            entry("start.order", "broken", hazard="wrong-order"),
            entry("stop.in-flight", "broken", hazard="reset"),
        ]
    )
    assert [one.behaviour for one in found.parts[0].broken] == [
        "stop.in-flight", "start.order", "crash.no-plaintext", "stop.stale-prestop-quit",
    ]  # fmt: skip


def test_a_control_mode_of_the_pattern_is_of_the_instrument() -> None:
    istio = {"sidecar": "istio", "scenario": "lifecycle"}
    leaking = entry(
        "stop.no-plaintext",
        "broken",
        expected="broken",
        mode="excluded",
        hazard="plaintext",
        **istio,
    )
    held = entry("stop.no-plaintext", mode="default", **istio)
    found = decide([leaking, held])
    assert found.word == "safe for this scope" and found.instrument.reproduced == 1
    assert [part.mode for part in found.parts] == ["default"]
    blind = leaking | {"observed": "inconclusive", "verdict": "inconclusive"}
    assert kinds([blind, held]) == [("blind control", "stop.no-plaintext")]


@pytest.mark.parametrize(
    ("observed", "kind"), [("inconclusive", "inconclusive"), ("not-verified", "not verified")]
)
def test_what_is_open_is_not_proven(observed: str, kind: str) -> None:
    found = decide([HELD, CONTROL, entry("stop.in-flight", observed)])
    assert found.word == "not proven"
    assert [gap.kind for gap in found.parts[0].gaps] == [kind]


def open_in(mode: str, behaviour: str, observed: str, reason: str) -> Json:
    return entry(behaviour, observed, mode=mode, reason=reason)


def open_as(kind: str, found: Decision) -> list[answer.Told]:
    return [one for one in answer.gaps(asdict(found)) if one.kind == kind]


def test_what_a_machine_cannot_have_is_told_with_each_reason_of_its_own() -> None:
    """The reason of the first mode would be wrong of the other one."""
    lacks = {"fallback": "No ESP here.", "sidecar-rules": "This release has none."}
    found = decide(
        [
            HELD,
            CONTROL,
            *(
                open_in(mode, behaviour, "not-verified", reason)
                for behaviour in ("stop.in-flight", "stop.grace")
                for mode, reason in lacks.items()
            ),
        ]
    )
    told = answer.of_one_cause(open_as("not verified", found))
    assert {alike[0].reason: [one.behaviour for one in alike] for alike in told} == {
        reason: ["stop.in-flight", "stop.grace"] for reason in lacks.values()
    }


def test_what_is_inconclusive_is_told_once_whatever_its_figures() -> None:
    reasons = {"fallback": "3 requests, and 20 are needed.", "sidecar-rules": "4 requests."}
    entries = [open_in(m, "stop.grace", "inconclusive", why) for m, why in reasons.items()]
    (one,) = open_as("inconclusive", decide([HELD, CONTROL, *entries]))
    assert len(one.ids) == 2


@pytest.mark.parametrize(
    "control",
    [
        entry("stop.order", "holds", pattern="classic"),
        entry("stop.order", "inconclusive", pattern="classic"),
        entry("stop.order", "not-verified", pattern="classic"),
        CONTROL | {"verdict": "fail", "hazard": "another"},
    ],
)
def test_a_promise_beside_a_blind_control_is_not_proven(control: Json) -> None:
    good = entry("stop.in-flight", "broken", pattern="classic")
    assert kinds([HELD, control, good]) == [("blind control", "stop.order")]
    elsewhere = control | {"k8s": "1.29"}
    assert kinds([HELD, elsewhere, good]) == []


def test_one_turn_decides() -> None:
    turns = [HELD, HELD | {"turn": 2}, HELD | {"turn": 3}]
    assert decide([*turns, CONTROL]).word == "safe for this scope"
    broken = entry("stop.order", "broken", turn=3)
    (one,) = decide([*turns[:2], broken, CONTROL]).parts[0].broken
    assert one.turns == (1, 3) and one.id.endswith("lifecycle-t3.stop.order")
    open_ = entry("stop.order", "inconclusive", turn=2)
    assert decide([turns[0], open_, turns[2], CONTROL]).word == "not proven"


def test_a_known_break_that_breaks_otherwise_in_one_turn_was_not_known() -> None:
    known = entry("crash.no-plaintext", "broken", expected="broken", hazard="plaintext")
    other = known | {"turn": 2, "verdict": "fail", "hazard": "answered"}
    (broken,) = decide([known, other, CONTROL]).parts[0].broken
    assert not broken.known and broken.hazard == "answered"


def test_without_a_control_or_without_a_cell_nothing_is_proven() -> None:
    assert kinds([HELD]) == [("no control", "")]
    assert decide([CONTROL]).word == "not proven" and not decide([CONTROL]).parts
    assert "has no cell" in told([CONTROL])["decision"]["sentence"]
    assert decide([]).word == "not proven"


def test_a_bound_that_means_nothing_names_the_repeat_that_would_do() -> None:
    few = entry("start.no-plaintext", measured={"rate_bound_95": 1.0})  # 3 of 3
    (gap,) = decide([few, CONTROL]).parts[0].gaps
    assert isinstance(gap, Gap) and gap.kind == "weak bound" and gap.repeat == 2
    again = few | {"turn": 2}
    found = decide([few, again, CONTROL])
    assert found.word == "safe for this scope"
    assert found.bounds[0].attempts == 6 and found.bounds[0].repeat == 10
    none = entry("start.no-plaintext", measured={"rate_bound_95": None})
    assert [gap.repeat for gap in decide([none, CONTROL]).parts[0].gaps] == [0]


def test_bounds_are_exact_and_the_weakest_comes_first() -> None:
    assert rate_bound(5) == pytest.approx(0.4507, abs=1e-4)
    assert rate_bound(1000) == pytest.approx(3 / 1000, rel=0.01)
    assert attempts_needed(0.1) == 29 and attempts_needed(0.5) == 5
    many = entry("stop.app-egress", measured={"rate_bound_95": 0.06})
    few = entry("stop.in-flight", measured={"rate_bound_95": 0.333333})
    found = decide([many, few, CONTROL])
    assert [(one.behaviour, one.attempts) for one in found.bounds] == [
        ("stop.in-flight", 9), ("stop.app-egress", 50),
    ]  # fmt: skip


def test_versions_and_modes_are_decided_one_by_one() -> None:
    old = {"k8s": "1.28"}
    found = told(
        [
            HELD,
            CONTROL,
            entry("stop.order", "broken", expected="broken", **old),
            CONTROL | old,
            entry("stop.order", mode="fallback"),
            CONTROL | {"mode": "fallback"},
        ]
    )["decision"]
    safe = "safe for this scope"
    assert list(answer.parts(found)) == [
        f"envoy fallback: {safe} on 1.33",
        f"envoy init-rules: {safe} apart from 1 known limit on 1.28; {safe} on 1.33",
    ]


def test_ids_are_those_of_the_pages() -> None:
    assert identifier(HELD) == "1.33-envoy-native-init-rules-lifecycle.stop.order"
    assert identifier(HELD | {"turn": 2}) == "1.33-envoy-native-init-rules-lifecycle-t2.stop.order"


def told(entries: list[Json], **options: Any) -> Json:
    """A report with its decision, as document makes it."""
    run: Json = {"clusters": {}, "images": {}, "attempts": {"turns": 1}, "exit_code": 0}
    run["options"] = options
    report: Json = {"run": run | {"exit_meaning": "as expected"}, "cells": entries}
    return report | {"decision": answer.decided(report)}


ABSENT = entry("logs.last", "not-verified", sidecar="fluent-bit", mode="default")


def test_what_nobody_named_and_nobody_can_have_is_outside_of_the_scope() -> None:
    found = told([HELD, CONTROL, ABSENT], sidecars_named=False)["decision"]
    assert found["word"] == "safe for this scope"
    assert {one["sidecar"] for one in found["parts"]} == {"envoy"}
    assert any("fluent-bit" in one for one in found["scope"]["outside"])


@pytest.mark.parametrize("options", [{"sidecars_named": True}, {}])
def test_what_was_named_and_cannot_be_had_is_not_proven(options: dict[str, bool]) -> None:
    found = told([HELD, CONTROL, ABSENT], **options)["decision"]
    assert found["word"] == "not proven"
    assert "logs.last (not verified)" in found["sentence"]


def test_what_could_be_had_in_part_is_not_left_out() -> None:
    part = entry("logs.first", sidecar="fluent-bit", mode="default")
    found = told([HELD, CONTROL, ABSENT, part], sidecars_named=False)["decision"]
    assert found["word"] == "not proven"


def test_a_run_of_which_nothing_could_be_had_proves_nothing() -> None:
    found = told([ABSENT], sidecars_named=False)["decision"]
    assert found["word"] == "not proven"


def test_the_whole_answer_is_told_in_order() -> None:
    lost = entry("stop.app-egress", "broken")
    few = entry("start.no-plaintext", measured={"rate_bound_95": 1.0})
    found = list(answer.lines(told([HELD, CONTROL, lost, few])))
    assert [kind for kind, _ in found[:4]] == ["word", "instrument", "exit", "part"]
    assert {"broken", "repair", "gap", "bound", "outside"} <= {kind for kind, _ in found}
    text = "\n".join(line for _, line in found)
    assert "NOT KNOWN BEFORE" in text and "REPEAT=2 would do" in text
    assert "1 of 1 control arms" in text and "Exit code 0" in text


def test_a_network_without_sidecars_is_decided_on_as_it_is() -> None:
    how: dict[str, Any] = {"sidecar": "cilium", "pattern": "sidecarless", "expected": "holds"}
    sealed = entry("wire.steady", mode="wireguard", **how)
    control = entry("wire.steady", "broken", mode="none", **how | {"expected": "broken"})
    found = decide([sealed, control])
    assert (found.pattern, found.word) == ("sidecarless", "safe for this scope")
    assert (found.instrument.controls, found.instrument.reproduced) == (1, 1)
    leaking = entry("wire.steady", "broken", mode="wireguard", **how)
    assert decide([leaking, control]).word == "not safe"
    assert decide([sealed, control, HELD]).pattern == "native"
