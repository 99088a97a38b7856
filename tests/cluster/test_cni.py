"""The CNI's configuration: addresses, and the capture plugin in its chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from conformance.cluster import cni, kind
from conformance.machine.paths import KIND_CONFIGS
from tests.stand_ins.cluster import handle

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_plugin_comes_last_in_the_chain() -> None:
    conflist = (KIND_CONFIGS / "cni" / "10-sidecar-conformance.conflist").read_text()
    made = json.loads(kind.render_conflist(conflist, "sidecar-capture"))
    before = json.loads(conflist)["plugins"]
    assert made["plugins"] == [*before, {"type": "sidecar-capture"}]


@pytest.mark.parametrize("path", sorted(KIND_CONFIGS.glob("v*.yaml")), ids=lambda path: path.stem)
def test_pods_have_an_address_of_each_family_of_their_cluster(path: Path, tmp_path: Path) -> None:
    config = kind.read_config(path)
    folder = cni.folder_of(handle(tmp_path).kubeconfig)
    folder.mkdir()
    folder.with_name("kind.yaml").write_text(yaml.safe_dump(config))
    cni.write(folder)
    (conflist,) = folder.iterdir()
    family = kind.ip_family(config)
    first, *_, last = json.loads(conflist.read_text())["plugins"]
    subnets = [one["subnet"] for ranges in first["ipam"]["ranges"] for one in ranges]
    assert [":" in one for one in subnets] == ([False, True] if family == "dual" else [False])
    assert last == {"type": "sidecar-capture"}


def test_families_differ_in_their_addresses_alone() -> None:
    four, dual = (
        json.loads((KIND_CONFIGS / folder / "10-sidecar-conformance.conflist").read_text())
        for folder in ("cni", "cni-dual")
    )
    for made in (four, dual):
        made["plugins"][0]["ipam"] = {}
    assert four == dual


def test_each_node_has_pod_addresses_of_its_own() -> None:
    conflist = (KIND_CONFIGS / "cni" / "10-sidecar-conformance.conflist").read_text()
    pools = [
        json.loads(kind.render_conflist(conflist, "p", place=place))["plugins"][0]["ipam"]
        for place in range(3)
    ]
    assert [pool["ranges"] for pool in pools] == [
        [[{"subnet": f"10.244.{place}.0/24"}]] for place in range(3)
    ]


def test_several_nodes_share_one_network_and_no_address() -> None:
    """Named as parts of the whole network: ptp masks what leaves its subnet, and the peer's address
    must be seen on the other node."""
    conflist = (KIND_CONFIGS / "cni-dual" / "10-sidecar-conformance.conflist").read_text()
    ranges = [
        json.loads(kind.render_conflist(conflist, "p", place=place, nodes=2))["plugins"][0]["ipam"][
            "ranges"
        ]
        for place in range(2)
    ]
    assert ranges[1] == [
        [
            {
                "subnet": "10.244.0.0/16",
                "gateway": "10.244.1.1",
                "rangeStart": "10.244.1.2",
                "rangeEnd": "10.244.1.254",
            }
        ],
        [
            {
                "subnet": "fd00:10:244::/56",
                "gateway": "fd00:10:244:1::1",
                "rangeStart": "fd00:10:244:1::2",
                "rangeEnd": "fd00:10:244:1::fe",
            }
        ],
    ]
    assert [str(one) for one in cni.subnets("dual", 1)] == ["10.244.1.0/24", "fd00:10:244:1::/64"]


def test_the_conflist_knows_how_many_nodes_there_are(tmp_path: Path) -> None:
    kubeconfig = handle(tmp_path).kubeconfig
    folder = cni.folder_of(kubeconfig, 1)
    folder.mkdir()
    config = kind.with_nodes(kind.read_config(KIND_CONFIGS / "v1.33.yaml"), 2)
    folder.with_name("kind.yaml").write_text(yaml.safe_dump(config))
    cni.write(folder, place=1)
    (conflist,) = folder.iterdir()
    assert "10.244.1.254" in conflist.read_text()
