"""Clusters go, whatever state they are in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.cluster import deletion
from conformance.errors import EnvironmentProblem
from conformance.machine import runs
from tests.stand_ins.cluster import called, does, handle

pytestmark = pytest.mark.usefixtures("own_cache")


def test_all_networks_of_a_run_are_removed_with_it(tmp_path: Path, docker: Path) -> None:
    does(docker, "docker", 'case "$*" in "network ls "*) echo one; echo two;; esac')
    deletion.delete_all(runs.Record("20260101-000000-abcd", 1, "", str(tmp_path)))
    ls, rm = (line for line in called(docker) if line.startswith("docker network"))
    assert ls.endswith("name=^sc-000000-abcd(-[a-z0-9]+)?$")
    assert rm == "docker network rm one two"


def test_deleting_what_is_not_there_is_fine(tmp_path: Path, docker: Path) -> None:
    one = handle(tmp_path)
    one.kubeconfig.write_text("")
    deletion.delete(one)
    deletion.delete(one)
    assert not one.kubeconfig.exists()
    assert not any(line.startswith("docker rm") for line in called(docker))


def test_a_container_that_appears_late_is_removed_too(tmp_path: Path, docker: Path) -> None:
    """docker run of a kind that was just killed may still be at work in the daemon."""
    does(
        docker,
        "docker",
        f'cd "{tmp_path}"; case "$1" in '
        "ps) echo x >> asked; [ $(wc -l < asked) = 2 ] && echo late; true;; "
        "rm) echo gone;; esac",
    )
    deletion.delete(handle(tmp_path))
    assert "docker rm -f -v late" in called(docker)
    assert (tmp_path / "asked").read_text().count("x") == 4  # none, late, none, none


def test_an_engine_that_refuses_for_good_is_said(tmp_path: Path, docker: Path) -> None:
    does(docker, "docker", "echo no such engine >&2; exit 1")
    with pytest.raises(EnvironmentProblem, match="no such engine"):
        deletion.delete(handle(tmp_path))


def test_a_killed_runs_kind_is_ended_first(tmp_path: Path, docker: Path) -> None:
    record = runs.Record("20260101-000000-abcd", 1, "", str(tmp_path / "results"), False, ("sc",))
    config = f"{record.results}/clusters/1.33/kind.yaml"
    sleeper = docker / "sleeping" / "kind"
    sleeper.parent.mkdir()
    shutil.copy("/bin/sh", sleeper)
    mine, other = (
        subprocess.Popen(
            [str(sleeper), "-c", "echo up; read line", file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        for file in (config, f"{tmp_path}/another/clusters/1.33/kind.yaml")
    )
    for one in (mine, other):
        assert one.stdout is not None
        one.stdout.readline()  # from here on its command line can be seen
    try:
        deletion.delete_all(record)
        assert mine.wait(5) == -9
        assert other.poll() is None
    finally:
        mine.kill()
        other.kill()
        other.wait()
