"""The nodes' CNI configuration: made with the cluster, and changed while it is up.

It lies on the host, in a folder that the nodes see as /etc/cni/net.d. containerd reads all of it
again when a file in there is written or renamed (internal/cri/server/cni_conf_syncer.go), so a file
is replaced as a whole, by a rename.

Which addresses pods get is the kind config's word (networking.ipFamily), which lies beside it.
"""

from __future__ import annotations

import json
from pathlib import Path

from conformance.cluster.kind import (
    Subnet,
    ip_family,
    pod_subnet,
    read_config,
    render_conflist,
)
from conformance.machine import files as atomic
from conformance.machine.paths import FIXTURES, KIND_CONFIGS

CAPTURE = FIXTURES / "observer" / "sidecar-capture"
REDIRECT = FIXTURES / "envoy" / "sidecar-redirect"
_SOURCES = {"ipv4": KIND_CONFIGS / "cni", "dual": KIND_CONFIGS / "cni-dual"}


def folder_of(kubeconfig: Path, place: int = 0) -> Path:
    """The folder of the conflists of the node at a place of a cluster, by its kubeconfig."""
    return kubeconfig.with_name(f"cni-{place}" if place else "cni")


def subnets(family: str, place: int) -> list[Subnet]:
    """The pods' subnets of the node at a place of a cluster of a family of addresses."""
    return [
        pod_subnet(pool["subnet"], place)
        for conflist in _SOURCES[family].glob("*.conflist")
        for plugin in json.loads(conflist.read_text())["plugins"]
        for pools in plugin.get("ipam", {}).get("ranges", ())
        for pool in pools
    ]


def write(folder: Path, *plugins: str, place: int = 0) -> None:
    """Write the suite's conflists for the node at a place, with these plugins before the capture,
    which stands last."""
    config = folder.with_name("kind.yaml")
    known = read_config(config) if config.exists() else {}
    nodes = len(known.get("nodes") or (None,))
    for conflist in _SOURCES[ip_family(known)].glob("*.conflist"):
        chain = (*plugins, CAPTURE.name)
        made = render_conflist(conflist.read_text(), *chain, place=place, nodes=nodes)
        atomic.write_text(folder / conflist.name, made)
