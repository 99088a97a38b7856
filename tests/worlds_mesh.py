"""Worlds of the mesh around the pod, as they are when all goes as expected (see worlds.py)."""

from __future__ import annotations

import worlds
from forge import PEER_ID, SUBJECT_ID, World, ns, stamp_text

KEPT = ("pool", "long", "raw")
ROLES = ("subject", "peer")
OPENED, IN_USE, REPLACED = 5.8, 7.0, 8.5


def keepalive(pattern: str = "native") -> World:
    """A fresh world in which two pods keep connections open: certificates are replaced at 8.5 s,
    and the pod is deleted as in a lifecycle."""
    world = worlds.lifecycle(pattern)
    world.index["cell"]["scenario"] = "keepalive"
    world.step(IN_USE, "kept")
    gone = 14.95 if pattern == "native" else worlds.SIDECAR_GONE_CLASSIC
    for role in ROLES:
        own = pattern == "native" and role == "subject"
        for kind in KEPT:
            how = "own" if own else "finished" if pattern == "native" else "reset"
            keep(world, role, kind, OPENED, gone, how=how)
        for seq in range(18):
            world.attempt(IN_USE + 0.05 + seq * 0.5, f"{role}.app", "touch", seq, "ok")
    for seq in range(12):
        show(world, IN_USE + 0.25 * seq, "b1" if IN_USE + 0.25 * seq >= REPLACED else "a0")
    return world


def keep(
    world: World, role: str, kind: str, begin: float, end: float, *, how: str, number: int = 0
) -> None:
    """A kept connection, in use five times a second; how "": nobody ends it."""
    who, name = f"{role}.app", f"{kind}.{role}.{number}"
    same = {"connection": name, "kind": kind}
    world.stamp(begin, who, "kept.open", **same, local="10.244.0.7:1", remote="10.96.0.50:8080")
    for seq in range(int((end - begin) * 5)):
        at = begin + seq * 0.2 + 0.01
        if kind == "long":
            world.stamp(at, who, "kept.piece", **same, bytes=20)
        else:
            its = world.attempt(at, who, kind, 1000 * number + seq, "ok", connection=name)
            world.lines(who, "request.begin", token=its)[-1]["connection"] = name
    if how:
        world.stamp(end, who, "kept.closed", **same, how=how, detail="")


def show(world: World, at: float, serial: str) -> None:
    """Each proxy records a connection of the other pod, with the certificate that it was shown."""
    for role, identity in (("peer", SUBJECT_ID), ("subject", PEER_ID)):
        line = {
            "direction": "inbound", "start": stamp_text(ns(at), "T") + "Z", "token_path": None,
            "downstream_remote": "10.244.0.99:50001", "upstream_local": "127.0.0.1:50002",
            "peer_uri": identity, "own_uri": "-", "tls_version": "TLSv1.3", "response_code": 0,
            "peer_serial": serial,
        }  # fmt: skip
        world.logs.setdefault(f"{role}.envoy", []).append(line)
