"""The docker networks of a run's clusters: its own, so that two runs share none.

One with IPv6 is another than the common one: an engine that cannot make it still has the clusters
that do without.
"""

from __future__ import annotations

import hashlib
import ipaddress

from conformance.engine import client
from conformance.engine.client import docker
from conformance.machine import locks
from conformance.machine.runs import Record, Run

_MTU = "com.docker.network.driver.mtu"


def name(run: Run, family: str) -> str:
    """The network of the run's clusters of a family of addresses (ipv4, dual)."""
    return run.network if family == "ipv4" else f"{run.network}-{family}"


def ensure(run: Run, family: str) -> None:
    """Make the network unless it is there; once, however many create clusters.

    Raises EnvironmentProblem.
    """
    network, engine = name(run, family), client.at(run.host)
    with locks.exclusive(run.results / "clusters" / ".network.lock"):
        found = docker(engine, "network", "ls", "-q", "--filter", f"name=^{network}$", timeout=60)
        if found.strip():
            return
        form = f'{{{{ index .Options "{_MTU}" }}}}'
        mtu = docker(engine, "network", "inspect", "bridge", "--format", form, timeout=60).strip()
        options = ["-o", f"{_MTU}={mtu}"] if mtu.isdigit() else []
        if family != "ipv4":  # as kind would: IPv4 is the engine's to choose, IPv6 has to be named
            options += ["--ipv6", "--subnet", unique_local_subnet(network)]
        docker(engine, "network", "create", *options, network, timeout=60)


def remove_all(record: Record) -> None:
    """Remove a run's networks, whose clusters are gone. Idempotent. Raises EnvironmentProblem."""
    engine, pattern = client.at(record.host), f"name=^{record.network}(-[a-z0-9]+)?$"
    found = docker(engine, "network", "ls", "-q", "--filter", pattern, timeout=60).split()
    if found:
        docker(engine, "network", "rm", *found, timeout=60)


def unique_local_subnet(name: str) -> str:
    """A /64 of IPv6 for a network of this name (RFC 4193: fd00::/8, a global id, a subnet)."""
    own = b"\xfd" + hashlib.sha256(name.encode()).digest()[:7] + bytes(8)
    return f"{ipaddress.IPv6Address(own)}/64"
