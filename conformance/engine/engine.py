"""The Docker engine of a run: the user's own when one answers, else one of the suite's.

The suite's own engine is counted in users: every run holds a shared lock on it for its life, and
the last to leave stops it, unless clusters were kept. After SIGKILL of a run the kernel frees the
lock and the engine may stay; the next run uses it, or stops it when it leaves.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from conformance.engine import client
from conformance.engine.client import CLUSTER_LABEL, Client, docker
from conformance.engine.own import dockerd
from conformance.errors import EnvironmentProblem
from conformance.machine import interrupts, locks, process, progress, runs, waiting
from conformance.machine.paths import cache_dir
from conformance.machine.progress import ProgressBoard
from conformance.machine.system_path import find, search_path

# Docker 23 made BuildKit the default builder; before that, and without buildx, it is not there.
_BUILDKIT_SINCE = 23
_PROVIDER = "KIND_EXPERIMENTAL_PROVIDER"  # kind, pkg/internal/runtime
_ROOTLESS = "rootlesskit"  # a component of every rootless engine (docker version)
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21  # include/uapi/linux/capability.h


@dataclass(frozen=True)
class Engine:
    """An engine that answers.

    docker: the client. host: where the engine listens (unix:///…). own: the suite started it.
    env: what every docker and kind command needs in its environment. version: the engine's.
    """

    docker: Path
    host: str
    own: bool
    version: str
    env: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def engine(board: ProgressBoard = progress.board) -> Iterator[Engine]:
    """A Docker engine for as long as the block lasts.

    Raises EnvironmentProblem when none answers and none can be installed or started here; then
    nothing was changed, or what was begun is undone (an installed package stays).
    """
    daemon = own()
    users: locks.Lock | None = None
    try:
        found = users_engine()
        if found is None:
            must_be_startable()
            if shutil.which("docker") is None or find("dockerd") is None:
                _install(board)
                found = _after_installation()
        if found is None:
            with _start_lock(board):
                users = locks.shared(daemon.home / "users.lock")
                found = _own_engine(daemon, board)
        yield found
    finally:
        process.resume()  # stopping an engine takes commands, whatever was stopped before
        with interrupts.shielded():
            _leave(daemon, users, board)


def own() -> dockerd.Daemon:
    """Where the suite's own engine lives, whether it runs or not."""
    return dockerd.Daemon(cache_dir() / "engine")


def retire(board: ProgressBoard = progress.board) -> bool:
    """Stop the suite's own engine if it runs, nobody uses it and no cluster on it was kept.

    True when no own engine runs afterwards.
    """
    daemon = own()
    if daemon.pid() is None and not daemon.exec_root.exists():
        return True  # never started, or stopped in good order
    with locks.exclusive(daemon.home / "start.lock"):
        return _retire_locked(daemon, board)


def _leave(daemon: dockerd.Daemon, users: locks.Lock | None, board: ProgressBoard) -> None:
    if users is None:
        with suppress(EnvironmentProblem):
            retire(board)  # an engine that a killed run left
        return
    with _start_lock(board):  # from here on no newcomer can count on the engine
        users.release()
        _retire_locked(daemon, board)


def _retire_locked(daemon: dockerd.Daemon, board: ProgressBoard) -> bool:
    last = locks.try_exclusive(daemon.home / "users.lock")
    if last is None:
        return False
    with last:
        kept = [record for record in runs.kept() if record.host == daemon.host]
        if kept and daemon.pid() is not None:
            names = ", ".join(name for record in kept for name in record.clusters)
            board.say(f"The suite's own Docker engine stays up for the kept clusters: {names}.")
            return False
        if daemon.pid() is None and not daemon.exec_root.exists():
            return True
        with board.phase("stopping the suite's own Docker engine"):
            with suppress(EnvironmentProblem):
                _empty(daemon)
            dockerd.stop(daemon)
        return True


def _empty(daemon: dockerd.Daemon) -> None:
    """Remove node containers of dead runs and unused networks: they would outlive the engine."""
    it = client.at(daemon.host)
    label = f"label={CLUSTER_LABEL}"
    listed = docker(it, "ps", "-aq", "--filter", label, timeout=20).split()
    if listed:
        docker(it, "rm", "-f", "-v", *listed, what="removing left clusters", timeout=60)
    docker(it, "network", "prune", "-f", timeout=30)


@contextmanager
def _start_lock(board: ProgressBoard) -> Iterator[None]:
    path = own().home / "start.lock"
    held = locks.try_exclusive(path)
    if held is None:
        with board.phase("waiting for another run to start or stop the suite's Docker engine"):
            held = locks.exclusive(path)
    with held:
        yield


def _own_engine(daemon: dockerd.Daemon, board: ProgressBoard) -> Engine:
    """The suite's own engine: the running one, or a new one. Under the start lock."""
    its = client.at(daemon.host)

    def answers() -> bool:
        return daemon.pid() is not None and not isinstance(_version(its), _Silence)

    if daemon.pid() is None:
        with board.phase("starting a Docker engine of the suite's own"):
            dockerd.start(daemon, answers)
    version = _patient_version(its)
    version = version.partition(" ")[0]
    return Engine(its.docker, daemon.host, True, version, {**its.env, **builder(its, version)})


class _Silence(str):
    """What a client said instead of a server's version."""


def users_engine() -> Engine | None:
    """The engine that answers to the user's own settings; None when there is none.

    Raises EnvironmentProblem when the user names an engine that does not answer, may not be used,
    is none of Docker's or is on another machine: starting another one would hide the mistake.
    """
    _refuse_other_providers()
    if shutil.which("docker") is None:
        return None
    users, named = client.at(), os.environ.get("DOCKER_HOST")
    version = _version(users)
    if isinstance(version, _Silence):
        _refuse_podman(_said_by_client(users))
        if "permission denied" in version.lower():
            raise EnvironmentProblem(
                f"The Docker engine may not be used by this user: {version}; join the group "
                "docker and log in again, or run as root."
            )
        if named:
            raise EnvironmentProblem(
                f"DOCKER_HOST names {named}, which does not answer: {version}; start it, or unset "
                "DOCKER_HOST."
            )
        return None
    version, _, components = version.partition(" ")
    _refuse_podman(components)
    _refuse_rootless(users, components)
    host = named or _context_host(users)
    if not host.startswith(("unix://", "npipe://")):
        raise EnvironmentProblem(
            f"The Docker engine at {host} may be on another machine: evidence is written through "
            "folders of this one; name an engine by its local socket (DOCKER_HOST=unix:///…)."
        )
    env = {"DOCKER_HOST": host, **builder(users, version)}
    return Engine(users.docker, host, False, version, env)


def _refuse_other_providers() -> None:
    """kind must use the engine that the suite uses: it loads, enters and removes nodes by it."""
    provider = os.environ.get(_PROVIDER, "docker")
    if provider not in ("", "docker"):
        raise EnvironmentProblem(
            f"{_PROVIDER}={provider} asks for another engine than Docker, and evidence is "
            f"collected by Docker's client; unset {_PROVIDER} and have a Docker engine answer."
        )


def _refuse_podman(said: str) -> None:
    if "podman" in said.lower():
        raise EnvironmentProblem(
            f"The docker command leads to Podman ({said.strip().strip(';')}), whose nodes and "
            "images differ from Docker's where evidence is collected; have a Docker engine answer "
            "(DOCKER_HOST=unix:///var/run/docker.sock)."
        )


def _refuse_rootless(of: Client, components: str) -> None:
    """kind's own conditions (create.go, validateProvider), before any image is made for it."""
    if _ROOTLESS not in components:
        return
    form = "{{.CgroupVersion}} {{.MemoryLimit}} {{.PidsLimit}} {{.CPUShares}}"
    said = docker(of, "info", "--format", form, what="asking the Docker engine", timeout=20)
    cgroup, *limits = said.split()
    if cgroup == "2" and "false" not in limits:
        return
    seen = f"cgroup v{cgroup}" if cgroup != "2" else "limits that it may not set"
    raise EnvironmentProblem(
        f"The Docker engine is rootless, with {seen}: kind makes no node there; have a Docker "
        "engine of root's answer, or boot with cgroup v2 and delegate memory, pids and cpu to the "
        "user (Delegate=yes)."
    )


def _said_by_client(of: Client) -> str:
    with suppress(EnvironmentProblem):
        return docker(of, "--version", timeout=20)
    return ""


def _version(of: Client) -> str | _Silence:
    """The server's version, then a space and its components' names."""
    form = "{{.Server.Version}} {{range .Server.Components}}{{.Name}};{{end}}"
    try:
        said = docker(of, "version", "--format", form, what="asking the Docker engine", timeout=20)
        return said.strip()
    except EnvironmentProblem as problem:
        return _Silence(problem)


def _patient_version(of: Client) -> str:
    """The version of an engine that runs; a busy one may need a second question."""
    said = ""

    def ask() -> str | None:
        nonlocal said
        said = _version(of)
        return None if isinstance(said, _Silence) else said

    try:
        return waiting.until("its answer", ask, seconds=30, every=0.5)
    except waiting.NotInTime as late:
        raise EnvironmentProblem(
            f"The suite's own Docker engine runs but does not answer: {said}; its log is "
            f"{own().log}; stop it with make clean when no other run uses it."
        ) from late


def _context_host(of: Client) -> str:
    """The socket of the client's current context."""
    form = "{{.Endpoints.docker.Host}}"
    return docker(of, "context", "inspect", "--format", form).strip()


def builder(of: Client, version: str) -> dict[str, str]:
    """DOCKER_BUILDKIT=0 where only the legacy builder works."""
    major = version.partition(".")[0]
    if major.isdigit() and int(major) >= _BUILDKIT_SINCE:
        with suppress(EnvironmentProblem):
            docker(of, "buildx", "version")
            return {}
    return {"DOCKER_BUILDKIT": "0"}


def must_be_startable() -> None:
    """Raises EnvironmentProblem unless this user could install or start an engine here."""
    get = "install and start Docker (https://docs.docker.com/engine/install/)"
    if os.geteuid() != 0:
        raise EnvironmentProblem(
            f"No Docker engine answers, and only root can start one: {get}, or run as root on "
            "Debian or Ubuntu, where the suite does it."
        )
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    held = int(line.split()[1], 16)
    if not (held >> _CAP_SYS_ADMIN & 1 and held >> _CAP_NET_ADMIN & 1):
        raise EnvironmentProblem(
            "No Docker engine answers, and this root may not start one: it lacks CAP_SYS_ADMIN or "
            "CAP_NET_ADMIN, as in an unprivileged container; give it a Docker socket, or run it "
            "privileged."
        )
    there = shutil.which("docker") and find("dockerd")
    if not there and not (_is_debian() and shutil.which("apt-get")):
        raise EnvironmentProblem(
            f"No Docker engine answers, and none is installed: {get}; the suite installs it by "
            "itself on Debian and Ubuntu only."
        )


def _install(board: ProgressBoard) -> None:
    """docker.io from the distribution, with the client where that is a package of its own."""
    log = cache_dir() / "engine" / "apt.log"
    apt = ["apt-get", "-y", "-o", "DPkg::Lock::Timeout=300"]
    env = {"DEBIAN_FRONTEND": "noninteractive", "PATH": search_path()}
    with board.phase("installing Docker from the distribution (docker.io)") as phase:
        with suppress(EnvironmentProblem):  # one dead source must not matter; installing tells
            process.run([*apt, "update"], what="apt-get update", log=log, env=env, timeout=600)
        phase.note("packages")
        packages = ["docker.io", "iproute2"]
        if _apparmor_wants_its_parser():
            packages.append("apparmor")
        what = "installing docker.io (install Docker yourself, or mend apt)"
        install = [*apt, "install", "--no-install-recommends"]
        process.run([*install, *packages], what=what, log=log, env=env, timeout=1200)
        if shutil.which("docker") is None:  # Debian 13 and newer
            process.run([*install, "docker-cli"], what=what, log=log, env=env, timeout=600)


def _after_installation() -> Engine | None:
    """The engine that systemd started at installation, if there is a systemd and it did."""
    if not Path("/run/systemd/system").is_dir():
        return None

    with suppress(EnvironmentProblem):
        return waiting.until(
            "the engine that was installed",
            users_engine,
            seconds=15,
            every=0.5,
            forgive=EnvironmentProblem,
        )
    return None


def _apparmor_wants_its_parser() -> bool:
    """Where the kernel confines, Docker starts no container without apparmor_parser."""
    with suppress(OSError):
        enabled = Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
        return enabled and find("apparmor_parser") is None
    return False


def _is_debian() -> bool:
    with suppress(OSError):
        lines = Path("/etc/os-release").read_text().splitlines()
        values = " ".join(line for line in lines if line.startswith(("ID=", "ID_LIKE=")))
        return "debian" in values or "ubuntu" in values
    return False
