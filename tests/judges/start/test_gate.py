"""start.order behind a startup probe that is a command: its ends are the runtime's to tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import World, ns
from tests.worlds import lifecycle

ORDER = "start.order"


def world(pattern: str = "native", *ends: tuple[float, int]) -> World:
    """Probes by command, each with the moment of its end and its status; no word of the sidecar's
    own, and nothing to be seen on the wire."""
    made = lifecycle.lifecycle(pattern)
    made.index["gate"] = "exec"
    del made.index["ports"]["health"]
    del made.stamps["subject.envoy"]
    for number, (at, status) in enumerate(ends):
        ran(made, at, status, f"probe-{number}")
    return made


def ran(made: World, at: float, status: int, name: str, container: str = forge.ENVOY) -> None:
    made.exited(at, container, status)
    made.runtime[-1][2]["id"] = name


def test_the_app_after_the_command_that_ended_well(tmp_path: Path) -> None:
    found = world("native", (3.0, 1), (4.0, 1), (5.0, 0)).judged(ORDER, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["smallest_ordered_gap_ms"] == pytest.approx(296, abs=3)
    assert found.reason.endswith("after the startup probe's success.")
    assert "runtime.log" in {one.file for one in found.evidence}


def test_the_app_before_it(tmp_path: Path) -> None:
    found = world("classic", (3.0, 1), (5.0, 0)).judged(ORDER, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "wrong-order")
    assert found.measured["app_ahead_ms"] == pytest.approx(3898, abs=5)


def nothing(made: World) -> None:
    """No probe ended well."""


def of_the_app(made: World) -> None:
    ran(made, 5.0, 0, "probe", container=forge.APP)


def the_containers_own_end(made: World) -> None:
    made.exited(5.0, forge.ENVOY, 0)


def badly(made: World) -> None:
    ran(made, 5.0, 1, "probe")


@pytest.mark.parametrize("break_", [nothing, of_the_app, the_containers_own_end, badly])
def test_what_opens_no_gate(break_: object, tmp_path: Path) -> None:
    made = world()
    break_(made)  # type: ignore[operator]
    assert made.judged(ORDER, tmp_path).observed == "inconclusive"


def test_a_gap_in_the_runtimes_events_is_not_seen_through(tmp_path: Path) -> None:
    made = world("native", (5.0, 0))
    gap = {"what": "containerd's events", "ns": ns(4.0), "until_ns": ns(4.5)}
    made.extra["gaps.jsonl"] = json.dumps(gap) + "\n"
    assert made.judged(ORDER, tmp_path).observed == "inconclusive"


def test_a_200_is_no_gate_where_the_probe_is_a_command(tmp_path: Path) -> None:
    made = lifecycle.lifecycle()
    made.index["gate"] = "exec"
    del made.stamps["subject.envoy"]
    assert made.judged(ORDER, tmp_path).observed == "inconclusive"
