"""What the doctor knows of a machine before it says anything. Tests forge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Has = Literal["yes", "no", "unknown"]

LATE = "late"
"""What a registry that was asked said when it said nothing in time: nothing is known of it."""


@dataclass(frozen=True)
class Distribution:
    """Of /etc/os-release: ID, ID_LIKE (words), VERSION_ID, and the name that people know."""

    id: str = ""
    like: tuple[str, ...] = ()
    version: str = ""
    name: str = ""

    @property
    def debian(self) -> bool:
        """Whether apt and Debian's package names are there."""
        return bool({"debian", "ubuntu"} & {self.id, *self.like})

    @property
    def fedora(self) -> bool:
        """Whether dnf and Fedora's package names are there."""
        return bool({"fedora", "rhel"} & {self.id, *self.like})


@dataclass(frozen=True)
class Machine:
    """Where the suite runs.

    memory: bytes that it may have, the group's limit included. processors: as many as it may use.
    limited: in words, where a group's limit is below what the machine has; else "".
    disk_free: bytes where the cache is. file_system: the type of that. cgroup: "v1", "v2" or "".
    watches, instances: fs.inotify.max_user_…; files: the hard limit of open files. 0: unknown.
    kernel_has: legacy (iptables' own tables), nft, owner (a match by user), redirect.
    programs: name → version, or where it is; only those that are there.
    """

    system: str
    architecture: str
    kernel: str
    distribution: Distribution
    python: str
    root: bool
    processors: int
    memory: int
    limited: str
    cache: str
    disk_free: int
    file_system: str
    cgroup: str
    watches: int
    instances: int
    files: int
    kernel_has: Mapping[str, Has]
    programs: Mapping[str, str]


@dataclass(frozen=True)
class EngineFacts:
    """The engine that a run would use.

    problem: why there is none, and what to do; "" when one answers, or would be started.
    late: that is not known either, for it did not say in time; problem says so.
    answers: it runs by now. own: it is, or would be, the suite's own. here: its kernel is this
    machine's. containerd: images are in containerd's store. memory (bytes) and processors: those of
    the machine that it runs on. disk_free: bytes where it keeps its images; -1 where that is not to
    be seen from here.
    """

    problem: str = ""
    late: bool = False
    answers: bool = False
    own: bool = False
    host: str = ""
    version: str = ""
    system: str = ""
    storage: str = ""
    containerd: bool = False
    cgroup: str = ""
    rootless: bool = False
    buildkit: bool = False
    here: bool = True
    memory: int = 0
    processors: int = 0
    disk_free: int = -1


@dataclass(frozen=True)
class Wanted:
    """A Kubernetes version or a sidecar, by the images that it wants.

    official: those that its makers publish, by name; () for one that stands on the base alone.
    have: the engine has them all, or what stands for them. buildable: this suite can build what
    stands for them. compiled: what would have to be compiled for it → minutes on this machine.
    """

    name: str
    official: tuple[str, ...]
    have: bool
    buildable: bool
    compiled: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """All of it.

    registries: name → "" when it answered for an image that is wanted, else what was said; one that
    was not asked is not there. shared: what all built nodes share, to be compiled as in Wanted.
    """

    machine: Machine
    engine: EngineFacts
    versions: tuple[Wanted, ...] = ()
    sidecars: tuple[Wanted, ...] = ()
    base: Wanted = Wanted("base", (), False, True)
    registries: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, float] = field(default_factory=dict)
