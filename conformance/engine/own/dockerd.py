"""The suite's own Docker daemon: started, found again, and stopped so that nothing of it stays.

It shares nothing with another engine of the machine: socket, pid file, data and state, bridge and
addresses are its own, all below ``home``. It outlives the run that started it when others use it;
who may start or stop it is decided elsewhere (``engine``), under a lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from conformance.engine.own import bridge, oci_runtime
from conformance.errors import EnvironmentProblem
from conformance.machine import process, waiting
from conformance.machine.system_path import find, search_path

# overlay2 does not work on these: overlay refuses itself, network and FUSE file systems lack what
# an upper layer needs (kernel documentation, filesystems/overlayfs).
_UNFIT = ("overlay", "aufs", "nfs", "nfs4", "cifs", "9p", "virtiofs", "ecryptfs", "vfat", "fuse")
_SOCKET_PATH_MAX = 107  # sockaddr_un; containerd's sockets below exec/ are the longest
_LONGEST_SOCKET = "exec/containerd/containerd-debug.sock"
# What the containers of our engine weigh together against the run itself. The run's cells only
# write down what they see and compilers can wait, but an app that waits for them answers late.
# Without a group of their own all clusters together weigh as much as one session of processes.
_CPU_SHARES = 4 * 1024
_CGROUPS = Path("/sys/fs/cgroup")
_PROGRAMS = ("dockerd", "containerd", "runc", "iptables", "ip")
_START_PATIENCE = 90.0  # seconds; 6 s were measured on an idle machine of two cores
_STOP_PATIENCE = 30.0  # seconds; dockerd gives containers 15 s of them
_LOOK_EVERY = 0.05  # seconds


@dataclass(frozen=True)
class Daemon:
    """Where a daemon of the suite's own lives. Nothing runs because one of these exists."""

    home: Path

    @property
    def state(self) -> Path:
        """Sockets and runtime state: below home, or below /run when that path is too long."""
        if len(str(self.home / _LONGEST_SOCKET)) <= _SOCKET_PATH_MAX:
            return self.home
        return Path(f"/run/sc-{self._mark}")

    @property
    def _mark(self) -> str:
        """Tells what belongs to this home from another's, where names must be short."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:8]

    @property
    def socket(self) -> Path:
        return self.state / "docker.sock"

    @property
    def host(self) -> str:
        """The value of DOCKER_HOST."""
        return f"unix://{self.socket}"

    @property
    def pid_file(self) -> Path:
        return self.state / "docker.pid"

    @property
    def exec_root(self) -> Path:
        return self.state / "exec"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def group(self) -> str:
        """The cgroup above its containers' own. kind looks for "docker" in it."""
        return f"docker-sc-{self._mark}"

    @property
    def log(self) -> Path:
        return self.home / "dockerd.log"

    def pid(self) -> int | None:
        """The daemon's process id while it lives; None when the pid file is stale or absent."""
        return _pid_from(self.pid_file, "dockerd", str(self.pid_file))


def start(daemon: Daemon, answers: Callable[[], bool]) -> None:
    """Start the daemon and return when ``answers`` says so.

    Raises EnvironmentProblem with dockerd's last words, and leaves nothing running then.
    """
    programs = _needed_programs()
    _check_file_system(daemon.home)
    clear(daemon)
    for folder in (daemon.home, daemon.state, daemon.exec_root, daemon.data):
        folder.mkdir(parents=True, exist_ok=True)
    child = None
    try:
        link = bridge.create(daemon.home)
        config = daemon.home / "daemon.json"
        settings = configuration(daemon, link, programs["runc"]) | preferred(daemon)
        config.write_text(json.dumps(settings, indent=2))
        child = _spawn(daemon, [programs["dockerd"], "--config-file", str(config)])
        running = waiting.within(
            _START_PATIENCE, lambda: child.poll() is not None or answers(), every=_LOOK_EVERY
        )
        if not running or child.poll() is not None:
            raise EnvironmentProblem(
                "The suite's own Docker engine did not start: dockerd said: "
                f"{_last_words(daemon)}; the whole log is {daemon.log}. Mend the cause, or start "
                "a Docker engine yourself."
            )
    except BaseException:
        if child is not None:
            _end(child.pid)
        stop(daemon)
        raise


def stop(daemon: Daemon) -> None:
    """End the daemon and everything that it left: containerd, shims, mounts, bridges, rules."""
    pid = daemon.pid()
    if pid is not None:
        _end(pid)
    clear(daemon)


def clear(daemon: Daemon) -> None:
    """Take away what a dead daemon left (after SIGKILL: containerd, shims, mounts, links).

    The daemon must not run. Idempotent.
    """
    waiting.within(_STOP_PATIENCE, lambda: not _kill_containers(daemon), every=_LOOK_EVERY)
    for pid in _left_processes(daemon):
        _end(pid)
    for place in reversed(mounts_below(daemon.home, daemon.state)):
        with suppress(EnvironmentProblem):
            process.run(["umount", "-l", place], what=f"unmounting {place}")
    shutil.rmtree(daemon.exec_root, ignore_errors=True)
    for file in (daemon.pid_file, daemon.socket):
        file.unlink(missing_ok=True)
    remove_groups(daemon)
    bridge.remove(daemon.home, others=any(True for _ in _processes("dockerd")))
    if daemon.state != daemon.home:
        with suppress(OSError):
            daemon.state.rmdir()


def configuration(daemon: Daemon, link: bridge.Bridge, runc: str) -> dict[str, object]:
    """The daemon's config file, as data."""
    config: dict[str, object] = {
        "data-root": str(daemon.data),
        "exec-root": str(daemon.exec_root),
        "bridge": link.name,
        "default-address-pools": [{"base": link.pool, "size": 24}],
        "iptables": False,  # see bridge: it would disturb other engines
        "ip6tables": False,
    }
    if oci_runtime.absent_capabilities():
        launcher = write_launcher(daemon.home, runc)
        config["runtimes"] = {"clipped": {"path": str(launcher)}}
        config["default-runtime"] = "clipped"
    return config


def preferred(daemon: Daemon, cgroups: Path = _CGROUPS) -> dict[str, object]:
    """The settings that give the containers more than one session's share of the processors.

    Only with cgroup v1, where the engine keeps its groups itself; elsewhere nothing is set.
    """
    group = cgroups / "cpu" / daemon.group
    try:
        group.mkdir(exist_ok=True)
        (group / "cpu.shares").write_text(str(_CPU_SHARES))
    except OSError:
        return {}
    return {"cgroup-parent": f"/{daemon.group}"}


def remove_groups(daemon: Daemon, cgroups: Path = _CGROUPS) -> None:
    """Remove the empty groups that the engine made for its containers, one in each controller."""
    for group in cgroups.glob(f"*/{daemon.group}"):
        for folder in sorted(group.glob("**/"), reverse=True):
            with suppress(OSError):
                folder.rmdir()


def mounts_below(*roots: Path) -> list[str]:
    """Mount points at or below the folders, in the order in which they were mounted."""
    tops = tuple(f"{root}/" for root in roots)
    return [point for point, _ in _mounts() if f"{point}/".startswith(tops)]


def file_system(path: Path) -> str:
    """Type of the file system that ``path`` is on, or would be if it existed."""
    here, kind = f"{path}/", "unknown"
    longest = 0
    for point, mounted in _mounts():
        top = point.rstrip("/") + "/"
        if here.startswith(top) and len(top) >= longest:  # later mounts hide earlier ones
            longest, kind = len(top), mounted
    return kind


def write_launcher(home: Path, runc: str) -> Path:
    """The capability-clipping runtime as one executable, independent of checkout and .venv."""
    program = home / "oci_runtime.py"
    shutil.copyfile(Path(oci_runtime.__file__), program)
    interpreter = Path(sys.executable).resolve()
    launcher = home / "oci-runtime"
    launcher.write_text(f'#!/bin/sh\nexec "{interpreter}" -I -S "{program}" "{runc}" "$@"\n')
    launcher.chmod(0o755)
    return launcher


def _needed_programs() -> dict[str, str]:
    found = {name: find(name) for name in _PROGRAMS}
    absent = [name for name, path in found.items() if path is None]
    if absent:
        raise EnvironmentProblem(
            f"No Docker engine answers and none can be started: {', '.join(absent)} is not "
            "installed; install Docker (https://docs.docker.com/engine/install/), iptables and "
            "iproute2."
        )
    return {name: path for name, path in found.items() if path is not None}


def _check_file_system(home: Path) -> None:
    kind = file_system(home)
    if kind.startswith(_UNFIT):
        raise EnvironmentProblem(
            f"The suite's own Docker engine cannot keep its data in {home}: that is on {kind}, "
            "which cannot carry container layers; set SIDECAR_CONFORMANCE_CACHE to a folder on a "
            "local disk (ext4, xfs, btrfs), or start a Docker engine yourself."
        )


def _spawn(daemon: Daemon, command: list[str]) -> subprocess.Popen[bytes]:
    """Not through process.start: the daemon must outlive this run when another one uses it."""
    if daemon.log.exists():
        daemon.log.replace(daemon.log.with_suffix(".log.before"))
    with daemon.log.open("ab") as sink:
        child = subprocess.Popen(
            [*command, "--pidfile", str(daemon.pid_file), "--host", daemon.host],
            env={**os.environ, "PATH": search_path()},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    _unreaped.append(child)
    return child


_unreaped: list[subprocess.Popen[bytes]] = []  # kept so that a daemon of ours leaves no zombie


def _end(pid: int) -> None:
    """SIGTERM, then SIGKILL; returns when the process is gone (a zombie counts as gone)."""
    for signum, patience in ((signal.SIGTERM, _STOP_PATIENCE), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        waiting.within(patience, lambda: not _alive(pid), every=_LOOK_EVERY)
    for child in _unreaped:
        child.poll()


def _mounts() -> list[tuple[str, str]]:
    """(mount point, file system type), in the order in which they were mounted."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        point = fields[4].encode().decode("unicode_escape")  # a space is written \040
        found.append((point, fields[fields.index("-") + 1]))
    return found


def _kill_containers(daemon: Daemon) -> bool:
    """SIGKILL every process in a container of this daemon; True when there was one.

    A container outlives a daemon and even a shim that were killed. Its cgroup names it by its id
    ("/docker/<id>", "docker-<id>.scope"), and the daemon's data has a folder for each id.
    """
    folder = daemon.data / "containers"
    ids = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    found = False
    for pid in _pids() if ids else ():
        with suppress(OSError):
            groups = Path(f"/proc/{pid}/cgroup").read_text()
            if any(one in groups for one in ids) and _alive(pid):
                found = True
                os.kill(pid, signal.SIGKILL)
    return found


def _left_processes(daemon: Daemon) -> list[int]:
    """containerd and its shims: all name our exec root on their command lines."""
    mark = str(daemon.exec_root) + "/"
    return [pid for pid, words in _processes("containerd") if any(mark in word for word in words)]


def _processes(name: str) -> Iterator[tuple[int, list[str]]]:
    """(pid, command line) of live processes whose program's name starts with ``name``."""
    for pid in _pids():
        words = _command_line(pid)
        if words and Path(words[0]).name.startswith(name) and _alive(pid):
            yield pid, words


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _pid_from(file: Path, program: str, mark: str) -> int | None:
    try:
        pid = int(file.read_text())
    except (OSError, ValueError):
        return None
    words = _command_line(pid)
    ours = bool(words) and Path(words[0]).name == program and mark in words
    return pid if ours and _alive(pid) else None


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def _last_words(daemon: Daemon) -> str:
    lines = daemon.log.read_text(errors="replace").strip().splitlines()
    telling = [line for line in lines if "level=info" not in line and "level=debug" not in line]
    return " / ".join((telling or lines)[-2:]) or "nothing"
