"""An engine whose client is a script, and what a client says where no registry is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

GET = 'Get "https://registry.example/v2/": '
LOOKUP = f"{GET}dial tcp: lookup registry.example"
# What a machine that no registry serves really says.
NO_HOST = f"Error response from daemon: {LOOKUP} on 10.255.255.53:53: no such host"


@dataclass(frozen=True)
class FakeEngine:
    """An engine whose client is a script."""

    docker: Path
    env: dict[str, str] = field(default_factory=dict)


def client(tmp_path: Path, script: str) -> FakeEngine:
    """An engine whose client runs ``script``."""
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return FakeEngine(program, {"DOCKER_HOST": f"unix://{tmp_path}/sock"})
