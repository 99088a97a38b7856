"""The nodes' CNI configuration: made with the cluster, and changed while it is up.

It lies on the host, in a folder that the nodes see as /etc/cni/net.d. containerd reads all of it
again when a file in there is written or renamed (internal/cri/server/cni_conf_syncer.go), so a file
is replaced as a whole, by a rename.

Which addresses pods get is the kind config's word (networking.ipFamily), which lies beside it.
"""

from __future__ import annotations

from pathlib import Path

from conformance.cluster.kind import ip_family, read_config, render_conflist
from conformance.machine import files as atomic
from conformance.machine.paths import FIXTURES, KIND_CONFIGS

CAPTURE = FIXTURES / "observer" / "sidecar-capture"
REDIRECT = FIXTURES / "envoy" / "sidecar-redirect"
_SOURCES = {"ipv4": KIND_CONFIGS / "cni", "dual": KIND_CONFIGS / "cni-dual"}


def folder_of(kubeconfig: Path, place: int = 0) -> Path:
    """The folder of the conflists of the node at a place of a cluster, by its kubeconfig."""
    return kubeconfig.with_name(f"cni-{place}" if place else "cni")


def write(folder: Path, *plugins: str, place: int = 0) -> None:
    """Write the suite's conflists for the node at a place, with these plugins before the capture,
    which stands last."""
    config = folder.with_name("kind.yaml")
    family = ip_family(read_config(config) if config.exists() else {})
    for conflist in _SOURCES[family].glob("*.conflist"):
        made = render_conflist(conflist.read_text(), *plugins, CAPTURE.name, place=place)
        atomic.write_text(folder / conflist.name, made)
