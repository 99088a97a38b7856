"""Clusters without a cluster: rendered configs, failures, deletion, what the workers are told."""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from conformance.cluster import (
    cni as conflists,
)
from conformance.cluster import (
    kind as kind_provider,
)
from conformance.cluster import (
    lifecycle as clusters,
)
from conformance.cluster import (
    state as cluster_state,
)
from conformance.cluster.context import Context
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import ensure as images
from conformance.machine import process, runs
from conformance.machine.paths import KIND_CONFIGS
from conformance.model import Cell
from conformance.run.cells import Observatory

MOUNT = {"hostPath": "/here", "containerPath": "/there", "readOnly": True}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's cache is touched."""
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker client, kind and kubectl that note their arguments and say what a script says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, said in (("kind", "0.33.0"), ("kubectl", "v1.33.0"), ("docker", "")):
        program = folder / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $@" >> "{folder}/called"\n'
            f'[ -x "{folder}/{name}.does" ] && exec "{folder}/{name}.does" "$@"\n'
            f'echo "{said}"\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def does(folder: Path, name: str, script: str) -> None:
    """What a fake program does instead of saying its version."""
    (folder / f"{name}.does").write_text(f"#!/bin/sh\n{script}\n")
    (folder / f"{name}.does").chmod(0o755)


def called(folder: Path) -> list[str]:
    return (folder / "called").read_text().splitlines()


def handle(results: Path) -> clusters.ClusterHandle:
    folder = results / "clusters" / "1.33"
    folder.mkdir(parents=True, exist_ok=True)
    return clusters.ClusterHandle(
        "1.33", "sc-x-1-33", folder / "kubeconfig", "sc-x-1-33-control-plane", results, "unix:///d"
    )


# -- rendering -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(KIND_CONFIGS.glob("v*.yaml")), ids=lambda path: path.stem)
def test_every_kind_config_takes_the_runs_own_parts(path: Path) -> None:
    config = kind_provider.read_config(path)
    names = images.node_image_names(path.stem.removeprefix("v"))
    ours = {name: f"mine:{place}" for place, name in enumerate(dict.fromkeys(names))}
    made = kind_provider.render(config, name="sc-1", images=ours, mounts=lambda _: [MOUNT])
    assert made["name"] == "sc-1"
    for name, node in zip(names, made["nodes"], strict=True):
        assert node["image"] == ours[name]
        assert MOUNT in node["extraMounts"]
    # One CNI for pulled and built images alike, with the capture plugin in its chain.
    assert made["networking"]["disableDefaultCNI"] is True
    # Docker picks the port: kind would let it go before Docker takes it.
    assert made["networking"]["apiServerPort"] == -1


def test_rendering_leaves_the_original_and_other_settings_alone() -> None:
    config = {
        "kind": "Cluster",
        "featureGates": {"SidecarContainers": True},
        "networking": {"apiServerPort": 6443},
        "nodes": [{"role": "control-plane", "extraMounts": [{"hostPath": "/a"}]}],
    }
    before = json.dumps(config)
    made = kind_provider.render(config, name="n", images={"": "i"}, mounts=lambda _: [MOUNT])
    assert json.dumps(config) == before
    assert made["featureGates"] == {"SidecarContainers": True}
    assert made["networking"]["apiServerPort"] == 6443
    assert made["nodes"][0]["extraMounts"] == [{"hostPath": "/a"}, MOUNT]


def test_every_node_has_the_image_and_the_mounts_that_are_its_own() -> None:
    config = {
        "nodes": [
            {"role": "control-plane", "image": "kindest/node:v1.29.14"},
            {"role": "worker", "image": "kindest/node:v1.28.15"},
            {"role": "worker"},
        ]
    }
    ours = {"kindest/node:v1.29.14": "built:29", "kindest/node:v1.28.15": "kindest/node:v1.28.15"}

    def mounts(place: int) -> list[dict[str, object]]:
        return [{**MOUNT, "hostPath": f"/{place}"}]

    made = kind_provider.render(config, name="n", images=ours, mounts=mounts)
    assert [node["image"] for node in made["nodes"]] == [
        "built:29",
        "kindest/node:v1.28.15",
        "built:29",
    ]
    assert [node["extraMounts"][0]["hostPath"] for node in made["nodes"]] == ["/0", "/1", "/2"]


def test_a_config_without_nodes_gets_one() -> None:
    made = kind_provider.render(
        {"kind": "Cluster"},
        name="n",
        images={"kindest/node:v1.33.12": "i"},
        mounts=lambda _: [MOUNT],
    )
    assert made["nodes"] == [{"role": "control-plane", "image": "i", "extraMounts": [MOUNT]}]


def test_the_plugin_comes_last_in_the_chain() -> None:
    conflist = (KIND_CONFIGS / "cni" / "10-sidecar-conformance.conflist").read_text()
    made = json.loads(kind_provider.render_conflist(conflist, "sidecar-capture"))
    before = json.loads(conflist)["plugins"]
    assert made["plugins"] == [*before, {"type": "sidecar-capture"}]


@pytest.mark.parametrize("path", sorted(KIND_CONFIGS.glob("v*.yaml")), ids=lambda path: path.stem)
def test_pods_have_an_address_of_each_family_of_their_cluster(path: Path, tmp_path: Path) -> None:
    config = kind_provider.read_config(path)
    folder = conflists.folder_of(handle(tmp_path).kubeconfig)
    folder.mkdir()
    folder.with_name("kind.yaml").write_text(yaml.safe_dump(config))
    conflists.write(folder)
    (conflist,) = folder.iterdir()
    family = kind_provider.ip_family(config)
    first, *_, last = json.loads(conflist.read_text())["plugins"]
    subnets = [one["subnet"] for ranges in first["ipam"]["ranges"] for one in ranges]
    assert [":" in one for one in subnets] == ([False, True] if family == "dual" else [False])
    assert last == {"type": "sidecar-capture"}


def test_families_differ_in_their_addresses_alone() -> None:
    four, dual = (
        json.loads((KIND_CONFIGS / folder / "10-sidecar-conformance.conflist").read_text())
        for folder in ("cni", "cni-dual")
    )
    for made in (four, dual):
        made["plugins"][0]["ipam"] = {}
    assert four == dual


def test_each_node_has_pod_addresses_of_its_own() -> None:
    conflist = (KIND_CONFIGS / "cni" / "10-sidecar-conformance.conflist").read_text()
    pools = [
        json.loads(kind_provider.render_conflist(conflist, "p", place=place))["plugins"][0]["ipam"]
        for place in range(3)
    ]
    assert [pool["ranges"] for pool in pools] == [
        [[{"subnet": f"10.244.{place}.0/24"}]] for place in range(3)
    ]


@pytest.mark.parametrize("content", ["", "- 1", "kind: Pod", "a: b: c"])
def test_what_is_no_kind_config_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "v1.yaml").write_text(content)
    with pytest.raises(EnvironmentProblem, match=r"v1\.yaml"):
        kind_provider.read_config(tmp_path / "v1.yaml")


# -- what a failed cluster says --------------------------------------------------------------------


def test_the_kubelets_last_distinct_errors_are_quoted() -> None:
    journal = (
        "I1122 18:00:00.000000     100 server.go:1] fine\n"
        "E1122 18:00:01.000000     100 a.go:1] old\n"
        'E1122 18:00:02.000000     100 run.go:72] "command failed" err="gone"\n'
        "E1122 18:00:03.000000     100 b.go:2] new\n"
        'E1122 18:00:04.000000     100 run.go:72] "command failed" err="gone"\n'
        "kubelet.service: Failed with result 'exit-code'.\n"
    )
    assert clusters.kubelet_errors(journal) == [
        "b.go:2] new",
        'run.go:72] "command failed" err="gone"',
    ]


def test_a_kubelet_that_panics_is_quoted() -> None:
    journal = (
        "panic: unrecognized feature gate: NoSuchGate\n\ngoroutine 1 [running]:\nmain.main()\n"
    )
    assert clusters.kubelet_errors(journal) == ["panic: unrecognized feature gate: NoSuchGate"]


def test_kinds_error_is_one_line_of_its_log() -> None:
    log = "Creating cluster ...\nERROR: failed to create cluster: no\nCommand Output: much\nmore\n"
    assert kind_provider.kind_error(log) == "failed to create cluster: no"
    ran = 'ERROR: no kubeadm: command "docker exec" failed with error: exit status 1\n'
    assert kind_provider.kind_error(ran) == "no kubeadm"
    assert kind_provider.kind_error("Creating cluster ...\n") == ""


def test_a_cluster_that_fails_tells_why_and_leaves_nothing(
    tmp_path: Path, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_INOTIFY", {})  # this machine's limits are none of a test's
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
            clusters.create(run, engine, "1.33", {"kindest/node:v1.33.12": "n"}, [], tmp_path)
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
            clusters._ensure_network(run, family)
        made = [line for line in called(docker) if "network create" in line]
        subnet = clusters.unique_local_subnet(f"{run.network}-dual")
    assert made == [
        f"docker network create {run.network}",
        f"docker network create --ipv6 --subnet {subnet} {run.network}-dual",
    ]
    network = ipaddress.IPv6Network(subnet)  # strict: no bit of a host is set
    assert network.prefixlen == 64 and network.subnet_of(ipaddress.IPv6Network("fd00::/8"))
    assert subnet != clusters.unique_local_subnet("another")


def test_all_networks_of_a_run_are_removed_with_it(tmp_path: Path, docker: Path) -> None:
    does(docker, "docker", 'case "$*" in "network ls "*) echo one; echo two;; esac')
    clusters.delete_all(runs.Record("20260101-000000-abcd", 1, "", str(tmp_path)))
    ls, rm = (line for line in called(docker) if line.startswith("docker network"))
    assert ls.endswith("name=^sc-000000-abcd(-[a-z0-9]+)?$")
    assert rm == "docker network rm one two"


# -- deletion --------------------------------------------------------------------------------------


def test_deleting_what_is_not_there_is_fine(tmp_path: Path, docker: Path) -> None:
    one = handle(tmp_path)
    one.kubeconfig.write_text("")
    clusters.delete(one)
    clusters.delete(one)
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
    clusters.delete(handle(tmp_path))
    assert "docker rm -f -v late" in called(docker)
    assert (tmp_path / "asked").read_text().count("x") == 4  # none, late, none, none


def test_an_engine_that_refuses_for_good_is_said(tmp_path: Path, docker: Path) -> None:
    does(docker, "docker", "echo no such engine >&2; exit 1")
    with pytest.raises(EnvironmentProblem, match="no such engine"):
        clusters.delete(handle(tmp_path))


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
        clusters.delete_all(record)
        assert mine.wait(5) == -9
        assert other.poll() is None
    finally:
        mine.kill()
        other.kill()
        other.wait()


# -- what the workers are told ---------------------------------------------------------------------


def test_a_handle_survives_its_file(tmp_path: Path) -> None:
    one = handle(tmp_path)
    assert clusters.ClusterHandle.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_a_worker_waits_until_the_cluster_is_ready(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        one = handle(run.results)
        found: list[clusters.ClusterHandle] = []
        worker = threading.Thread(
            target=lambda: found.append(clusters.await_cluster(run.results, "1.33", "envoy", 10))
        )
        worker.start()
        clusters.publish_state(run, "1.33", "creating")
        clusters.publish(run, one, {"fixture": ""})
        worker.join(0.5)
        assert not found  # its sidecar is not installed yet
        clusters.publish(run, one, {"fixture": "", "envoy": ""})
        worker.join()
    assert found == [one]


def test_a_sidecar_that_cannot_be_had_fails_its_own_workers_alone(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        one = handle(run.results)
        clusters.publish(run, one, {"istio": "istioctl's words", "envoy": ""})
        with pytest.raises(EnvironmentProblem, match="istioctl's words"):
            clusters.await_cluster(run.results, "1.33", "istio", 10)
        assert clusters.await_cluster(run.results, "1.33", "envoy", 10) == one


def test_a_failure_reaches_the_worker_with_its_reason(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        clusters.publish_state(run, "1.33", "failed", reason="the kubelet's words")
        with pytest.raises(EnvironmentProblem, match="the kubelet's words"):
            clusters.await_cluster(run.results, "1.33", "envoy", 10)


def test_a_version_that_cannot_be_had_is_nobodys_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "read", lambda _: None)
    with runs.start(tmp_path) as run:
        clusters.publish_state(run, "1.30", "unobtainable", reason="no registry answers")
        with pytest.raises(Unobtainable, match="no registry answers"):
            clusters.await_cluster(run.results, "1.30", "envoy", 10)
        cell = Cell("1.30", "envoy", "native", "fallback", "lifecycle")
        observed = Observatory(run.results).observed(cell, ["stop.order"])
    assert (observed.missing, observed.not_verified) == ("no registry answers", True)


def test_a_deadline_says_what_was_seen_last(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="nobody has begun"):
        clusters.await_cluster(tmp_path, "1.33", "envoy", 0.1)
    with runs.start(tmp_path) as run:
        clusters.publish_state(run, "1.33", "creating")
        with pytest.raises(EnvironmentProblem, match='its state is "creating"'):
            clusters.await_cluster(run.results, "1.33", "envoy", 0.1)


def test_the_state_is_never_half_written(tmp_path: Path) -> None:
    with runs.start(tmp_path) as run:
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                clusters.publish_state(run, "1.33", "creating", reason="x" * 5000)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(300):
                told = cluster_state.read_state(run.results, "1.33")
                assert told is None or told["reason"] == "x" * 5000
        finally:
            stop.set()
            writer.join()


def test_waiting_for_readiness_ends_with_the_run(tmp_path: Path, docker: Path) -> None:
    config = tmp_path / "kind.yaml"
    config.write_text("kind: Cluster\nname: sc-x\n")
    (tmp_path / "kubeconfig").write_text("")
    cluster = kind_provider.KindCluster(config, tmp_path / "kubeconfig", tmp_path / "log", {})
    does(docker, "kubectl", "echo refused >&2; exit 1")
    began = time.monotonic()
    process.stop_all()
    try:
        assert cluster.ready(timeout=60) is False
    finally:
        process.resume()
    assert time.monotonic() - began < 5
    assert cluster.ready(timeout=0) is False
    assert "refused" in cluster.seen
