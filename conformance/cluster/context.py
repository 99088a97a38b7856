"""What the controlling process tells the workers, once, before the first cluster is ready."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from conformance.engine.client import Client
from conformance.images.ensure import Image
from conformance.machine import files


@dataclass(frozen=True)
class Context:
    """The facts of a run that every worker needs.

    docker, docker_env: the client and its environment. rootfs: the observer's tools, as plain
    files. images: fixture folder → image. unobtainable: sidecar → why it cannot be had here.
    versions: sidecar → the version that the user asked for.
    """

    run_id: str
    results: Path
    docker: Path
    docker_env: Mapping[str, str]
    rootfs: Path
    images: Mapping[str, Image] = field(default_factory=dict)
    take_away: str = ""
    unobtainable: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> Client:
        """The engine that the clusters run on."""
        return Client(self.docker, self.docker_env)

    @property
    def image_names(self) -> Mapping[str, str]:
        """Fixture folder → image reference."""
        return {folder: record.name for folder, record in self.images.items()}

    def write(self) -> None:
        """Save as <results>/context.json, atomically."""
        text = json.dumps(asdict(self), indent=1, default=str)
        files.write_text(self.results / "context.json", text)

    @classmethod
    def read(cls, results: Path) -> Context:
        raw = json.loads((results / "context.json").read_text())
        return cls(
            run_id=raw["run_id"],
            results=Path(raw["results"]),
            docker=Path(raw["docker"]),
            docker_env=raw["docker_env"],
            rootfs=Path(raw["rootfs"]),
            images={name: Image(**record) for name, record in raw["images"].items()},
            take_away=raw["take_away"],
            unobtainable=raw["unobtainable"],
            versions=raw["versions"],
        )
