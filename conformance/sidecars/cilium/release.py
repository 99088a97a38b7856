"""The releases of Cilium that are used. Standard library only: options are checked by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """One Cilium. module: the folder of fixtures/cilium that pins it."""

    version: str
    module: str

    @property
    def tag(self) -> str:
        """Of its images, and of its module."""
        return f"v{self.version}"


PRESENT = Release("1.15.19", "module")
"""The newest minor whose agent can encrypt by a WireGuard in user space (encryption.wireguard.
userspaceFallback in its chart; gone in 1.16), so that a kernel without WireGuard can be judged."""

FORMER = Release("1.15.6", "former")
"""An older patch of the same minor, which an upgrade of the agents begins with."""
