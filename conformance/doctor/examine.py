"""From facts to lines: the machine, its engine, its kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.doctor import obtain, packages
from conformance.doctor.facts import EngineFacts, Facts, Machine
from conformance.doctor.line import Line
from conformance.images.tools import GO_LEAST, KIND_LEAST, KUBECTL_LEAST, version_in

GB = 10**9
# What docs/machines.md asks for, and below what a cluster of one node does not come up (kubeadm's
# own check wants 1.7 GB for a control plane; a node and its cell took 2.5 GB).
MEMORY_WANTED, MEMORY_LEAST = 8 * GB, 3 * GB
PROCESSORS_WANTED = 2  # kubeadm's preflight check as well
DISK_WANTED, DISK_LEAST = 15 * GB, 4 * GB
# kind's known issues, "pod errors due to too many open files": what it advises, and the kernel's
# old default of 128 and 8192, which two nodes use up.
WATCHES_WANTED, WATCHES_LEAST = 524288, 8192
INSTANCES_WANTED, INSTANCES_LEAST = 512, 128
FILES_LEAST = 4096
MACHINES = ("x86_64", "amd64")
# From 1.35 on the kubelet refuses cgroup v1 unless it is told not to (failCgroupV1).
_NO_CGROUP_V1_SINCE = 35
_SUPPORTED_STORAGE = ("overlay2", "overlayfs", "btrfs", "zfs", "fuse-overlayfs", "overlay")


def lines(facts: Facts) -> Sequence[Line]:
    """Every line, in the order in which they are printed."""
    return [
        system(facts.machine),
        *engine(facts.engine),
        cgroup(facts.machine, facts.engine),
        *resources(facts.machine, facts.engine),
        *limits(facts.machine, facts.engine),
        kernel(facts.machine, facts.engine),
        *tools(facts.machine),
        *obtain.lines(facts),
        packages.line(facts, builds=obtain.builds(facts)),
    ]


def system(machine: Machine) -> Line:
    """Which machine this is."""
    seen = (
        f"{machine.distribution.name or machine.system}, {machine.architecture}, kernel "
        f"{machine.kernel}, Python {machine.python}, {'root' if machine.root else 'not root'}"
    )
    if machine.system != "Linux":
        return Line("machine", seen, "bad", "the suite runs on Linux; use a Linux machine or VM")
    if machine.architecture not in MACHINES:
        return Line(
            "machine", seen, "note", "only x86-64 was tried; arm64 may work with pulled images"
        )
    return Line("machine", seen)


def engine(found: EngineFacts) -> Iterator[Line]:
    """Which engine a run would use, and how it keeps images."""
    if found.late:
        yield Line("Docker engine", "not known", "note", f"{found.problem}; ask again")
        return
    if found.problem:
        yield Line("Docker engine", "none can be used", "bad", found.problem)
        return
    if not found.answers:
        yield Line(
            "Docker engine", "none answers; a run starts one of its own, as root, and stops it"
        )
        return
    whose = "the suite's own" if found.own else "the user's"
    mode = ", rootless" if found.rootless else ""
    builder = "BuildKit" if found.buildkit else "the legacy builder"
    seen = f"{found.version}, {whose}, at {found.host}{mode}, {builder}"
    if found.rootless:
        yield Line(
            "Docker engine",
            seen,
            "note",
            "rootless with cgroup v2 was not tried: what nodes write may belong to other users",
        )
    elif not found.here:
        yield Line(
            "Docker engine",
            seen,
            "note",
            f"it runs in a machine of its own ({found.system}), which was not tried: results/ and "
            "the cache must be in folders that it shares",
        )
    else:
        yield Line("Docker engine", seen)
    if found.storage in _SUPPORTED_STORAGE:
        store = ", images in containerd's store" if found.containerd else ""
        yield Line("storage", found.storage + store)
    else:
        yield Line(
            "storage",
            found.storage or "unknown",
            "note",
            "clusters may be slow or fail to start (vfs copies every layer); use overlay2 on ext4 "
            "or xfs",
        )


def cgroup(machine: Machine, found: EngineFacts) -> Line:
    """Which cgroups the nodes get."""
    version = found.cgroup or machine.cgroup
    if version == "v2":
        return Line("cgroups", "v2")
    if version == "v1":
        return Line(
            "cgroups", f"v1; nodes from 1.{_NO_CGROUP_V1_SINCE} on are told to go on with it"
        )
    return Line(
        "cgroups", "none are mounted", "bad", "mount them (systemd does), or use another machine"
    )


def resources(machine: Machine, found: EngineFacts) -> Iterator[Line]:
    """Memory, processors and disk, of the machine that the clusters run on."""
    memory = min(filter(None, (machine.memory, found.memory)), default=0)
    seen = f"{memory / GB:.0f} GB{machine.limited}"
    if memory < MEMORY_LEAST:
        yield Line("memory", seen, "bad", "a cluster takes 3 GB; 8 GB are wanted")
    elif memory < MEMORY_WANTED * 0.9:  # a machine sold as 8 GB has less
        yield Line(
            "memory", seen, "note", "8 GB are wanted; choose one version and WORKERS=2 at most"
        )
    else:
        yield Line("memory", seen)
    processors = min(filter(None, (machine.processors, found.processors)), default=0)
    if processors < PROCESSORS_WANTED:
        yield Line(
            "processors", str(processors), "note", "2 are wanted; late answers are inconclusive"
        )
    else:
        yield Line("processors", str(processors))
    yield _disk("disk", machine.cache, machine.disk_free)
    if found.answers and not found.own and found.disk_free >= 0:
        yield _disk("disk of the engine", "its images", found.disk_free)
    if not found.answers and not found.problem and machine.file_system.startswith("overlay"):
        yield Line(
            "file system",
            f"{machine.cache} is on {machine.file_system}, which carries no container layers",
            "bad",
            "set SIDECAR_CONFORMANCE_CACHE to a folder on a local disk, or start Docker yourself",
        )


def _disk(what: str, place: str, free: int) -> Line:
    seen = f"{free / GB:.0f} GB free for {place}"
    if free < DISK_LEAST:
        return Line(what, seen, "bad", "15 GB are wanted; make room")
    if free < DISK_WANTED:
        return Line(
            what, seen, "note", "15 GB are wanted for three versions; choose one, or make room"
        )
    return Line(what, seen)


def limits(machine: Machine, found: EngineFacts) -> Iterator[Line]:
    """What the kernel lets one user have: every node is a systemd with a kubelet."""
    if not found.here:
        return
    seen = f"{machine.instances} instances, {machine.watches} watches for each user"
    few = machine.instances < INSTANCES_WANTED or machine.watches < WATCHES_WANTED
    too_few = machine.instances < INSTANCES_LEAST or machine.watches < WATCHES_LEAST
    if machine.instances and few:
        yield Line(
            "inotify",
            seen,
            "bad" if too_few else "note",
            ("" if machine.root else "sudo ")
            + f"sysctl fs.inotify.max_user_instances={INSTANCES_WANTED} "
            f"fs.inotify.max_user_watches={WATCHES_WANTED}",
        )
    elif machine.instances:
        yield Line("inotify", seen)
    if machine.files < FILES_LEAST:
        yield Line("open files", str(machine.files), "note", f"ulimit -n {FILES_LEAST} or more")
    else:
        yield Line("open files", f"{machine.files} at most")


def kernel(machine: Machine, found: EngineFacts) -> Line:
    """Whether redirection, as meshes set it, can be had in the nodes."""
    if not found.here:
        return Line(
            "kernel", "the engine's is not this one", "note", "meshes need iptables' owner match"
        )
    has = machine.kernel_has
    tables = [name for name in ("legacy", "nft") if has.get(name) == "yes"]
    needed = {"owner": "owner match", "redirect": "REDIRECT"}
    lacking = [name for key, name in needed.items() if has.get(key) == "no"]
    unsure = [name for key, name in needed.items() if has.get(key, "unknown") == "unknown"]
    if not tables and all(has.get(name) == "no" for name in ("legacy", "nft")):
        lacking.insert(0, "iptables, legacy or nft")
    elif not tables:
        unsure.insert(0, "iptables")
    seen = " and ".join(tables) + " tables" if tables else ""
    if lacking:
        return Line(
            "kernel",
            f"{seen + ', ' if seen else ''}without {', '.join(lacking)}",
            "bad",
            "no mesh can redirect traffic; use a kernel that has it (a distribution's usual one)",
        )
    if unsure:
        return Line(
            "kernel",
            f"{seen + ', ' if seen else ''}unknown: {', '.join(unsure)}",
            "note",
            "neither /proc nor the modules tell; a run will show it",
        )
    return Line("kernel", f"{seen}, {', '.join(needed.values())}")


def tools(machine: Machine) -> Iterator[Line]:
    """kind and kubectl: there, or built by Go."""
    go = machine.programs.get("go", "")
    for name, least in (("kind", KIND_LEAST), ("kubectl", KUBECTL_LEAST)):
        said = machine.programs.get(name, "")
        version = version_in(said)
        wanted = ".".join(map(str, least))
        if version is not None and version >= least:
            yield Line(name, said)
        elif machine.programs.get(f"{name} built"):
            yield Line(name, f"{machine.programs[f'{name} built']}, built before")
        elif packages.recent_go(machine):
            yield Line(name, f"{said or 'not on PATH'}; a run builds it with Go, under 2 min")
        else:
            yield Line(
                name,
                said or "not on PATH",
                "bad",
                f"put {name} {wanted} or newer on PATH, or Go {GO_LEAST[0]}.{GO_LEAST[1]} or newer",
            )
    if packages.recent_go(machine):
        yield Line("Go", go)
    else:
        yield Line(
            "Go",
            go or "not on PATH",
            "note",
            f"Go {GO_LEAST[0]}.{GO_LEAST[1]} or newer builds what cannot be pulled (go.dev/dl)",
        )
