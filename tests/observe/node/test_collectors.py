"""What stays of the node's collectors when the cluster goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.observe.node.collectors import NodeCollectors
from conformance.observe.node.extract import NODE_FOLDER


def test_what_is_large_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    folder = tmp_path / NODE_FOLDER
    folder.mkdir()
    for name in ("node.1796031293.pcap", "node.1796031353.pcap", "journal.log", "runtime.log"):
        (folder / name).write_text("x")
    engine: Any = None
    made = NodeCollectors("node", engine, tmp_path)
    made.discard()
    assert [file.name for file in folder.iterdir()] == ["runtime.log"]
    made.discard()
