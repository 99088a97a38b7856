"""bisect: the patch that changed a promise, from as few runs as it takes."""

from __future__ import annotations

import json
from collections.abc import Set
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance import bisect, child
from conformance.cli import main

WRONG = [
    (["stop.odrer", "1.33.4", "1.33.6"], "stop.odrer is no behaviour"),
    (["stop.order", "1.33", "1.33.6"], "GOOD=1.33 is no patch"),
    (["stop.order", "1.33.4", "latest"], "BAD=latest is no patch"),
    (["stop.order", "1.33.4", "1.33.5-rc.0"], "BAD=1.33.5-rc.0 is no patch"),
    (["stop.order", "1.33.4", "1.34.1"], "two minors"),
    (["stop.order", "1.33.4", "1.33.4"], "both 1.33.4"),
    (["stop.order", "1.99.4", "1.99.5"], "K8S=1.99.4 is not valid"),
    (["stop.order", "1.33.4", "1.33.6", "--sidecar=envyo"], "SIDECAR=envyo is not valid"),
    (["job.completes", "1.33.4", "1.33.6", "--mode=nope"], "MODE=nope is not valid"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "run", lambda _: pytest.fail("a run was begun"))
    answer = CliRunner().invoke(main, ["bisect", *arguments])
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 2  # the sentence, and the exit code


def found(
    good: str, bad: str, broken: Set[int], blind: Set[int] = frozenset()
) -> tuple[bisect.Answer, list[int]]:
    """The answer in a world where these patches are broken, and what was played for it."""
    played: list[int] = []

    def see(version: str) -> str:
        patch = int(version.rsplit(".", 1)[1])
        played.append(patch)
        if patch in blind:
            return bisect.UNKNOWN
        return bisect.BROKEN if patch in broken else bisect.HELD

    return bisect.find(bisect.ask("stop.order", good, bad, {}), see, lambda _: None), played


def test_the_first_bad_patch_is_named() -> None:
    answer, played = found("1.33.0", "1.33.12", set(range(5, 13)))
    assert answer.said.startswith("first bad patch: 1.33.5.")
    assert "held on 1.33.4 and is broken on 1.33.5" in answer.said
    assert answer.exit_code == 0
    assert len(played) == len(set(played)) <= 6


def test_the_first_mended_patch_is_named() -> None:
    answer, _ = found("1.33.9", "1.33.1", set(range(6)))
    assert answer.said.startswith("first mended patch: 1.33.6.")


def test_neighbours_need_no_more_than_their_two_runs() -> None:
    answer, played = found("1.33.5", "1.33.6", {6})
    assert answer.said.startswith("first bad patch: 1.33.6.")
    assert played == [5, 6]


def test_a_patch_that_cannot_be_judged_is_passed_over() -> None:
    answer, _ = found("1.33.0", "1.33.8", set(range(6, 9)), blind={4})
    assert answer.said.startswith("first bad patch: 1.33.6.")
    answer, _ = found("1.33.0", "1.33.8", set(range(5, 9)), blind={4})
    assert answer.exit_code == 5
    assert "held on 1.33.3 and is broken on 1.33.5; 1.33.4 between them" in answer.said


@pytest.mark.parametrize(
    ("broken", "blind", "said"),
    [
        ({0, 8}, frozenset(), "on 1.33.0: broken, and not held"),
        (set(), frozenset(), "on 1.33.8: held, and not broken"),
        ({8}, {0}, "on 1.33.0: no verdict"),
    ],
)
def test_ends_that_are_not_as_they_were_called_end_it(
    broken: Set[int], blind: Set[int], said: str
) -> None:
    answer, played = found("1.33.0", "1.33.8", broken, blind)
    assert answer.exit_code == 5
    assert said in answer.said
    assert len(played) <= 2


def report(place: Path, *observed: str) -> None:
    run = place / "20260101-000000-aaaa"
    run.mkdir(parents=True)
    cells = [{"behaviour": "stop.order", "observed": one} for one in observed]
    cells.append({"behaviour": "stop.in-flight", "observed": "broken"})
    (run / "report.json").write_text(json.dumps({"cells": cells}))
    (place / "latest").symlink_to(run.name)


@pytest.mark.parametrize(
    ("observed", "seen"),
    [
        (["holds"], bisect.HELD),
        (["holds", "broken"], bisect.BROKEN),
        (["holds", "inconclusive"], bisect.UNKNOWN),
        (["not-verified"], bisect.UNKNOWN),
        (["measured"], bisect.UNKNOWN),
        ([], bisect.UNKNOWN),
    ],
)
def test_what_a_run_says_of_a_promise(tmp_path: Path, observed: list[str], seen: str) -> None:
    assert bisect.judged(tmp_path, "stop.order") == bisect.UNKNOWN
    report(tmp_path, *observed)
    assert bisect.judged(tmp_path, "stop.order") == seen


def test_what_was_played_is_not_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def run(options: list[str]) -> int:
        given = dict(one.removeprefix("--").split("=", 1) for one in options)
        assert given["behaviour"] == "stop.order"
        assert (given["sidecar"], given["pattern"]) == ("envoy", "native")
        begun.append(given["k8s"])
        if len(begun) == 3:
            return 130
        report(Path(given["results"]), "broken" if given["k8s"] >= "1.33.3" else "holds")
        return 1

    monkeypatch.setattr(child, "run", run)
    ask = ["bisect", "stop.order", "1.33.1", "1.33.5", f"--results={tmp_path}"]
    stopped = CliRunner().invoke(main, ask)
    assert stopped.exit_code == 130
    assert "the same command goes on from here" in stopped.stderr
    answer = CliRunner().invoke(main, ask)
    assert answer.exit_code == 0, answer.output
    assert "first bad patch: 1.33.3." in answer.stdout
    assert begun == ["1.33.1", "1.33.5", "1.33.3", "1.33.3", "1.33.2"]
