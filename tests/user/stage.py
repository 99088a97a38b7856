"""What the stage is made of: a user who is nobody else, and engines that were there before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.engine import client
from conformance.engine.client import docker
from conformance.engine.own import dockerd
from conformance.errors import EnvironmentProblem
from conformance.images import tools
from conformance.machine.digests import DIGESTS
from conformance.machine.paths import CHECKOUT
from tests.user import registry

UID = 51789
K8S = "1.33"
PYTHON = "PYTHON=/usr/bin/python3"
PROGRAM = ".venv/bin/sidecar-conformance"
PINS = "digests.toml"
LEFT_OUT = (".git", ".venv", "results", "build", "*.egg-info", "__pycache__", ".*_cache")


@dataclass(frozen=True)
class User:
    """home: where all of the user's files are. host: of the engine. store: of its mirror, and
    mirror: the address of that. cache: the suite's. enter: the command that leads to the network
    that the user is in, where that is another one."""

    home: Path
    host: str
    store: registry.Store
    mirror: str
    cache: Path
    enter: tuple[str, ...] = ()

    @property
    def checkout(self) -> Path:
        return self.home / "checkout"

    def run(self, *command: str, minutes: float) -> tuple[int, str]:
        """A command of the user's, in the checkout; its exit code, and all that it said."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "SSL_", "HTTP", "http", "NO_PROXY", "no_proxy"))
        }
        become = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--")
        done = subprocess.run(
            [*self.enter, *become, *command],
            cwd=self.checkout,
            env={
                **inherited,
                "HOME": str(self.home),
                "PATH": f"{self.home}/bin:/usr/local/bin:/usr/bin:/bin",
                "DOCKER_HOST": self.host,
                "SIDECAR_CONFORMANCE_CACHE": str(self.cache),
                DIGESTS: str(self.home / PINS),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=minutes * 60,
        )
        print(done.stdout[-8000:])
        return done.returncode, done.stdout

    def report(self) -> dict[str, Any]:
        """What the last run said in its report."""
        latest = self.checkout / "results" / "latest" / "report.json"
        report: dict[str, Any] = json.loads(latest.read_text())
        return report


def furnish(home: Path) -> None:
    """The checkout, and kind and kubectl on PATH, as the README asks for where there is no Go."""
    home.chmod(0o755)
    ignored = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(CHECKOUT, home / "checkout", symlinks=True, ignore=ignored)
    (home / "bin").mkdir()
    for program in (tools.kind(), tools.kubectl()):
        shutil.copy(program, home / "bin" / program.name)
    for place in (home, *home.rglob("*")):
        os.chown(place, UID, UID, follow_symlinks=False)


def pin(home: Path, digests: Mapping[str, str]) -> None:
    """What the user pulls by its digest: name → digest."""
    lines = (f"{json.dumps(name)} = {json.dumps(digest)}\n" for name, digest in digests.items())
    (home / PINS).write_text("".join(lines))


@contextmanager
def engine_in(home: Path, settings: Mapping[str, Any]) -> Iterator[str]:
    """An engine that the user may use, for as long as the block lasts; where it listens.

    settings: on top of those that an engine of the suite's own has.
    """
    daemon = dockerd.Daemon(home)
    preferred = dockerd.preferred
    its = client.at(daemon.host)

    def answers() -> bool:
        try:
            docker(its, "version", timeout=20)
        except EnvironmentProblem:
            return False
        return True

    with pytest.MonkeyPatch.context() as patch:
        wanted = {**settings, "group": str(UID)}
        patch.setattr(dockerd, "preferred", lambda one: preferred(one) | wanted)
        dockerd.start(daemon, answers)
        try:
            yield daemon.host
        finally:
            dockerd.stop(daemon)
