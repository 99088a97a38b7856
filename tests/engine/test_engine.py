"""The engine's parts that need no engine: the clipping runtime, addresses, choices, messages."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from conformance.engine import engine
from conformance.engine.own import bridge, dockerd, oci_runtime
from conformance.errors import EnvironmentProblem

ALL = (1 << 41) - 1
SYS_RESOURCE = 24


def status(folder: Path, bounding: int, last: int = 40) -> tuple[Path, Path]:
    """Files like /proc/self/status and /proc/sys/kernel/cap_last_cap."""
    (folder / "status").write_text(f"Name:\tx\nCapBnd:\t{bounding:016x}\n")
    (folder / "last").write_text(f"{last}\n")
    return folder / "status", folder / "last"


def privileged() -> dict[str, list[str]]:
    """The capability sets that Docker asks for when a container is privileged."""
    names = [f"CAP_{name}" for name in oci_runtime.NAMES]
    return {kind: list(names) for kind in ("bounding", "effective", "permitted", "inheritable")}


# -- the runtime in front of runc ----------------------------------------------------------------


def test_the_table_of_capabilities_is_the_kernels() -> None:
    assert len(oci_runtime.NAMES) == 41
    assert oci_runtime.NAMES[SYS_RESOURCE] == "SYS_RESOURCE"
    assert oci_runtime.NAMES[12] == "NET_ADMIN"
    assert oci_runtime.NAMES[40] == "CHECKPOINT_RESTORE"


def test_a_full_bounding_set_lacks_nothing(tmp_path: Path) -> None:
    assert oci_runtime.absent_capabilities(*status(tmp_path, ALL)) == frozenset()


def test_what_the_kernel_does_not_know_is_not_absent(tmp_path: Path) -> None:
    """An old kernel has no CAP_BPF; runc ignores it there, and so do we."""
    short = ALL & ~(1 << 39) & ~(1 << 40)
    assert oci_runtime.absent_capabilities(*status(tmp_path, short, last=38)) == frozenset()


def test_a_short_bounding_set_is_told_by_name(tmp_path: Path) -> None:
    absent = oci_runtime.absent_capabilities(*status(tmp_path, ALL & ~(1 << SYS_RESOURCE)))
    assert absent == {"CAP_SYS_RESOURCE"}


@pytest.mark.parametrize(
    ("line", "file", "of_bundle"),
    [
        ("--root /r --log /l create --bundle /b --pid-file /p id", "/b/config.json", True),
        ("run -b /b id", "/b/config.json", True),
        ("create --bundle=/b id", "/b/config.json", True),
        ("create id", "config.json", True),
        ("--root /r exec --process /p.json --detach id", "/p.json", False),
        ("exec -p=/p.json id", "/p.json", False),
    ],
)
def test_the_file_of_a_command_is_found(line: str, file: str, of_bundle: bool) -> None:
    assert oci_runtime.subject(line.split()) == (Path(file), of_bundle)


@pytest.mark.parametrize("line", ["--root /r delete --force id", "state id", "exec id true", ""])
def test_other_commands_name_no_file(line: str) -> None:
    assert oci_runtime.subject(line.split()) is None


def test_the_bundle_is_clipped_and_nothing_else_in_it(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {"args": ["/sbin/init"], "capabilities": privileged()},
        "linux": {"namespaces": [{"type": "pid"}]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    oci_runtime.rewrite(tmp_path / "config.json", True, frozenset({"CAP_SYS_RESOURCE"}))
    made = json.loads((tmp_path / "config.json").read_text())
    for names in made["process"]["capabilities"].values():
        assert len(names) == 40
        assert "CAP_SYS_RESOURCE" not in names
    made["process"]["capabilities"] = config["process"]["capabilities"]
    assert made == config
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"process": null}', '{"process": {}}'])
def test_odd_bundles_are_left_to_runc(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    oci_runtime.rewrite(tmp_path / "config.json", True, frozenset({"CAP_BPF"}))
    assert (tmp_path / "config.json").exists()


def test_the_launcher_runs_alone_and_becomes_runc(tmp_path: Path) -> None:
    """As dockerd starts it: a bare environment, another working directory, no checkout."""
    runc = tmp_path / "runc"
    runc.write_text('#!/bin/sh\nprintf "%s " "$@"\n')
    runc.chmod(0o755)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "config.json").write_text(
        json.dumps({"process": {"capabilities": privileged()}})
    )
    launcher = dockerd.write_launcher(tmp_path, str(runc))
    arguments = ["--root", "/r", "create", "--bundle", str(tmp_path / "bundle"), "it's me"]
    done = subprocess.run(
        [launcher, *arguments], cwd="/", env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == " ".join(arguments)
    assert done.stderr == ""
    absent = oci_runtime.absent_capabilities()
    made = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert not absent & set(made["process"]["capabilities"]["bounding"])


# -- addresses -----------------------------------------------------------------------------------


def test_a_pool_overlaps_nothing_that_is_routed(tmp_path: Path) -> None:
    routed = [IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/13"), IPv4Network("192.0.2.0/24")]
    chosen = bridge.choose(routed, tmp_path)
    assert not any(chosen.overlaps(one) for one in routed)
    assert chosen.is_private


def test_a_pool_leaves_kubernetes_own_ranges_alone(tmp_path: Path) -> None:
    for number in range(300):
        chosen = bridge.choose([], tmp_path / str(number))
        assert not chosen.overlaps(IPv4Network("10.96.0.0/12"))
        assert not chosen.overlaps(IPv4Network("10.244.0.0/16"))


def test_the_same_pool_again_while_it_is_free(tmp_path: Path) -> None:
    first = bridge.choose([], tmp_path)
    assert bridge.choose([], tmp_path) == first
    assert bridge.choose([], tmp_path, wanted="172.20.0.0/16") == IPv4Network("172.20.0.0/16")
    assert bridge.choose([first], tmp_path, wanted=str(first)) != first


def test_no_pool_left_is_a_problem_that_says_what_to_do(tmp_path: Path) -> None:
    everything = [
        IPv4Network("10.0.0.0/8"),
        IPv4Network("172.16.0.0/12"),
        IPv4Network("198.18.0.0/15"),
    ]
    with pytest.raises(EnvironmentProblem, match="start a Docker engine yourself"):
        bridge.choose(everything, tmp_path)


def test_every_rule_names_the_pool_so_that_it_can_be_found_again() -> None:
    for rule in bridge.rules("10.1.0.0/16"):
        assert "10.1.0.0/16" in rule
        assert bridge.concerns(" ".join(rule), set(), IPv4Network("10.1.0.0/16"))
        assert not bridge.concerns(" ".join(rule), set(), IPv4Network("10.2.0.0/16"))


def test_interface_names_fit_the_kernel(tmp_path: Path) -> None:
    assert len(bridge.bridge_name(tmp_path)) <= 15
    assert bridge.bridge_name(tmp_path) != bridge.bridge_name(tmp_path / "other")


# -- the daemon ----------------------------------------------------------------------------------


def test_sockets_fit_however_long_the_home_is(tmp_path: Path) -> None:
    for home in (tmp_path, tmp_path / ("long" * 30)):
        daemon = dockerd.Daemon(home)
        assert len(str(daemon.exec_root / "containerd" / "containerd-debug.sock")) <= 107
        assert len(str(daemon.socket)) <= 107
        assert str(daemon.data).startswith(str(home))


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for a socket: else the engine's own is below /run."""
    with tempfile.TemporaryDirectory(prefix="sc", dir="/tmp") as folder:
        yield Path(folder)


def test_a_stale_pid_file_names_nobody(short: Path) -> None:
    daemon = dockerd.Daemon(short)
    assert daemon.pid() is None
    for content in ("", "nonsense", "999999999", str(os.getpid())):
        daemon.pid_file.write_text(content)
        assert daemon.pid() is None  # gone, or another program that got the number


def test_the_daemon_shares_nothing_and_touches_no_shared_chain(short: Path) -> None:
    daemon = dockerd.Daemon(short)
    link = bridge.Bridge("sc-x", "10.77.0.0/16", "1")
    config = dockerd.configuration(daemon, link, "/usr/sbin/runc")
    assert config["bridge"] == "sc-x"
    assert config["default-address-pools"] == [{"base": "10.77.0.0/16", "size": 24}]
    assert config["iptables"] is False
    for place in ("data-root", "exec-root"):
        assert str(config[place]).startswith(str(short))
    clipped = bool(oci_runtime.absent_capabilities())
    assert (config.get("default-runtime") == "clipped") is clipped


def test_containers_weigh_more_than_the_run_where_groups_are_ours(tmp_path: Path) -> None:
    daemon = dockerd.Daemon(tmp_path / "home")
    assert dockerd.preferred(daemon, tmp_path) == {}  # cgroup v2, or none that can be written
    (tmp_path / "cpu").mkdir()
    assert dockerd.preferred(daemon, tmp_path) == {"cgroup-parent": f"/{daemon.group}"}
    shares = tmp_path / "cpu" / daemon.group / "cpu.shares"
    assert int(shares.read_text()) > 1024
    shares.unlink()  # in a cgroup file system it goes with the folder
    (tmp_path / "memory" / daemon.group / "of a container").mkdir(parents=True)
    dockerd.remove_groups(daemon, tmp_path)
    assert [found.name for found in tmp_path.glob("*/*")] == []


def test_file_systems_and_mounts_are_told(tmp_path: Path) -> None:
    assert dockerd.file_system(Path("/proc/self/status")) == "proc"
    assert dockerd.file_system(tmp_path / "not" / "there") == dockerd.file_system(tmp_path)
    assert "/proc" in dockerd.mounts_below(Path("/proc"))
    assert dockerd.mounts_below(tmp_path) == []


# -- the user's engine ---------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker client that says what the files beside it hold; empty PATH otherwise."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'[ -f "{tmp_path}/$1" ] && exec /bin/cat "{tmp_path}/$1"\n'
        f'/bin/cat "{tmp_path}/error" >&2; exit 1\n'
    )
    program.chmod(0o755)
    (tmp_path / "error").write_text("Cannot connect to the Docker daemon.\n")
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return tmp_path


def test_an_engine_that_answers_is_used_as_it_is(client: Path) -> None:
    (client / "version").write_text("28.1.0 Engine;containerd;runc;\n")
    (client / "context").write_text("unix:///run/user/7/docker.sock\n")
    (client / "buildx").write_text("v0.20\n")
    found = engine.users_engine()
    assert found is not None
    assert (found.own, found.version) == (False, "28.1.0")
    assert found.env == {"DOCKER_HOST": "unix:///run/user/7/docker.sock"}


@pytest.mark.parametrize("server", [True, False])
def test_podman_is_refused_by_name(client: Path, server: bool) -> None:
    """Its socket says so among its components, its own program in its version."""
    if server:
        (client / "version").write_text("5.6.2 Podman Engine;Conmon;\n")
    else:
        (client / "--version").write_text("podman version 5.6.2\n")
    with pytest.raises(EnvironmentProblem, match=r"leads to Podman .*have a Docker engine answer"):
        engine.users_engine()


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("1 false false false", "with cgroup v1: kind makes no node there; have"),
        ("2 true true false", "with limits that it may not set: .*delegate memory, pids and cpu"),
        ("2 true true true", ""),
    ],
)
def test_a_rootless_engine_is_refused_where_kind_refuses_it(
    client: Path, said: str, refused: str
) -> None:
    (client / "version").write_text("26.1.5 Engine;containerd;runc;rootlesskit;slirp4netns;\n")
    (client / "context").write_text("unix:///run/user/7/docker.sock\n")
    (client / "info").write_text(said)
    if not refused:
        assert engine.users_engine() is not None
        return
    with pytest.raises(EnvironmentProblem, match=refused):
        engine.users_engine()


@pytest.mark.usefixtures("client")
def test_another_provider_of_kinds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "docker")
    assert engine.users_engine() is None
    monkeypatch.setenv("KIND_EXPERIMENTAL_PROVIDER", "podman")
    with pytest.raises(EnvironmentProblem, match=r"=podman asks for another engine.*; unset"):
        engine.users_engine()


@pytest.mark.parametrize(("version", "buildx"), [("20.10.24+dfsg1", True), ("28.1.0", False)])
def test_the_legacy_builder_where_buildkit_is_absent(
    client: Path, version: str, buildx: bool
) -> None:
    (client / "version").write_text(version)
    (client / "context").write_text("unix:///var/run/docker.sock\n")
    if buildx:
        (client / "buildx").write_text("v0.20\n")
    found = engine.users_engine()
    assert found is not None
    assert found.env["DOCKER_BUILDKIT"] == "0"


@pytest.mark.usefixtures("client")
def test_silence_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.users_engine() is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert engine.users_engine() is None


@pytest.mark.usefixtures("client")
def test_an_engine_that_the_user_names_must_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///not/there.sock")
    with pytest.raises(EnvironmentProblem, match="unset DOCKER_HOST"):
        engine.users_engine()


def test_missing_rights_are_said(client: Path) -> None:
    (client / "error").write_text("permission denied while trying to connect\n")
    with pytest.raises(EnvironmentProblem, match="group docker"):
        engine.users_engine()


def test_an_engine_elsewhere_is_refused(client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://build.example:2375")
    (client / "version").write_text("28.1.0\n")
    with pytest.raises(EnvironmentProblem, match="another machine"):
        engine.users_engine()


def test_who_is_not_root_is_told_how_to_get_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentProblem, match="only root can start one") as caught:
        engine.must_be_startable()
    assert caught.value.exit_code == 3
