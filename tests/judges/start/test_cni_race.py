"""start.cni-race and start.cni-validation: pods from before a CNI plugin came, and from after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge.bundle import Json, World, ns, token
from tests.worlds import cni
from tests.worlds.cni import BEFORE, BEHIND, GUARDED, HEALED, LATE, Race
from tests.worlds.start import ident

RACE, VALIDATION = "start.cni-race", "start.cni-validation"
PATTERNS = ["native", "classic"]
Break = Callable[[Race], object]


def spec(world: World, role: str) -> Json:
    found: Json = next(
        one["object"]["spec"] for one in world.watch if one["object"]["metadata"]["name"] == role
    )
    return found


def chain(role: str, plugins: list[str]) -> Break:
    """The runtime says that another chain made a pod's network."""

    def of(world: Race) -> None:
        world.drop(world.steps, "chain", pod=role)
        world.step(0.5, "chain", pod=role, plugins=plugins)

    return of


def silent_plugin(role: str) -> Break:
    """The chain has the plugin, and it did nothing."""
    return lambda world: world.stamps.pop(f"{role}.rules")


def rules_after_all(role: str) -> Break:
    """Somebody set rules in a pod that should have none."""
    return lambda world: world.stamp(0.6, f"{role}.rules", "sidecar.rules", action="set")


def own_rules(role: str) -> Break:
    """The pod brings a container that sets its rules."""
    return lambda world: spec(world, role)["initContainers"].insert(0, {"name": "rules"})


def made_twice(role: str) -> Break:
    return lambda world: world.extra.update({f"capture/{role}.1/net.json": "{}"})


def blind(role: str) -> Break:
    return lambda world: world.others[role].drop_beacon(40)


def uncontrolled(role: str) -> Break:
    """The deliberate leak is not in the capture."""

    def of(world: Race) -> None:
        other = world.others[role]
        other.frames = [one for one in other.frames if b".control." not in one[1]]

    return of


def idle(role: str) -> Break:
    """Nothing was answered, and nothing was sent."""

    def of(world: Race) -> None:
        for one in world.lines(f"{role}.app", "request.end"):
            one["outcome"] = "refused"
        other = world.others[role]
        other.frames = [one for one in other.frames if b"\x17\x03\x03" not in one[1]]

    return of


def without(step: str) -> Break:
    return lambda world: world.drop(world.steps, step)


def moved(step: str, at: float) -> Break:
    def of(world: Race) -> None:
        next(one for one in world.steps if one["step"] == step)["ns"] = ns(at)

    return of


def silenced_and_blind(world: Race) -> None:
    silenced(world)
    world.drop_beacon(60)


def silenced(world: Race) -> None:
    """What the subject sent in clear is in nobody's capture, and the witness did not hear it."""
    world.frames = [one for one in world.frames if b"cny." not in one[1]]
    world.drop(world.stamps["witness.witness"], "witness.connection", port=9000)


def outcome(how: str) -> Break:
    """Nothing in clear, and every request ends like this."""

    def of(world: Race) -> None:
        silenced(world)
        for one in world.lines("subject.app", "request.end"):
            one["outcome"] = how

    return of


class TestRace:
    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_what_was_made_too_early_leaks_for_ever(self, tmp_path: Path, pattern: str) -> None:
        found = cni.race(pattern).judged(RACE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason
        assert "shown as 1/2 Running: it does not heal by itself" in found.reason
        measured = found.measured
        assert measured["leaked_without_the_plugin"] == measured["requests_without_the_plugin"] > 20
        assert measured["leaked_with_the_plugin_there"] > 50
        assert measured["healed_by_itself"] is False
        assert measured["heard_outside_the_mesh"] == 1
        assert measured["app_waited_for_its_sidecar"] is (pattern == "native")
        assert measured["late_leaks"] == 0 < measured["late_answered"]
        assert any(one.frame for one in found.evidence)

    def test_one_that_heals_is_told_as_such(self, tmp_path: Path) -> None:
        world = cni.race()
        world.frames = [one for one in world.frames if b"cny." not in one[1] or one[0] < ns(15)]
        found = world.judged(RACE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "plaintext")
        assert found.measured["healed_by_itself"] is True
        assert "it healed by itself" in found.reason

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_an_app_that_is_kept(self, tmp_path: Path, pattern: str) -> None:
        found = cni.kept(pattern).judged(RACE, tmp_path)
        assert found.observed == "holds", found.reason
        assert found.measured["kept_seconds"] == 25

    @pytest.mark.parametrize(("how", "hazard"), [("refused", "refused"), ("reset", "lost-request")])
    def test_turned_away_and_not_in_clear(self, tmp_path: Path, how: str, hazard: str) -> None:
        world = cni.race()
        outcome(how)(world)
        found = world.judged(RACE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", hazard), found.reason

    def test_a_leak_is_one_in_a_blind_capture_too(self, tmp_path: Path) -> None:
        world = cni.race()
        world.drop_beacon(60)
        assert world.judged(RACE, tmp_path).hazard == "plaintext"

    @pytest.mark.parametrize(
        "doubtful",
        [
            # The plugin made the subject's network after all: other things leak.
            chain("subject", BEHIND), rules_after_all("subject"), own_rules("subject"),
            made_twice("subject"), without("chain"), without("plugin.asked"),
            # What should differ does not: the plugin is not the cause.
            chain(LATE, BEFORE), silent_plugin(LATE), own_rules(LATE),
            lambda world: world.leaks(LATE, 18.0, 19.0),
            blind(LATE), uncontrolled(LATE), idle(LATE), without("late.seen"),
            # Redirected by somebody else.
            outcome("ok"),
            silenced_and_blind,
        ],
    )  # fmt: skip
    def test_what_cannot_carry_a_verdict(self, tmp_path: Path, doubtful: Break) -> None:
        world = cni.race()
        doubtful(world)
        assert world.judged(RACE, tmp_path).observed == "inconclusive"

    @pytest.mark.parametrize(
        "doubtful",
        [
            moved("subject.create", -1.0),  # not longer than a start may take
            moved("late.ready", 30.0),  # and here one took that long
            lambda world: world.drop_beacon(60),
            lambda world: world.leak(8.0, token("steady", 1)),
        ],
    )
    def test_a_wait_that_may_be_none(self, tmp_path: Path, doubtful: Break) -> None:
        world = cni.kept()
        doubtful(world)
        assert world.judged(RACE, tmp_path).observed == "inconclusive"


class TestValidation:
    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_the_guarded_app_waits_until_its_pod_is_made_anew(
        self, tmp_path: Path, pattern: str
    ) -> None:
        found = cni.race(pattern).judged(VALIDATION, tmp_path)
        assert found.observed == "holds", found.reason
        measured = found.measured
        assert (measured["refused_before_the_plugin"], measured["refused_behind_it"]) == (2, 1)
        assert measured["shown"] == "Init:CrashLoopBackOff"
        assert measured["healed_by_itself"] is False
        assert measured["healed_leaks"] == 0 < measured["healed_answered"]
        assert measured["leaked_by_the_unguarded"] > 20

    @pytest.mark.parametrize("at", [4.0, 14.0])
    def test_a_guarded_app_that_begins(self, tmp_path: Path, at: float) -> None:
        """Before the plugin comes, or when it is there: its network is the old one."""
        world = cni.race()
        world.index["pods"][GUARDED]["containers"]["app"]["ids"] = [ident(GUARDED, "app")]
        world.app(at, GUARDED)
        found = world.judged(VALIDATION, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "app-ran"), found.reason

    def test_an_app_that_only_the_runtime_knows_of(self, tmp_path: Path) -> None:
        world = cni.race()
        world.index["pods"][GUARDED]["containers"]["app"]["ids"] = [ident(GUARDED, "app")]
        world.created(4.0, ident(GUARDED, "app"))
        assert world.judged(VALIDATION, tmp_path).hazard == "app-ran"

    def test_a_guarded_app_that_leaks(self, tmp_path: Path) -> None:
        world = cni.race()
        world.app(4.0, GUARDED)
        world.leaks(GUARDED, 4.1, 6.0)
        found = world.judged(VALIDATION, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason
        assert found.measured["guarded_leaks"] == 9

    def test_a_guard_that_lets_through_what_leaks(self, tmp_path: Path) -> None:
        world = cni.race()
        world.leaks(HEALED, 29.0, 30.0)
        found = world.judged(VALIDATION, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "plaintext"), found.reason

    @pytest.mark.parametrize(
        "doubtful",
        [
            # Nothing proves that the plugin was missing.
            silenced, chain(GUARDED, BEHIND), chain("subject", BEHIND), rules_after_all(GUARDED),
            made_twice(GUARDED), own_rules("subject"),
            # The app waited for something else than its guard.
            lambda world: spec(world, GUARDED)["initContainers"].pop(0),
            lambda world: spec(world, GUARDED)["initContainers"].reverse(),
            own_rules(GUARDED),
            lambda world: world.stamps.pop(f"{GUARDED}.validation"),
            lambda world: world.exited(2.4, ident(GUARDED, "validation", 0), 1),
            # It did not wait long enough, or it is not known whether it would have gone on.
            lambda world: world.drop(world.stamps[f"{GUARDED}.validation"], "validation.failed"),
            lambda world: world.index["pods"][GUARDED]["containers"]["validation"]["ids"].pop(),
            moved("plugin.arrived", 15.2),  # the last one had begun by then
            blind(GUARDED), without("plugin.arrived"), without("guarded.create"),
            lambda world: world.others[GUARDED].drop(world.others[GUARDED].agent, "beacon.last"),
            # The guard lets nothing through, whatever the pod.
            without("healed.seen"), idle(HEALED), blind(HEALED), uncontrolled(HEALED),
            chain(HEALED, BEFORE), silent_plugin(HEALED),
            lambda world: spec(world, HEALED)["initContainers"].pop(0),
            lambda world: world.stamps.pop(f"{HEALED}.validation"),
            lambda world: world.commands.clear(),
        ],
    )  # fmt: skip
    def test_what_cannot_carry_a_verdict(self, tmp_path: Path, doubtful: Break) -> None:
        world = cni.race()
        doubtful(world)
        found = world.judged(VALIDATION, tmp_path)
        assert found.observed == "inconclusive", found.reason
