"""One line that cannot be read, anywhere: no traceback, and no verdict that leans on its file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from tests.evidence.contradicting import whole
from tests.forge import bundle as forge
from tests.forge.told import told

BAD_LINES = {
    "NUL": b"\0\0\0\0\n",
    "half a line": b'{"ns": 1, "even{"ns": 2, "event": "app.last"}\n',
    "no UTF-8": b'{"ns": 1, "event": "\xff\xfe"}\n',
    "half a character": b'{"ns": 1, "event": "\\ud800"}\n',
    "a long integer": b'{"ns":' + b"9" * 5000 + b',"event":"x"}\n',
    "a great integer": b'{"ns": 99999999999999999999, "event": "x"}\n',
    "deep nesting": b'{"ns":1,"event":' + b"[" * 200_000 + b"\n",
    "no event": b'{"ns": 1}\n',
    "ns is text": b'{"ns": "x", "event": "app.last"}\n',
    "ns is true": b'{"ns": true, "event": "app.last"}\n',
    "no object": b"[1, 2]\n",
    "no token": b'{"ns": 1, "event": "request.begin", "kind": "drain"}\n',
    "a token that is a number": b'{"ns": 1, "event": "served", "token": 7, "phase": "end"}\n',
}


@pytest.mark.usefixtures("unapproved")
@pytest.mark.parametrize("name", BAD_LINES)
def test_a_line_that_cannot_be_read_strikes_who_leans_on_its_file(
    tmp_path: Path, name: str
) -> None:
    world = whole()
    folder = world.write(tmp_path / "bundle")
    reseal(folder, "stamps/subject.app.jsonl", BAD_LINES[name])
    bundle = Bundle.open(folder)
    found = told("stop.app-egress", bundle)
    assert found.observed == "inconclusive"
    assert "stamps/subject.app.jsonl:" in found.reason
    found.reason.encode()  # it can be printed


@pytest.mark.usefixtures("unapproved")
@pytest.mark.parametrize("name", BAD_LINES)
@pytest.mark.parametrize("file", ["witness.witness", "subject.app", "peer.app"])
def test_a_leak_that_was_seen_stands_beside_a_line_that_cannot_be_read(
    tmp_path: Path, name: str, file: str
) -> None:
    world = whole()
    world.leak(12.0, forge.token("drain", 5))
    folder = world.write(tmp_path / "bundle")
    reseal(folder, f"stamps/{file}.jsonl", BAD_LINES[name])
    assert told("stop.no-plaintext", Bundle.open(folder)).observed == "broken"


def reseal(folder: Path, file: str, more: bytes) -> None:
    """Add bytes to a file of a bundle, and seal it again."""
    path = folder / file
    path.write_bytes(path.read_bytes() + more)
    index = json.loads((folder / "cell.json").read_text())
    data = path.read_bytes()
    index["files"][file] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "cell.json").write_text(json.dumps(index))
