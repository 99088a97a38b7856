"""Clusters without a cluster: what a failed one says, and deletion."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from conformance.cluster import lifecycle
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem
from conformance.machine import runs
from tests.stand_ins.cluster import called, does, handle

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_kubelets_last_distinct_errors_are_quoted() -> None:
    journal = (
        "I1122 18:00:00.000000     100 server.go:1] fine\n"
        "E1122 18:00:01.000000     100 a.go:1] old\n"
        'E1122 18:00:02.000000     100 run.go:72] "command failed" err="gone"\n'
        "E1122 18:00:03.000000     100 b.go:2] new\n"
        'E1122 18:00:04.000000     100 run.go:72] "command failed" err="gone"\n'
        "kubelet.service: Failed with result 'exit-code'.\n"
    )
    assert lifecycle.kubelet_errors(journal) == [
        "b.go:2] new",
        'run.go:72] "command failed" err="gone"',
    ]


def test_a_kubelet_that_panics_is_quoted() -> None:
    journal = (
        "panic: unrecognized feature gate: NoSuchGate\n\ngoroutine 1 [running]:\nmain.main()\n"
    )
    assert lifecycle.kubelet_errors(journal) == ["panic: unrecognized feature gate: NoSuchGate"]


def test_a_cluster_that_fails_tells_why_and_leaves_nothing(
    tmp_path: Path, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_INOTIFY", {})  # this machine's limits are none of a test's
    does(
        docker,
        "kind",
        'case "$1" in version) echo 0.33.0;; create) '
        f"touch {tmp_path}/node; echo 'ERROR: failed to create cluster: kubeadm'; exit 1;; esac",
    )
    does(
        docker,
        "docker",
        f'node="{tmp_path}/node"; case "$*" in '
        "*kubelet*) echo 'E1122 18:00:01.000000 1 run.go:72] cgroup v1 is refused';; "
        '"ps "*) [ -e "$node" ] && echo 123;; "rm "*) rm "$node";; esac; true',
    )
    engine = Engine(docker / "docker", "unix:///d", False, "28.0.0", {"DOCKER_HOST": "unix:///d"})
    with runs.start(tmp_path / "results", host="unix:///d") as run:
        with pytest.raises(EnvironmentProblem) as caught:
            lifecycle.create(run, engine, "1.33", {"kindest/node:v1.33.12": "n"}, [], tmp_path)
        assert run.clusters == ()
    said = str(caught.value)
    assert "failed to create cluster: kubeadm" in said
    assert "its kubelet said: run.go:72] cgroup v1 is refused" in said
    folder = run.results / "clusters" / "1.33"
    assert str(folder) in said
    assert "cgroup v1" in (folder / "kubelet.log").read_text()
    assert "docker rm -f -v 123" in called(docker)
    assert f"docker network create {run.network}" in called(docker)
    (create,) = (line for line in called(docker) if line.startswith("kind create"))
    assert f"--kubeconfig {folder / 'kubeconfig'}" in create
    rendered = yaml.safe_load((folder / "kind.yaml").read_text())
    assert rendered["name"] == run.cluster_name("1.33")
    assert {mount["containerPath"] for mount in rendered["nodes"][0]["extraMounts"]} == {
        "/evidence",
        "/opt/sidecar-conformance",
        "/etc/cni/net.d",
        "/opt/cni/bin/sidecar-capture",
        "/opt/cni/bin/sidecar-redirect",
        "/opt/sidecar-redirect",
    }


def test_a_network_with_ipv6_is_another(tmp_path: Path, docker: Path) -> None:
    with runs.start(tmp_path / "results", host="unix:///d") as run:
        for family in ("ipv4", "dual"):
            (run.results / "clusters").mkdir(exist_ok=True)
            lifecycle._ensure_network(run, family)
        made = [line for line in called(docker) if "network create" in line]
        subnet = lifecycle.unique_local_subnet(f"{run.network}-dual")
    assert made == [
        f"docker network create {run.network}",
        f"docker network create --ipv6 --subnet {subnet} {run.network}-dual",
    ]
    network = ipaddress.IPv6Network(subnet)  # strict: no bit of a host is set
    assert network.prefixlen == 64 and network.subnet_of(ipaddress.IPv6Network("fd00::/8"))
    assert subnet != lifecycle.unique_local_subnet("another")


def test_all_networks_of_a_run_are_removed_with_it(tmp_path: Path, docker: Path) -> None:
    does(docker, "docker", 'case "$*" in "network ls "*) echo one; echo two;; esac')
    lifecycle.delete_all(runs.Record("20260101-000000-abcd", 1, "", str(tmp_path)))
    ls, rm = (line for line in called(docker) if line.startswith("docker network"))
    assert ls.endswith("name=^sc-000000-abcd(-[a-z0-9]+)?$")
    assert rm == "docker network rm one two"


def test_deleting_what_is_not_there_is_fine(tmp_path: Path, docker: Path) -> None:
    one = handle(tmp_path)
    one.kubeconfig.write_text("")
    lifecycle.delete(one)
    lifecycle.delete(one)
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
    lifecycle.delete(handle(tmp_path))
    assert "docker rm -f -v late" in called(docker)
    assert (tmp_path / "asked").read_text().count("x") == 4  # none, late, none, none


def test_an_engine_that_refuses_for_good_is_said(tmp_path: Path, docker: Path) -> None:
    does(docker, "docker", "echo no such engine >&2; exit 1")
    with pytest.raises(EnvironmentProblem, match="no such engine"):
        lifecycle.delete(handle(tmp_path))


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
        lifecycle.delete_all(record)
        assert mine.wait(5) == -9
        assert other.poll() is None
    finally:
        mine.kill()
        other.kill()
        other.wait()
