"""The registry of sidecar drivers: one line for each. Standard library only, so that options can be
checked before anything is installed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Registration:
    """What the plan must know of a driver without importing it.

    module: holds a class ``Driver`` (see conformance.sidecars.driver).
    modes: its variants, the default first. patterns: those it has.
    """

    name: str
    module: str
    modes: tuple[str, ...]
    patterns: tuple[str, ...] = ("classic", "native")


REGISTRY = {
    entry.name: entry
    for entry in (
        Registration(
            "envoy", "conformance.sidecars.envoy", ("init-rules", "sidecar-rules", "fallback")
        ),
    )
}
