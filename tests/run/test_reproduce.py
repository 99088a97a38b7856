"""A failure mode is told as it happens, and what came of it is the verdicts' word."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from conformance.cluster.state import ClusterHandle
from conformance.model import Cell, Finding, Observed, Verdict
from conformance.plan import failures
from conformance.plan.cells import Item
from conformance.plan.failures import Look
from conformance.run import reproduce
from conformance.verdicts import store

CELL = Cell("1.33", "envoy", "classic", "fallback", "lifecycle")


def verdict(behaviour: str, observed: Observed, cell: Cell = CELL) -> Verdict:
    hazard = "plaintext" if observed == "broken" else ""
    return store.hold(Item(cell, behaviour), Finding(behaviour, observed, "As seen.", hazard))


@pytest.mark.parametrize(
    ("shown", "healed", "code"),
    [
        (["broken"], ["holds"], 0),
        (["holds"], ["holds"], 1),
        (["broken"], ["broken"], 1),
        (["broken"], [], 1),
        (["inconclusive"], ["holds"], 5),
        (["broken"], ["inconclusive"], 5),
        (["broken"], ["not-verified"], 5),
        (["not-verified"], ["not-verified"], 4),
    ],
)
def test_only_a_hazard_that_was_seen_and_healed_is_a_success(
    shown: Sequence[Observed], healed: Sequence[Observed], code: int
) -> None:
    found = reproduce.Reproduced(
        failures.named("startup-race"),
        [verdict("start.no-plaintext", one) for one in shown],
        [verdict("start.no-plaintext", one) for one in healed],
    )
    assert found.exit_code == code
    assert ("was reproduced" in reproduce.sentence(found)) == ("broken" in shown)


def test_where_the_cell_holds_its_own_recovery_it_must_hold() -> None:
    failure = failures.named("grace-too-short")
    for observed, code in (("holds", 0), ("broken", 1), ("inconclusive", 5)):
        found = reproduce.Reproduced(failure, [], [verdict("stop.short-grace", observed)])  # type: ignore[arg-type]
        assert found.exit_code == code


def test_it_is_told_in_order_and_looked_at_when_the_step_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / CELL.slug
    (bundle / "stamps").mkdir(parents=True)
    (bundle / "watch.jsonl").write_text("")

    def write(file: str, *lines: dict[str, object], half: str = "") -> None:
        (bundle / file).write_text("".join(json.dumps(one) + "\n" for one in lines) + half)

    write(
        "steps.jsonl",
        {"ns": 1_000_000_000, "step": "subject.create"},
        {"ns": 3_000_000_000, "step": "subject.ready"},
        half='{"ns": 4',
    )
    started = {"ns": 2_000_000_000, "event": "app.started"}
    write("stamps/subject.app.jsonl", started, {"ns": 2_100_000_000, "event": "request.begin"})
    write("stamps/peer.app.jsonl", started)
    said: list[str] = []
    asked: list[Sequence[str]] = []

    def output(self: object, arguments: Sequence[str]) -> str:
        del self
        asked.append(arguments)
        return "init: x | main: app y\n"

    monkeypatch.setattr(reproduce._Teller, "_output", output)
    handle = ClusterHandle("1.33", "kind", tmp_path / "kubeconfig", "node", tmp_path)
    look = Look("subject.ready", "get pod {pod} -o name", "who races")
    over = threading.Event()
    over.set()
    reproduce._Teller(handle, CELL, [look], said.append).follow(over)
    assert said == [
        "    0.000 s  subject.create",
        "    1.000 s  app.started  (subject.app)",
        "    2.000 s  subject.ready",
        "            $ kubectl get pod subject -o name    # who races",
        "            init: x | main: app y",
    ]
    assert asked[0][-4:] == ["get", "pod", "subject", "-o", "name"][-4:]
    assert asked[0][:4] == ["--kubeconfig", str(tmp_path / "kubeconfig"), "-n", CELL.slug]
