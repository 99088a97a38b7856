"""A bundle's index as it is packed: its files sealed anew, and what became of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.report.pack import secrets


@dataclass
class Seals:
    """The index, cell.json. was: of each changed file, its seal before (packed there). left_out:
    the files that are not packed."""

    told: dict[str, Any]
    was: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, file: Path) -> Seals | None:
        """None for a file that is no index: its run was killed while it wrote."""
        try:
            told = json.loads(secrets.without(file.read_bytes()))
        except ValueError:
            return None
        return cls(told) if isinstance(told, dict) else None

    @property
    def files(self) -> dict[str, Any]:
        """What is sealed: name → its length (bytes) and digest."""
        found: dict[str, Any] = self.told.get("files") or {}
        return found

    def leaves_out(self, name: str, asked: Collection[str] | None) -> bool:
        """Whether a file is left out; it is noted then. asked: see archive.pack.

        A capture that nothing seals was put there by somebody: judges say so, and must see it.
        """
        own = f"capture/{self.told.get('subject')}/eth0.pcap"
        keep = asked is None or name in asked or name == own or name not in self.files
        if keep or not name.endswith(".pcap"):
            return False
        self.left_out.append(name)
        return True

    def end(self, name: str) -> int:
        """Where the sealed part of a file ends; 0 for a file that no seal knows."""
        mark = self.files.get(name)
        return int(mark["bytes"]) if mark else 0

    def holds(self, name: str, content: bytes) -> bool:
        """Whether a whole file begins as its seal says."""
        mark = self.files.get(name)
        return mark is not None and _digest(content[: mark["bytes"]]) == mark["sha256"]

    def seal(self, name: str, before: bytes, now: bytes) -> None:
        """Seal a file as it is packed. One that was not whole before keeps the seal that says so.

        before: the whole file. now: as it is packed, as far as it is sealed.
        """
        mark = self.files.get(name)
        if mark and before[: mark["bytes"]] != now and self.holds(name, before):
            self.was[name] = mark["sha256"]
            mark |= {"bytes": len(now), "sha256": _digest(now)}

    def text(self) -> bytes:
        """cell.json as it is packed."""
        more: dict[str, Any] = {"packed": self.was} if self.was else {}
        more |= {"left_out": self.left_out} if self.left_out else {}
        return json.dumps(self.told | more, indent=1).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
