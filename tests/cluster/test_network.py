"""The networks of a run's clusters."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from conformance.cluster import network
from conformance.machine import runs
from tests.stand_ins.cluster import called

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_network_with_ipv6_is_another(tmp_path: Path, docker: Path) -> None:
    with runs.start(tmp_path / "results", host="unix:///d") as run:
        for family in ("ipv4", "dual"):
            (run.results / "clusters").mkdir(exist_ok=True)
            network.ensure(run, family)
        made = [line for line in called(docker) if "network create" in line]
        subnet = network.unique_local_subnet(f"{run.network}-dual")
    assert made == [
        f"docker network create {run.network}",
        f"docker network create --ipv6 --subnet {subnet} {run.network}-dual",
    ]
    addresses = ipaddress.IPv6Network(subnet)  # strict: no bit of a host is set
    assert addresses.prefixlen == 64 and addresses.subnet_of(ipaddress.IPv6Network("fd00::/8"))
    assert subnet != network.unique_local_subnet("another")
