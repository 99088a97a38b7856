"""Who opened the gate, and when: two lives of a sidecar, another server on its port, a claim of
readiness that comes late. One defect each, and beside each that must not pass one that must."""

from __future__ import annotations

from pathlib import Path

from tests.forge.bundle import ENVOY, World, ns
from tests.forge.defects import (
    BROKEN,
    HOLDS,
    NOT,
    OPEN,
    Break,
    Case,
    both,
    each,
    judged_rightly,
    later,
    nothing,
    without,
)
from tests.worlds import lifecycle, logs, move, start
from tests.worlds.start import SECOND, SIDECAR, ident

APP, ENVOYS = "subject.app", "subject.envoy"
ORDER, SEQUENCE, UNREADY = "start.order", "start.sequence", "start.unready-sidecar"
PLAIN, FIRST, MIXED = "start.no-plaintext", "start.first-request", "mixed.order"
OTHER = "9" * 64


def answers(at: float, port: int = 15021) -> Break:
    """Somebody answers the kubelet's probe."""
    return lambda world: world.probe(at, "200 OK", port=port)


def begins(who: str, role: str, at: float) -> Break:
    """A container begins at another time."""

    def change(world: World) -> None:
        name = ident(role, who)
        world.runtime = [one for one in world.runtime if one[2]["container_id"] != name]
        world.created(at, name)
        for line in world.stamps[f"{role}.{who}"]:
            moved = ns(at + 0.05) - line["ns"]
            if line["event"].endswith(".started"):
                line["ns"] += moved
                line["mono_ns"] += moved
        if who in ("between", "before", "after"):
            line = world.lines(f"{role}.{who}", "app.last")[0]
            line["ns"], line["mono_ns"] = ns(at + 0.2), line["mono_ns"] + ns(at + 0.2) - line["ns"]
            world.exited(at + 0.21, name)

    return change


def anew(name: str, ended: float, again: float) -> Break:
    """A sidecar of the sequence ends, and is made anew."""

    def change(world: World) -> None:
        world.index["pods"]["subject"]["containers"][name]["ids"].append(ident("subject", name, 1))
        world.exited(ended, ident("subject", name), 1)
        world.created(again, ident("subject", name, 1))
        world.stamp(again + 0.05, f"subject.{name}", "sidecar.started")
        for one in world.runtime[:]:
            if one[0] > ns(ended + 0.1) and one[2]["container_id"] == ident("subject", name):
                world.runtime.remove(one)

    return change


def readied(name: str, at: float) -> Break:
    return lambda world: world.stamp(at, f"subject.{name}", "sidecar.ready")


def envoy_anew(ended: float, again: float) -> Break:
    """The proxy ends, and is made anew."""

    def change(world: World) -> None:
        world.index["pods"]["subject"]["containers"]["envoy"]["ids"].append(OTHER)
        world.exited(ended, ENVOY, 1)
        world.created(again, OTHER)

    return change


CASES: list[Case] = [
    ("the proxy says 0.4 s after its 200 that it is ready", ORDER, lifecycle.lifecycle, "native",
     later(ENVOYS, "sidecar.ready", 0.5), HOLDS),
    ("the proxy says 1.5 s after the 200 that it is ready", ORDER, lifecycle.lifecycle, "native",
     later(ENVOYS, "sidecar.ready", 1.6), NOT),
    ("in order", SEQUENCE, start.sequence, "native", nothing, HOLDS),
    ("another server answers, and the next one begins", SEQUENCE, start.sequence, "native",
     both(answers(1.5), begins("between", "subject", 2.0)), NOT),
    ("another server answers, and nothing comes of it", SEQUENCE, start.sequence, "native",
     answers(1.5, 15999), HOLDS),
    ("another server answers the second one's probe", SEQUENCE, start.sequence, "native",
     both(answers(6.0, 15022), begins("after", "subject", 6.5)), NOT),
    ("what passed had ended, and its second life had not passed", SEQUENCE, start.sequence,
     "native", both(anew(SIDECAR, 4.2, 4.4), readied(SIDECAR, 8.0), answers(8.1)), NOT),
    ("what passed ended, and its second life passed too", SEQUENCE, start.sequence, "native",
     both(anew(SIDECAR, 4.0, 4.1), readied(SIDECAR, 4.4), answers(4.5)), HOLDS),
    ("a second life after all had begun", SEQUENCE, start.sequence, "native",
     both(anew(SECOND, 9.5, 9.7), readied(SECOND, 10.5)), HOLDS),
    ("native beside classic", MIXED, start.sequence, "native", nothing, HOLDS),
    ("native beside classic: ready only after the app began", MIXED, start.sequence, "native",
     later("mixed.sidecar", "sidecar.ready", 1.0), NOT),
    ("the app waits", UNREADY, start.unready, "native", nothing, HOLDS),
    ("another server opens the gate, and the app does not wait", UNREADY, start.unready, "native",
     both(answers(3.0), later("subject.sidecar", "sidecar.ready", 2.5)), NOT),
    ("the sidecar answers, and writes a moment later that it is ready", UNREADY, start.unready,
     "native", both(answers(8.7), later("subject.sidecar", "sidecar.ready", 1.0)), HOLDS),
    ("a gate of the shipper's own", "logs.health-gate", logs.gate, "native", nothing, HOLDS),
    ("the rollout", "move.rollout", move.rollout, "native", nothing, HOLDS),
    # --- density of the start
    ("classic: refused from its begin on", PLAIN, lifecycle.lifecycle, "classic", nothing, HOLDS),
    ("classic: nothing was tried for four seconds", PLAIN, lifecycle.lifecycle, "classic",
     both(without(APP, "steady", 1.2, 5.2), without(APP, "mesh-witness", 1.1, 5.2)), OPEN),
    ("classic: nothing was tried for a second", PLAIN, lifecycle.lifecycle, "classic",
     both(without(APP, "steady", 2.0, 3.0), without(APP, "mesh-witness", 2.0, 3.0)), HOLDS),
    ("classic: all that was tried came at the end", PLAIN, lifecycle.lifecycle, "classic",
     both(without(APP, "steady", 1.0, 5.9), without(APP, "mesh-witness", 1.0, 5.9),
          without(APP, "first", 1.0, 5.9)), OPEN),
]  # fmt: skip


@each(CASES)
def test_one_defect(tmp_path: Path, case: Case) -> None:
    judged_rightly(case, tmp_path)


def test_a_leak_before_the_sidecars_own_answer_is_its_absence_though_another_server_answered(
    tmp_path: Path,
) -> None:
    world = lifecycle.lifecycle("classic")
    world.leak(3.0, world.attempt(2.99, APP, "steady", 900, "reset"), end="rst")
    world.probe(2.0, "200 OK")
    found = world.judged(PLAIN, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "plaintext")


def test_a_first_request_is_not_lost_behind_a_ready_sidecar_because_another_server_answered(
    tmp_path: Path,
) -> None:
    world = lifecycle.lifecycle("classic")
    world.probe(0.9, "200 OK")
    found = world.judged(FIRST, tmp_path)
    assert found.observed == "inconclusive" or found.hazard == "refused", found.reason


def test_broken_is_what_begins_before_the_life_of_the_sidecar_that_is_there_then_was_ready(
    tmp_path: Path,
) -> None:
    world = start.sequence("native")
    both(anew(SIDECAR, 4.2, 4.4), readied(SIDECAR, 8.0), answers(8.1))(world)
    assert world.judged(SEQUENCE, tmp_path).observed in BROKEN
