"""What makes any world say nothing, whoever judges it."""

from __future__ import annotations

from pathlib import Path

from tests.forge.bundle import World


def inconclusive(world: World, behaviour: str, folder: Path, said: str) -> None:
    found = world.judged(behaviour, folder)
    assert found.observed == "inconclusive", found.reason
    assert said in found.reason


def never_deleted(world: World) -> None:
    world.drop(world.steps, "delete.asked")
    world.drop(world.steps, "delete.accepted")


def not_injected(world: World) -> None:
    world.index["admitted"]["pattern"] = "none"
