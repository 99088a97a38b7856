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
