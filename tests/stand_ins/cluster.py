"""Programs that note their arguments, and a cluster that nobody made."""

from __future__ import annotations

from pathlib import Path

from conformance.cluster.state import ClusterHandle


def does(folder: Path, name: str, script: str) -> None:
    """What a fake program does instead of saying its version."""
    (folder / f"{name}.does").write_text(f"#!/bin/sh\n{script}\n")
    (folder / f"{name}.does").chmod(0o755)


def called(folder: Path) -> list[str]:
    return (folder / "called").read_text().splitlines()


def handle(results: Path) -> ClusterHandle:
    folder = results / "clusters" / "1.33"
    folder.mkdir(parents=True, exist_ok=True)
    return ClusterHandle(
        "1.33", "sc-x-1-33", folder / "kubeconfig", "sc-x-1-33-control-plane", results, "unix:///d"
    )
