"""Processor seconds by kind of process: of a command's own processes and of the containers that
it started. Read from /proc (proc(5)) several times a second; no rights are needed.

A process that is born and ends between two looks is never seen, but its parent's account of the
children that it has waited for grows by it: that much is told as the short lives of the parent's
kind. So nothing is lost, and only names are missing.
"""

from __future__ import annotations

# pathlib is slow where 200 files are read several times a second:
# ruff: noqa: PTH123, PTH208
import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
EVERY = 0.2  # seconds between two looks; a look at 200 processes takes some 5 ms
TICKS = os.sysconf("SC_CLK_TCK")

OURS = "the suite's own Python"
OTHER = "others"
# What a command line says, in this order, and the kind that it is of; \1 is what was found.
KINDS: Sequence[tuple[str, str]] = (
    (r"^\S*kube-apiserver\b", "API server"),
    (r"^\S*etcd\b", "etcd"),
    (r"^\S*kube-controller-manager\b", "controller manager"),
    (r"^\S*kube-scheduler\b", "scheduler"),
    (r"^\S*kube-proxy\b", "kube-proxy"),
    (r"^\S*coredns\b", "CoreDNS"),
    (r"^\S*kubelet\b", "kubelet"),
    (r"^\S*dockerd\b|^\S*docker-proxy\b|^containerd --config", "engine"),
    (r"^\S*docker\b|^\S*kubectl\b|^\S*kind\b", "docker, kubectl, kind"),
    (r"^\S*containerd-shim", "shims"),
    (r"^\S*runc\b", "runc"),
    (r"^\S*containerd\b", "containerd"),
    (r"^\S*kubeadm\b|^\S*ctr\b.* (?:import|export)", "cluster's creation"),
    (r"^\S*journal|^\S*systemd|^/sbin/init|^\S*dbus|^ctr .*events", "systemd, journal, events"),
    (r"import cni\b|sidecar-capture", "capture: plugin and agent"),
    (r"^\S*tcpdump\b", "capture: tcpdump"),
    (r"^\S*(?:ptp|portmap|host-local|loopback|iptables|ip6tables|xtables)\b", "CNI plugins"),
    (r"/app/(\w+)\.py", r"fixture \1"),
    (r"^\S*envoy\b|linkerd|pilot-agent|/sidecar/\w+\.py|fluent-bit|otel", "sidecars"),
    (r"^\S*pilot-discovery|^\S*controller\b|istiod", "control plane of a mesh"),
    (r"^\S*pause\b", "pause"),
)
# The name of a kind node stands in its kubelet's command line, and in those of its control plane.
_CLUSTER = re.compile(r"\bsc-[\w-]+")
_KINDS = [(re.compile(pattern), kind) for pattern, kind in KINDS]


@dataclass(frozen=True)
class Look:
    """What /proc says of one process. own, reaped: ticks; those of children that it waited for."""

    pid: int
    parent: int
    name: str
    own: int
    reaped: int
    begun: int

    @property
    def identity(self) -> tuple[int, int]:
        """Ids are given out anew, but not twice within a tick."""
        return self.pid, self.begun

    @property
    def total(self) -> int:
        return self.own + self.reaped


def kind_of(command: str) -> str:
    """The kind of a process by its command line."""
    for pattern, kind in _KINDS:
        if match := pattern.search(command):
            return match.expand(kind)
    return OTHER


def short_lives(kind: str) -> str:
    """The name under which those are told who were never seen: children of this kind."""
    return f"short lives under {kind}"


@dataclass
class Account:
    """Ticks by kind, from one look to the next. Nothing is counted of what was there before.

    root: the command's process. It, what descends from it, and containers begun after it count,
    each container apart: others may start some meanwhile. named: container (its shim's process) →
    the names of clusters that its processes' command lines hold.
    """

    root: int
    command: Callable[[int], str]
    spent: Counter[tuple[int, str]] = field(default_factory=Counter)
    named: dict[int, set[str]] = field(default_factory=dict)
    _last: dict[int, Look] = field(default_factory=dict)
    _kinds: dict[tuple[int, int, str], str] = field(default_factory=dict)
    # Ticks of children that have gone, and that their parent has not waited for yet.
    _owed: Counter[int] = field(default_factory=Counter)
    _since: int = 0

    def add(self, looks: Mapping[int, Look]) -> None:
        """Count what was spent since the last look."""
        groups = self._belonging(looks)
        mine = {pid: looks[pid] for pid in groups}
        for pid, before in self._last.items():
            now = mine.get(pid)
            if now is None or now.identity != before.identity:
                self._owed[self._heir(before, mine)] += before.total
        for pid, now in mine.items():
            last = self._last.get(pid)
            fresh = last is None or last.identity != now.identity
            kind, group = self._kind(now, groups[pid]), groups[pid]
            self.spent[group, kind] += now.own - (0 if last is None or fresh else last.own)
            waited = now.reaped - (0 if last is None or fresh else last.reaped)
            unseen = max(0, waited - self._owed[pid])
            self._owed[pid] = max(0, self._owed[pid] - waited)
            self.spent[group, short_lives(kind)] += unseen
        self._last = mine

    def _kind(self, now: Look, group: int) -> str:
        # Its name changes when a process becomes another program.
        key = (*now.identity, now.name)
        if key not in self._kinds:
            command = self.command(now.pid)
            self.named.setdefault(group, set()).update(_CLUSTER.findall(command))
            kind = kind_of(command or now.name)
            self._kinds[key] = OURS if kind == OTHER and _is_ours(now) else kind
        return self._kinds[key]

    def _heir(self, gone: Look, mine: Mapping[int, Look]) -> int:
        """Who waits for it: its parent, or the next of its line that still lives."""
        parent = gone.parent
        while parent not in mine and parent in self._last:
            parent = self._last[parent].parent
        return parent

    def _belonging(self, looks: Mapping[int, Look]) -> dict[int, int]:
        """Process → its group: the root, or the outermost shim that was begun after it."""
        known: dict[int, int] = {0: 0, self.root: self.root if self.root in looks else 0}
        if self.root in looks:
            self._since = looks[self.root].begun

        def group(pid: int) -> int:
            if pid not in known:
                look = looks.get(pid)
                known[pid] = group(look.parent) if look is not None else 0
                if look and not known[pid] and _is_shim(look) and look.begun >= self._since:
                    known[pid] = pid
            return known[pid]

        return {pid: found for pid in looks if (found := group(pid))}


class Sampler:
    """Looks at the machine's processes from ``start`` to ``stop``, in a thread of its own.

    at: after each look, its time in ns and the processor seconds since the start, by group (see
    Account) and kind.
    """

    def __init__(self, root: int) -> None:
        self._account = Account(root, command_line)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="processors", daemon=True)
        self.at: list[tuple[int, dict[tuple[int, str], float]]] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def between(self, start_ns: int, end_ns: int, cluster: str = "") -> dict[str, float]:
        """Processor seconds by kind in a stretch of time, the most first: of the command, and of
        containers whose processes name a cluster that begins so (kind's name)."""
        before = [spent for ns, spent in self.at if ns <= start_ns]
        until = [spent for ns, spent in self.at if ns <= end_ns]
        first, last = before[-1] if before else {}, until[-1] if until else {}
        named = self._account.named.items()
        own = {group for group, names in named if any(one.startswith(cluster) for one in names)}
        spent: dict[str, float] = defaultdict(float)
        for (group, kind), seconds in last.items():
            if group == self._account.root or group in own:
                spent[kind] += seconds - first.get((group, kind), 0)
        most = sorted(spent, key=lambda kind: -spent[kind])
        return {kind: round(spent[kind], 2) for kind in most if spent[kind]}

    def _look(self) -> None:
        while True:
            self._account.add(look())
            spent = {key: ticks / TICKS for key, ticks in self._account.spent.items() if ticks}
            self.at.append((time.time_ns(), spent))
            if self._over.wait(EVERY):
                return


def look() -> dict[int, Look]:
    """All processes that /proc shows; {} where there is none (no Linux)."""
    found = {}
    for name in os.listdir(PROC) if PROC.is_dir() else ():
        if name.isdigit():
            try:
                with open(f"{PROC}/{name}/stat", encoding="utf-8", errors="replace") as source:
                    one = parse(source.read())
            except OSError:  # it has just ended
                continue
            found[one.pid] = one
    return found


def parse(stat: str) -> Look:
    """One line of /proc/<pid>/stat. The name is in brackets and may hold some itself."""
    pid, _, rest = stat.partition(" (")
    name, _, rest = rest.rpartition(") ")
    fields = rest.split()
    own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Look(int(pid), int(fields[1]), name, own, reaped, int(fields[19]))


def command_line(pid: int) -> str:
    """A process' command line; "" when it has ended or is a kernel's."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def _is_ours(look_at: Look) -> bool:
    """xdist's workers say in their names what they do."""
    return "python" in look_at.name or look_at.name.startswith("[pytest")


def _is_shim(look_at: Look) -> bool:
    return look_at.name.startswith("containerd-shim")
