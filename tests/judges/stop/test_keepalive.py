"""stop.keepalive and plane.rotation: connections that are kept, and who ends them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forge import wire
from tests.forge.bundle import PEER, POD, Json, World, ns
from tests.worlds import mesh
from tests.worlds.mesh import KEPT, ROLES, keep, show

KEEPALIVE, ROTATION = "stop.keepalive", "plane.rotation"
BESIDE = "lost-while-the-sidecar-lived"
Break = Callable[[World], object]


def closed(world: World, role: str, kind: str) -> Json:
    (line,) = world.lines(f"{role}.app", "kept.closed", kind=kind)
    return line


def ends(role: str, kind: str, at: float, how: str) -> Break:
    """The connection is ended by somebody else, and used no more."""

    def of(world: World) -> None:
        who, name = f"{role}.app", f"{kind}.{role}.0"
        world.stamps[who] = [
            one
            for one in world.stamps[who]
            if one.get("connection") != name or one["event"] == "kept.open"
        ]
        world.drop(world.stamps[who], "kept.open", connection=name)
        keep(world, role, kind, mesh.OPENED, at, how=how)

    return of


class TestDrain:
    def test_all_connections_live(self, tmp_path: Path) -> None:
        found = mesh.keepalive().judged(KEEPALIVE, tmp_path)
        assert found.observed == "holds", found.reason
        assert found.measured["connections"] == 6
        assert found.measured["messages"] > 50 and found.measured["messages_lost"] == 0
        assert found.measured["hook_ms_after_deletion"] == pytest.approx(100, abs=1)

    def test_the_classic_pattern_loses_them(self, tmp_path: Path) -> None:
        found = mesh.keepalive("classic").judged(KEEPALIVE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "connection-lost"), found.reason
        assert found.measured["connections_ended"] == 6
        assert found.measured["first_end_ms_after_deletion"] == pytest.approx(1600, abs=1)
        assert found.evidence[0].file.startswith("stamps/")

    def test_an_app_that_ends_them_at_its_own_signal_reproduces_nothing(
        self, tmp_path: Path
    ) -> None:
        """The proxy's drain is over at 11.5 s: what ended before, something else has ended."""
        world = mesh.keepalive("classic")
        for role in ROLES:
            for kind in KEPT:
                ends(role, kind, 10.2, "fin")(world)
        for lines in world.stamps.values():
            lines[:] = [
                one
                for one in lines
                if one.get("kind") not in (*KEPT, "touch") or one["ns"] < ns(10.3)
            ]
        found = world.judged(KEEPALIVE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", BESIDE), found.reason
        assert found.measured["ended_or_lost_from_the_sidecars_end"] == 0

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("kind", KEPT)
    @pytest.mark.parametrize(
        ("how", "hazard"),
        [
            ("told", "connection-close"),
            ("fin", BESIDE),
            ("finished", BESIDE),
            ("reset", BESIDE),
            ("timeout", "timed-out"),
        ],
    )
    def test_one_that_is_ended_is_enough(
        self, tmp_path: Path, role: str, kind: str, how: str, hazard: str
    ) -> None:
        world = mesh.keepalive()
        ends(role, kind, 12.0, how)(world)
        keep(world, role, kind, 12.3, 14.9, how="own", number=1)  # another takes its place
        found = world.judged(KEEPALIVE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", hazard), found.reason

    def test_a_request_lost_on_a_connection_that_stays(self, tmp_path: Path) -> None:
        world = mesh.keepalive()
        world.attempt(12.0, "subject.app", "pool", 9999, "wrong")
        found = world.judged(KEEPALIVE, tmp_path)
        assert (found.observed, found.hazard) == ("broken", BESIDE)

    def test_an_answer_that_never_comes_is_a_loss(self, tmp_path: Path) -> None:
        world = mesh.keepalive()
        world.attempt(10.5, "peer.app", "raw", 9999, "ok")
        world.drop(
            world.stamps["peer.app"], "request.end", token="cny.0123456789ab.raw.peer.009999"
        )
        assert world.judged(KEEPALIVE, tmp_path).hazard == BESIDE

    def test_what_ends_with_the_app_is_the_apps(self, tmp_path: Path) -> None:
        world = mesh.keepalive()
        for kind in KEPT:
            closed(world, "peer", kind)["how"] = "fin"
        assert world.judged(KEEPALIVE, tmp_path).observed == "holds"

    def test_what_the_proxies_end_between_them_is_measured(self, tmp_path: Path) -> None:
        world = mesh.keepalive()
        hello = (0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO + wire.sealed(900))
        for end, until in (("fin", 11.0), ("rst", 12.0)):
            says = (*hello, *((seq % 2, wire.sealed()) for seq in range(10)))
            step = round((until - 9.0) * 1000 / len(says)) * wire.MS
            world.talk(9.0, (PEER, world.next_port()), (POD, 8080), *says, step=step, end=end)
        found = world.judged(KEEPALIVE, tmp_path)
        assert found.observed == "holds", found.reason
        before = mesh.keepalive().judged(KEEPALIVE, tmp_path / "before").measured
        more = found.measured["mesh_connections_ended"] - before["mesh_connections_ended"]
        assert more == 2

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("kind", KEPT)
    def test_a_connection_that_falls_silent_is_no_proof(
        self, tmp_path: Path, role: str, kind: str
    ) -> None:
        world = mesh.keepalive()
        ends(role, kind, 12.0, "")(world)
        assert world.judged(KEEPALIVE, tmp_path).observed == "inconclusive"

    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize("kind", KEPT)
    def test_every_kind_must_have_been_open(self, tmp_path: Path, role: str, kind: str) -> None:
        world = mesh.keepalive()
        ends(role, kind, 9.9, "fin")(world)
        found = world.judged(KEEPALIVE, tmp_path)
        assert found.observed == "inconclusive" and f"{kind} of {role}" in found.reason

    @pytest.mark.parametrize(
        "doubtful",
        [
            lambda world: world.drop(world.stamps["subject.app"], "app.sigterm"),
            lambda world: world.drop(world.stamps["subject.app"], "app.last"),
            lambda world: world.drop(world.steps, "delete.asked"),
            lambda world: world.index.update(app_drain_seconds=2),  # as long as the sidecar's
            lambda world: world.leak(9.0, "cny.0123456789ab.pool.subject.000001"),
            lambda world: world.missing.add("capture/subject/eth0.pcap"),
        ],
    )
    def test_what_cannot_carry_a_verdict(self, tmp_path: Path, doubtful: Break) -> None:
        world = mesh.keepalive()
        doubtful(world)
        assert world.judged(KEEPALIVE, tmp_path).observed == "inconclusive"


class TestRotation:
    @pytest.mark.parametrize("pattern", ["classic", "native"])
    def test_nobody_notices(self, tmp_path: Path, pattern: str) -> None:
        found = mesh.keepalive(pattern).judged(ROTATION, tmp_path)
        assert found.observed == "holds", found.reason
        assert found.measured["subject_certificates"] == 2
        assert [one.text.rpartition(" ")[2] for one in found.evidence] == ["a0", "b1"]

    def test_a_request_that_fails_breaks_it(self, tmp_path: Path) -> None:
        world = mesh.keepalive()
        world.attempt(9.0, "peer.app", "touch", 9999, "reset")
        found = world.judged(ROTATION, tmp_path)
        assert (found.observed, found.hazard) == ("broken", "lost-request")

    @pytest.mark.parametrize("kind", KEPT)
    def test_a_connection_that_ends_breaks_it(self, tmp_path: Path, kind: str) -> None:
        world = mesh.keepalive()
        ends("subject", kind, 8.6, "fin")(world)
        assert world.judged(ROTATION, tmp_path).hazard == "connection-lost"

    def test_what_is_lost_before_the_use_or_in_the_drain_is_another_matter(
        self, tmp_path: Path
    ) -> None:
        world = mesh.keepalive()
        world.attempt(6.0, "peer.app", "touch", 9998, "refused")
        world.attempt(10.5, "peer.app", "touch", 9999, "reset")
        assert world.judged(ROTATION, tmp_path).observed == "holds"

    def test_without_a_second_certificate_nothing_is_known(self, tmp_path: Path) -> None:
        world = mesh.keepalive()
        for line in world.logs["peer.envoy"]:
            line["peer_serial"] = "a0"
        world.attempt(9.0, "peer.app", "touch", 9999, "reset")  # whatever that was
        found = world.judged(ROTATION, tmp_path)
        assert found.observed == "inconclusive" and "no certificate" in found.reason

    @pytest.mark.parametrize("role", ROLES)
    def test_anothers_certificate_is_none_of_the_pods(self, tmp_path: Path, role: str) -> None:
        world = mesh.keepalive()
        for line in world.logs["peer.envoy"]:
            if line["peer_serial"] == "b1":
                line["peer_uri"] = f"spiffe://sc.local/another-{role}"
        assert world.judged(ROTATION, tmp_path).observed == "inconclusive"

    def test_one_replaced_before_or_behind_the_window_does_not_count(self, tmp_path: Path) -> None:
        world = mesh.keepalive()
        world.logs.pop("peer.envoy")
        show(world, 6.0, "a0")
        show(world, 6.5, "b1")
        show(world, 10.5, "c2")
        assert world.judged(ROTATION, tmp_path).observed == "inconclusive"

    @pytest.mark.parametrize("kind", KEPT)
    def test_connections_must_be_older_than_the_certificate(
        self, tmp_path: Path, kind: str
    ) -> None:
        world = mesh.keepalive()
        for line in world.stamps["subject.app"]:
            if line.get("connection") == f"{kind}.subject.0" and line["event"] == "kept.open":
                line["ns"] += 3_000_000_000
        assert world.judged(ROTATION, tmp_path).observed == "inconclusive"


def asked(world: World, *looks: tuple[float, str, str]) -> World:
    """The proxies record no serial numbers: the observer asked for certificates (time, role,
    serial)."""
    world.logs.clear()
    lines = [{"ns": ns(at), "role": role, "serial": serial} for at, role, serial in looks]
    world.extra["certificates.jsonl"] = "".join(f"{json.dumps(line)}\n" for line in lines)
    return world


def test_certificates_that_were_asked_for_are_as_good_as_recorded_ones(tmp_path: Path) -> None:
    at = mesh.REPLACED
    both = ((at - 2, "subject", "a0"), (at - 2, "peer", "a1"), (at, "subject", "b0"))
    found = asked(mesh.keepalive(), *both, (at, "peer", "b1")).judged(ROTATION, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["subject_certificates"] == 2
    assert found.evidence[-1].file == "certificates.jsonl"


def test_one_that_was_never_seen_to_change_proves_nothing(tmp_path: Path) -> None:
    at = mesh.REPLACED
    seen = ((at - 2, "subject", "a0"), (at, "subject", "a0"), (at, "peer", "b1"))
    found = asked(mesh.keepalive(), *seen).judged(ROTATION, tmp_path)
    assert found.observed == "inconclusive"
