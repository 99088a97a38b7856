"""A user without root, an engine that was there before, and images pulled from a mirror.

``make test-user``: as root, which sets the stage alone. The engine is one of its own, with a
registry on the loopback as its mirror; the user is a number that nobody else has. What the registry
serves as kindest/node is the node image of this machine, pulled or built, under the official name.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.engine import client
from conformance.engine.client import docker
from conformance.machine import waiting
from conformance.plan.selection import known_k8s
from tests.user.cut_off import cut_off
from tests.user.stage import K8S, PROGRAM, PYTHON, UID, User

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.user,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can set the stage: it starts an engine"
    ),
]
WANTED = (f"K8S={K8S}", "SIDECAR=envoy", "MODE=fallback", "SCENARIO=lifecycle")


def _owned() -> set[Path]:
    """What the user owns where everybody may write."""
    places = [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/run")]
    return {path for place in places for path in place.iterdir() if path.lstat().st_uid == UID}


def test_doctor_sees_a_users_machine(user: User) -> None:

    def doctor() -> str | None:
        code, said = user.run(PROGRAM, "doctor", minutes=1)
        assert code == 0
        return None if "ask again" in said else said

    # It has 3 s for all that it asks; on a machine that others keep busy they go by.
    said = waiting.until("all of the doctor's answers", doctor, seconds=180, every=5)
    assert "not root" in said and f"the user's, at {user.host}" in said
    assert "✓ registry: Docker Hub answers" in said
    assert f"Kubernetes: can be pulled: {known_k8s()[0]}" in said
    assert "· packages" in said or "✓ packages" in said


def test_a_run_needs_no_root_and_leaves_nothing(user: User) -> None:
    before = _owned()
    # IMAGES=pull: nothing may be built in place of what can be pulled.
    code, _ = user.run("make", PYTHON, "conformance", *WANTED, "IMAGES=pull", minutes=25)
    report = user.report()
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
    assert not (user.home / ".kube").exists()
    run = next(path for path in (user.checkout / "results").iterdir() if path.name != "latest")
    assert run.stat().st_uid == UID and run.stat().st_mode & 0o777 == 0o700
    code, _ = user.run("rm", "-rf", "results", minutes=1)
    assert code == 0 and not (user.checkout / "results").exists()


def test_what_was_saved_runs_where_nothing_can_be_reached(user: User) -> None:
    """images --save where there is a network, images --load and a run where there is none."""
    file = str(user.home / "images.tar")
    selection = ("--k8s", K8S, "--sidecar", "envoy")
    code, _ = user.run(PROGRAM, "images", "--save", file, *selection, minutes=15)
    assert code == 0
    host, _, port = user.mirror.partition(":")
    reach = ("python3", "-c", f"import socket; socket.create_connection(('{host}', {port}), 5)")
    with cut_off(user) as alone:
        assert (user.run(*reach, minutes=1)[0], alone.run(*reach, minutes=1)[0]) == (0, 1)
        code, _ = alone.run(PROGRAM, "images", "--load", file, minutes=10)
        assert code == 0
        code, said = alone.run("make", PYTHON, "conformance", *WANTED, minutes=25)
    report = user.report()
    assert code == 0, report["summary"]
    assert report["summary"]["pass"] and report["summary"]["reproduced"]
    assert report["summary"]["inconclusive"] == 0
    images = report["run"]["images"].values()
    assert {(one["source"], one["note"]) for one in images} == {("present", "")}
    assert "Pulling" not in said and "Building" not in said
