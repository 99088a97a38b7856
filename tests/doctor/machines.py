"""Forged facts: a machine that builds everything, and a user's that pulls everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.doctor.facts import Distribution, EngineFacts, Facts, Machine, Wanted

DEBIAN = Distribution("debian", (), "12", "Debian GNU/Linux 12 (bookworm)")
UBUNTU = Distribution("ubuntu", ("debian",), "24.04", "Ubuntu 24.04.3 LTS")
FEDORA = Distribution("fedora", (), "43", "Fedora Linux 43")
UNKNOWN = Distribution("nixos", (), "26.05", "NixOS 26.05")
NO_HOST = "dial tcp: lookup registry.example on 192.0.2.53:53: no such host"

ALL_PROGRAMS = {
    name: f"/usr/bin/{name}"
    for name in ("docker", "debootstrap", "iptables", "ip", "tcpdump", "make")
} | {"go": "go version go1.26.8 linux/amd64", "kind built": "v0.33.0", "kubectl": "v1.32.4"}

MACHINE = Machine(
    system="Linux",
    architecture="x86_64",
    kernel="6.18.44",
    distribution=DEBIAN,
    python="3.11.7",
    root=True,
    processors=2,
    memory=25 * 10**9,
    limited="",
    cache="~/.cache/sidecar-conformance",
    disk_free=64 * 10**9,
    file_system="ext4",
    cgroup="v1",
    watches=524288,
    instances=512,
    files=20000,
    kernel_has=dict.fromkeys(("legacy", "nft", "owner", "redirect"), "yes"),
    programs=ALL_PROGRAMS,
)
ENGINE = EngineFacts(
    answers=True,
    host="unix:///var/run/docker.sock",
    version="28.2.2",
    system="Debian GNU/Linux 12 (bookworm)",
    storage="overlay2",
    cgroup="v2",
    buildkit=True,
    memory=25 * 10**9,
    processors=2,
    disk_free=64 * 10**9,
)
BASE = Wanted("base", ("debian:bookworm-slim",), False, True)
VERSIONS = (
    Wanted("1.30", ("kindest/node:v1.30.13",), False, False),
    Wanted("1.33", ("kindest/node:v1.33.12",), False, True, {"kubernetes-v1.33.13": 4.5}),
)
SIDECARS = (
    Wanted("envoy", (), False, True),
    Wanted("istio", ("docker.io/istio/pilot:1.30.5",), False, True, {"istio-server": 4.25}),
    Wanted("linkerd", ("cr.l5d.io/linkerd/proxy:edge-26.8.3",), False, False),
)


def here(**changed: Any) -> Facts:
    """Root, no registry, everything that building takes; no engine but the suite's own."""
    return replace(
        Facts(
            MACHINE,
            replace(ENGINE, own=True, version="20.10.24", cgroup="v1", buildkit=False),
            VERSIONS,
            SIDECARS,
            BASE,
            {"": NO_HOST, "cr.l5d.io": NO_HOST},
            {"containerd": 1.15},
        ),
        **changed,
    )


def users(**changed: Any) -> Facts:
    """Not root, an engine that was there before, registries that answer, kind on PATH, no Go."""
    programs = {
        name: path for name, path in ALL_PROGRAMS.items() if name in ("docker", "ip", "make")
    } | {"kind": "0.32.0", "kubectl": "v1.34.1"}
    machine = replace(
        MACHINE, root=False, distribution=UBUNTU, cgroup="v2", programs=programs, processors=4
    )
    return replace(
        Facts(
            machine,
            ENGINE,
            VERSIONS,
            SIDECARS,
            BASE,
            {"": "", "cr.l5d.io": ""},
            {"containerd": 1.1},
        ),
        **changed,
    )


def machine(facts: Facts, **changed: Any) -> Facts:
    """The same with another machine."""
    return replace(facts, machine=replace(facts.machine, **changed))


def engine(facts: Facts, **changed: Any) -> Facts:
    """The same with another engine."""
    return replace(facts, engine=replace(facts.engine, **changed))
