"""A cluster that does not come up tells why, and leaves nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from conformance.cluster import lifecycle
from conformance.engine import client
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem
from conformance.machine import runs
from tests.stand_ins.cluster import called, does, handle

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_cluster_that_fails_tells_why_and_leaves_nothing(
    tmp_path: Path, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_INOTIFY", {})  # this machine's limits are none of a test's
    does(
        docker,
        "kind",
        'case "$1" in version) echo 0.33.0;; create) '
        f"touch {tmp_path}/node; echo 'ERROR: failed to create cluster: kubeadm'; "
        "echo 'error execution phase preflight'; exit 1;; esac",
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
    assert "failed to create cluster: kubeadm; " in said
    assert "kubeadm said: error execution phase preflight; " in said
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
    seen = {"/var/log/pods"} if os.geteuid() == 0 else set()
    assert {mount["containerPath"] for mount in rendered["nodes"][0]["extraMounts"]} == seen | {
        "/evidence",
        "/opt/sidecar-conformance",
        "/etc/cni/net.d",
        "/opt/cni/bin/sidecar-capture",
        "/opt/cni/bin/sidecar-redirect",
        "/opt/sidecar-redirect",
        "/etc/sidecar-conformance/patches",
        "/etc/systemd/system.conf.d/90-sidecar-conformance.conf",
    }


def test_services_are_there_once_the_rule_for_the_api_server_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["", "-N KUBE-SERVICES", '-A KUBE-SERVICES --comment "default/kubernetes:https"']
    left = iter(answers)
    monkeypatch.setattr(client, "at", lambda host: host)
    monkeypatch.setattr(client, "in_node", lambda *_: next(left))
    lifecycle._await_services(handle(tmp_path))
    assert next(left, None) is None


def test_a_cluster_without_such_a_rule_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_tables(*_: object) -> str:
        raise EnvironmentProblem("iptables: not found")

    monkeypatch.setattr(client, "at", lambda host: host)
    monkeypatch.setattr(client, "in_node", no_tables)
    monkeypatch.setattr(lifecycle, "_RULES_WITHIN", 0.0)
    lifecycle._await_services(handle(tmp_path))


@pytest.mark.parametrize(("family", "commands"), [("ipv4", 1), ("dual", 2)])
def test_pods_leave_a_node_under_its_address_by_one_rule(
    family: str, commands: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(client, "at", lambda host: host)
    monkeypatch.setattr(client, "in_node", lambda _, *words: said.append(words))
    cluster = replace(handle(tmp_path), node="one", workers=("two",))
    lifecycle._masquerade(cluster, family)
    assert len(said) == 2 * commands and {words[0] for words in said} == {"one", "two"}
    for words in said:
        rule = " ".join(words[1:])
        assert rule.startswith(("iptables -w -t nat -A POST", "ip6tables -w -t nat -A POST"))
        pods = words[words.index("-s") + 1]
        assert rule.endswith(f"-s {pods} ! -d {pods} -j MASQUERADE")
