"""Gathers the doctor's facts: reads files, asks programs and the engine. Nothing is changed.

Bounded as a whole: what has not answered by then is told as such.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import resource
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from conformance.doctor.facts import LATE, Distribution, EngineFacts, Facts, Machine, Wanted
from conformance.doctor.kernel import features
from conformance.engine import api, client
from conformance.engine import engine as engines
from conformance.engine.client import Client, docker
from conformance.engine.own.dockerd import file_system
from conformance.errors import EnvironmentProblem, Problem
from conformance.images import ensure, go_build, node_recipe
from conformance.images.go_build import GoBuild
from conformance.images.pull import pulled_as, registry_of
from conformance.images.tools import KIND_BUILT, KUBECTL_BUILT
from conformance.machine import process
from conformance.machine.paths import cache_dir
from conformance.machine.system_path import find
from conformance.plan.selection import known_k8s
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.driver import CompilesImages, NamesImages, load

T = TypeVar("T")

ANSWER_WITHIN = 2.2  # seconds for all of it: the command has 3, and its imports take 0.5 of them
_LEAST = 0.3  # seconds that a registry is given in any case
_PROGRAMS = ("docker", "debootstrap", "iptables", "ip", "tcpdump", "make")
_VERSIONS: Mapping[str, tuple[str, ...]] = {
    "kind": ("version", "-q"),
    "kubectl": ("version", "--client", "-o", "json"),
    "go": ("version",),
}
_SNAPSHOTTER = "io.containerd.snapshotter"  # the driver's type, in docker info's DriverStatus
_NO_LIMIT = 1 << 60  # cgroup v1 writes a huge number, rounded to pages, for none


def facts() -> Facts:
    """Everything that can be known within ANSWER_WITHIN seconds."""
    until = time.monotonic() + ANSWER_WITHIN
    pool = ThreadPoolExecutor(16, thread_name_prefix="doctor")
    try:
        machine = pool.submit(_machine, pool)
        wanted = pool.submit(_wanted)
        engine = pool.submit(_engine)
        found, names = _in_time(engine, until) or (_late(), frozenset[str]())
        told = _in_time(machine, until) or _machine(None)
        base, versions, sidecars, shared = wanted.result()
        have = [_held(one, names) for one in (base, *versions, *sidecars)]
        base, versions = have[0], have[1 : len(versions) + 1]
        sidecars = have[len(versions) + 1 :]
        registries: Mapping[str, str] = {}
        if found.answers:
            registries = _registries(found.host, (base, *versions, *sidecars), pool, until)
        return Facts(told, found, tuple(versions), tuple(sidecars), base, registries, shared)
    finally:
        process.stop_all()  # what has not answered by now
        pool.shutdown(wait=True, cancel_futures=True)
        process.resume()


def _in_time(future: Future[T], until: float) -> T | None:
    with suppress(NotDone):
        return future.result(max(_LEAST, until - time.monotonic()))
    return None


# -- the machine ------------------------------------------------------------------------------


def _machine(pool: ThreadPoolExecutor | None) -> Machine:
    """pool: where programs are asked for their versions; None: they are not asked."""
    cache = cache_dir()
    there = next(place for place in (cache, *cache.parents) if place.exists())
    memory, limited = memory_limit(Path("/sys/fs/cgroup"), _memory_total())
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        kernel=platform.release(),
        distribution=distribution(_read("/etc/os-release")),
        python=platform.python_version(),
        root=os.geteuid() == 0,
        processors=len(os.sched_getaffinity(0)),
        memory=memory,
        limited=limited,
        cache=str(cache),
        disk_free=shutil.disk_usage(there).free,
        file_system=file_system(cache),
        cgroup=_cgroup(),
        watches=_number("/proc/sys/fs/inotify/max_user_watches"),
        instances=_number("/proc/sys/fs/inotify/max_user_instances"),
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        kernel_has=_kernel(),
        programs=_programs(pool),
    )


def distribution(os_release: str) -> Distribution:
    """What /etc/os-release says."""
    pairs = (line.partition("=") for line in os_release.splitlines())
    said = {key: value.strip("\"'") for key, _, value in pairs}
    return Distribution(
        said.get("ID", ""),
        tuple(said.get("ID_LIKE", "").split()),
        said.get("VERSION_ID", ""),
        said.get("PRETTY_NAME", ""),
    )


def memory_limit(cgroups: Path, total: int) -> tuple[int, str]:
    """The bytes that this process may have, and in words why they are fewer than there are.

    A container sees its own group at the top: memory.max (v2), memory.limit_in_bytes (v1).
    """
    for file in (cgroups / "memory.max", cgroups / "memory" / "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limit = int(file.read_text())
            if limit < min(total, _NO_LIMIT):
                return limit, f" of {total / 1e9:.0f} GB, by the limit of a group ({file})"
    return total, ""


def _programs(pool: ThreadPoolExecutor | None) -> dict[str, str]:
    found = {name: path for name in _PROGRAMS if (path := find(name))}
    if pool is not None:
        asked = {
            name: pool.submit(_version, name, arguments) for name, arguments in _VERSIONS.items()
        }
        found |= {name: said for name, future in asked.items() if (said := future.result())}
    for name, version in (("kind", KIND_BUILT), ("kubectl", KUBECTL_BUILT.replace("v0.", "v1."))):
        if (cache_dir() / "tools" / f"{name}-{version}" / name).exists():
            found[f"{name} built"] = version
    return found


def _version(name: str, arguments: Sequence[str]) -> str:
    path = shutil.which(name)
    if path is None:
        return ""
    try:
        said = process.run([path, *arguments], what=f"asking {name} for its version", timeout=2)
    except EnvironmentProblem:
        return ""
    if name == "kubectl":
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(said)["clientVersion"]["gitVersion"])
    return said.strip()


def _kernel() -> Mapping[str, Any]:
    net = Path("/proc/net")
    proc = {
        name: _read(net / name)
        for name in ("ip_tables_names", "ip_tables_matches", "ip_tables_targets")
        if (net / name).exists()
    }
    loaded = {line.split()[0] for line in _read("/proc/modules").splitlines()}
    folder = Path("/lib/modules") / platform.release()
    listed = _read(folder / "modules.dep") + _read(folder / "modules.builtin")
    modules = {
        Path(line.partition(":")[0]).name.partition(".ko")[0].replace("-", "_")
        for line in listed.splitlines()
    }
    return features(proc, loaded, modules, _config())


def _config() -> str:
    with suppress(OSError):
        return gzip.decompress(Path("/proc/config.gz").read_bytes()).decode(errors="replace")
    return _read(f"/boot/config-{platform.release()}")


def _cgroup() -> str:
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return "v2"
    return "v1" if (root / "memory").is_dir() or (root / "cpu").is_dir() else ""


def _memory_total() -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _number(path: str) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0


def _read(path: str | Path) -> str:
    with suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""


# -- the engine -------------------------------------------------------------------------------


def _engine() -> tuple[EngineFacts, frozenset[str]]:
    """The engine that a run would use, and the names of the images that it has."""
    try:
        found = engines.users_engine()
        own = engines.own()
        if found is None and own.pid() is None:
            engines.must_be_startable()
            return EngineFacts(own=True), frozenset()
        its = Client(found.docker, found.env) if found else client.at(own.host)
    except Problem as problem:
        return EngineFacts(problem=str(problem)), frozenset()
    try:
        return _facts_of(its, found.host if found else own.host, own=found is None)
    except EnvironmentProblem as problem:
        return _late(f": {problem}"), frozenset()


def _late(seen: str = "") -> EngineFacts:
    said = f"it did not answer within 2 s{seen}; it is very busy, or hangs (docker version)"
    return EngineFacts(problem=said, late=True)


def _facts_of(its: Client, host: str, *, own: bool) -> tuple[EngineFacts, frozenset[str]]:
    info = api.info(host, timeout=2)
    names = docker(its, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", timeout=2)
    here = info.get("KernelVersion") == platform.release()
    root = Path(str(info.get("DockerRootDir", "")))
    free = -1
    if here and str(root):
        with suppress(OSError):
            free = shutil.disk_usage(root).free
    version = str(info.get("ServerVersion", ""))
    cgroup = str(info.get("CgroupVersion") or "")
    env = engines.builder(its, version) if own else its.env
    return (
        EngineFacts(
            answers=True,
            own=own,
            host=host,
            version=version,
            system=str(info.get("OperatingSystem", "")),
            storage=str(info.get("Driver", "")),
            containerd=_SNAPSHOTTER in str(info.get("DriverStatus")),
            cgroup=f"v{cgroup}" if cgroup else "",
            rootless=any("rootless" in one for one in info.get("SecurityOptions") or ()),
            buildkit="DOCKER_BUILDKIT" not in env,
            here=here,
            memory=int(info.get("MemTotal") or 0),
            processors=int(info.get("NCPU") or 0),
            disk_free=free,
        ),
        frozenset(names.split()),
    )


# -- images -----------------------------------------------------------------------------------


def _wanted() -> tuple[Wanted, list[Wanted], list[Wanted], Mapping[str, float]]:
    """The base, the versions and the sidecars, and what all built nodes share."""
    base = Wanted("base", (ensure.BASE_IMAGE,), False, True)
    shared: dict[str, GoBuild] = {}
    versions = []
    for k8s in known_k8s():
        names = tuple(dict.fromkeys(ensure.node_image_names(k8s)))
        minors = [ensure.minor_of(name) for name in names]
        buildable = all(minor in node_recipe.minors() for minor in minors)
        own: list[GoBuild] = []
        for minor in minors if buildable else ():
            parts = node_recipe.parts(minor)
            own.append(parts.kubernetes)
            shared |= {one.name: one for one in (parts.containerd, parts.coredns, parts.pause)}
        versions.append(Wanted(k8s, names, False, buildable, _minutes(own)))
    sidecars = []
    for name in REGISTRY:
        driver = load(name)
        official = tuple(driver.official_images()) if isinstance(driver, NamesImages) else ()
        builds: Sequence[GoBuild] = ()
        compiles = isinstance(driver, CompilesImages)
        if isinstance(driver, CompilesImages):
            builds = driver.uncompiled(_NONE, "build")
        sidecars.append(Wanted(name, official, False, compiles or not official, _minutes(builds)))
    return base, versions, sidecars, _minutes(shared.values())


_NONE = engines.Engine(Path("/nonexistent"), "", False, "")
"""For a question about what would be built, which no engine has to be asked."""


def _minutes(builds: Iterable[GoBuild]) -> Mapping[str, float]:
    """Those that are not compiled yet, by name."""
    processors = len(os.sched_getaffinity(0))
    return {one.name: one.cpu_minutes / processors for one in builds if not go_build.is_built(one)}


def _held(wanted: Wanted, names: frozenset[str]) -> Wanted:
    """The same, and whether an engine with these images has it."""
    if not wanted.official or not names:
        return wanted
    return replace(wanted, have=all(_has(one, names) for one in wanted.official))


def _has(reference: str, names: frozenset[str]) -> bool:
    plain = reference.partition("@")[0].removeprefix("docker.io/").removeprefix("library/")
    if plain in names:
        return True
    if reference == ensure.BASE_IMAGE:
        return ensure.base_recipe().tag in names
    if plain.startswith("kindest/node:"):
        minor = ensure.minor_of(reference)
        return minor in node_recipe.minors() and node_recipe.parts(minor).tag in names
    return False


def _registries(
    host: str, wanted: Sequence[Wanted], pool: ThreadPoolExecutor, until: float
) -> Mapping[str, str]:
    """Each registry that something has to be pulled from, asked for one image."""
    first: dict[str, str] = {}
    for one in wanted:
        for reference in one.official if not one.have else ():
            name = pulled_as(reference)
            first.setdefault(registry_of(name), name)
    seconds = max(_LEAST, until - time.monotonic())
    asked = {
        registry: pool.submit(api.ask_registry, host, reference, timeout=seconds)
        for registry, reference in first.items()
    }
    said = {}
    for registry, future in asked.items():
        try:
            said[registry] = future.result()
        except TimeoutError:
            said[registry] = LATE
    return said
