"""A user without root, an engine that was there before, and images pulled from a mirror.

``make test-user``: as root, which sets the stage alone. The engine is one of its own, with a
registry on the loopback as its mirror; the user is a number that nobody else has. What the registry
serves as kindest/node is the node image of this machine, pulled or built, under the official name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.engine import client
from conformance.engine import engine as engines
from conformance.engine.client import docker
from conformance.engine.own import dockerd
from conformance.errors import EnvironmentProblem
from conformance.images import ensure, tools
from conformance.machine.paths import CHECKOUT
from conformance.plan.selection import known_k8s
from tests.user import registry

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.user,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can set the stage: it starts an engine"
    ),
]
UID = 51789
K8S = "1.33"
LEFT_OUT = (".git", ".venv", "results", "build", "*.egg-info", "__pycache__", ".*_cache")


@dataclass(frozen=True)
class User:
    """home: where all of the user's files are. host: of the engine. store: of its mirror."""

    home: Path
    host: str
    store: registry.Store

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
        done = subprocess.run(
            ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--", *command],
            cwd=self.checkout,
            env={
                **inherited,
                "HOME": str(self.home),
                "PATH": f"{self.home}/bin:/usr/local/bin:/usr/bin:/bin",
                "DOCKER_HOST": self.host,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=minutes * 60,
        )
        print(done.stdout[-8000:])
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """The stage: images are taken from the engine that this machine has, or would start."""
    work = tmp_path_factory.mktemp("user")
    with engines.engine() as its:
        (node,) = ensure.ensure_node_images(its, K8S, "auto").values()
        base = ensure.ensure_base(its, "auto")
        what = "saving the images of the mirror"
        docker(its, "save", "--output", work / "saved.tar", node.name, base.name, what=what)
    (official,) = ensure.node_image_names(K8S)
    names = {node.name: official, base.name: f"library/{ensure.BASE_IMAGE}"}
    store = registry.read(work / "saved.tar", work / "unpacked", names)
    # Not below pytest's own folder, which is closed to other users.
    home = Path(tempfile.mkdtemp(prefix="sc-user-", dir="/tmp"))
    daemon = dockerd.Daemon(home / "engine")
    preferred = dockerd.preferred
    try:
        _furnish(home)
        with registry.serving(store) as address, pytest.MonkeyPatch.context() as patch:
            settings = {"registry-mirrors": [f"http://{address}"], "group": str(UID)}
            patch.setattr(dockerd, "preferred", lambda one: preferred(one) | settings)
            its_client = client.at(daemon.host)
            dockerd.start(daemon, lambda: _answers(its_client))
            try:
                yield User(home, daemon.host, store)
            finally:
                dockerd.stop(daemon)
    finally:
        shutil.rmtree(home)


def _furnish(home: Path) -> None:
    """The checkout, and kind and kubectl on PATH, as the README asks for where there is no Go."""
    home.chmod(0o755)
    shutil.copytree(CHECKOUT, home / "checkout", ignore=shutil.ignore_patterns(*LEFT_OUT))
    (home / "bin").mkdir()
    for program in (tools.kind(), tools.kubectl()):
        shutil.copy(program, home / "bin" / program.name)
    for place in (home, *home.rglob("*")):
        os.chown(place, UID, UID)


def _answers(its: client.Client) -> bool:
    try:
        docker(its, "version", timeout=20)
    except EnvironmentProblem:
        return False
    return True


def _owned() -> set[Path]:
    """What the user owns where everybody may write."""
    places = [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/run")]
    return {path for place in places for path in place.iterdir() if path.lstat().st_uid == UID}


def test_doctor_sees_a_users_machine(user: User) -> None:
    code, said = user.run("make", "PYTHON=/usr/bin/python3", ".venv-ready", minutes=10)
    assert code == 0
    code, said = user.run(".venv/bin/sidecar-conformance", "doctor", minutes=1)
    assert code == 0
    assert "not root" in said and f"the user's, at {user.host}" in said
    assert "✓ registry: Docker Hub answers" in said
    assert f"Kubernetes: can be pulled: {known_k8s()[0]}" in said
    assert "· packages" in said or "✓ packages" in said


def test_a_run_needs_no_root_and_leaves_nothing(user: User) -> None:
    before = _owned()
    # IMAGES=pull: nothing may be built in place of what can be pulled.
    wanted = [f"K8S={K8S}", "SIDECAR=envoy", "MODE=fallback", "SCENARIO=lifecycle", "IMAGES=pull"]
    code, _ = user.run("make", "PYTHON=/usr/bin/python3", "conformance", *wanted, minutes=25)
    report: dict[str, Any] = json.loads(
        (user.checkout / "results" / "latest" / "report.json").read_text()
    )
    assert code == 0, report["summary"]
    assert report["summary"]["pass"] and report["summary"]["reproduced"]
    assert report["summary"]["inconclusive"] == 0
    assert {one["source"] for one in report["run"]["images"].values()} <= {
        "pulled", "present", "built",
    }  # fmt: skip
    assert not any(one["note"] for one in report["run"]["images"].values())
    assert any("/manifests/" in path and "kindest/node" in path for path in user.store.asked)
    its = client.at(user.host)
    assert docker(its, "ps", "-aq") == "" and "sc-" not in docker(its, "network", "ls")
    assert _owned() == before
    run = next(path for path in (user.checkout / "results").iterdir() if path.name != "latest")
    assert run.stat().st_uid == UID and run.stat().st_mode & 0o777 == 0o700
    code, _ = user.run("rm", "-rf", "results", minutes=1)
    assert code == 0 and not (user.checkout / "results").exists()
