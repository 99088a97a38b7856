"""Leaks that are no fault of the order of things: what the mesh does not carry, told apart."""

from __future__ import annotations

from conformance.plugin import CellEvidence, behaviour


@behaviour("leak.dns-udp")
def test_what_a_mesh_leaves_alone_is_known(evidence: CellEvidence) -> None:
    evidence.must_show("leak.dns-udp")


@behaviour("leak.beside-udp")
def test_beside_names_and_datagrams_nothing_crosses_in_clear(evidence: CellEvidence) -> None:
    evidence.must_show("leak.beside-udp")


@behaviour("leak.ephemeral")
def test_an_ephemeral_container_is_not_heard_in_clear_after_the_proxys_end(
    evidence: CellEvidence,
) -> None:
    evidence.must_show("leak.ephemeral")


@behaviour("leak.ipv6")
def test_ipv6_is_carried_as_ipv4_is(evidence: CellEvidence) -> None:
    evidence.must_show("leak.ipv6")
