"""What a run has on the machine, and what of it is still there when it should be gone.

Everything is found by the run's own marks: its name on the engine, the ids of its containers, its
folder, its TMPDIR (which all of its processes inherit). What others have is never looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from conformance.engine import client
from conformance.engine.client import docker
from conformance.errors import EnvironmentProblem
from conformance.machine.paths import cache_dir

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass
class Known:
    """What a run was seen to have. hosts: its engines. containers: ids. volumes: names. places:
    mounts and network namespaces. bridges: links."""

    hosts: set[str] = field(default_factory=set)
    containers: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    bridges: set[str] = field(default_factory=set)

    def note(self, engine: client.Client, node: str) -> None:
        """Note all that the engine says of a node. Raises EnvironmentProblem."""
        (one,) = json.loads(docker(engine, "inspect", node, timeout=60))
        self.hosts.add(engine.env["DOCKER_HOST"])
        self.containers.add(one["Id"])
        self.volumes |= {its["Name"] for its in one["Mounts"] if its["Type"] == "volume"}
        merged = (one["GraphDriver"].get("Data") or {}).get("MergedDir")
        self.places |= {place for place in (merged, one["NetworkSettings"]["SandboxKey"]) if place}
        networks = one["NetworkSettings"]["Networks"].values()
        self.bridges |= {f"br-{network['NetworkID'][:12]}" for network in networks}


def left(known: Known, results: Path, temporary: Path, pid: int) -> list[str]:
    """A few words for each thing that is still there. pid: of the run."""
    short = results.name.partition("-")[2]
    found = [words for host in known.hosts for words in _on_engine(host, short, known)]
    found += _processes(known, temporary)
    mounted = _mounted()
    found += [f"mount {place}" for place in known.places if place in mounted]
    found += [f"network namespace {place}" for place in known.places - mounted if _is_there(place)]
    found += [f"link {one}" for one in known.bridges if Path("/sys/class/net", one).exists()]
    for ident in known.containers:
        groups = [*_CGROUPS.glob(f"*{ident}*"), *_CGROUPS.glob(f"*/*{ident}*")]
        groups += _CGROUPS.glob(f"*/*/*{ident}*")
        found += [f"control group {group}" for group in groups]
    found += [f"record {path}" for path in (cache_dir() / "runs").glob(f"{results.name}*")]
    found += [f"folder {path}" for path in cache_dir().glob(f"pytest/{pid}*")]
    found += [f"file {path}" for path in temporary.iterdir()]
    found += [f"file {path}" for path in results.glob("clusters/*/kubeconfig")]
    found += [f"folder {path}" for path in results.glob("clusters/*/.keys")]
    return found


def _on_engine(host: str, short: str, known: Known) -> Iterator[str]:
    its, name = client.at(host), f"name=sc-{short}"
    try:
        containers = docker(its, "ps", "-aq", "--filter", name, timeout=60).split()
        networks = docker(its, "network", "ls", "-q", "--filter", name, timeout=60).split()
        volumes = set(docker(its, "volume", "ls", "-q", timeout=60).split())
    except EnvironmentProblem:  # it was stopped with its last user
        return
    yield from (f"container {one}" for one in containers)
    yield from (f"network {one}" for one in networks)
    yield from (f"volume {one}" for one in known.volumes & volumes)


def _processes(known: Known, temporary: Path) -> Iterator[str]:
    """Its own by the environment that they inherited, its containers' by their control group."""
    mark = f"TMPDIR={temporary}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            groups = (entry / "cgroup").read_text()
            ours = mark in (entry / "environ").read_bytes().split(b"\0")
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            ids = [one for one in known.containers if one in groups or one in words]
            if (ours or ids) and words and int(entry.name) != os.getpid():
                yield f"process {entry.name} ({words[:120].strip()})"


def _mounted() -> set[str]:
    return {
        line.split()[4].encode().decode("unicode_escape")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    }


def _is_there(place: str) -> bool:
    return "/netns/" in place and Path(place).exists()
