"""Images written by hand."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from pathlib import Path

from conformance.images import oci_layout


def test_an_image_layout_is_what_its_digests_say(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" * 1000)
    layer = oci_layout.layer_of_files(
        {"/usr/local/bin/kube": program}, {"/usr/local/bin/kubectl": "kube"}, tmp_path / "layer.gz"
    )
    plain = gzip.decompress(layer.file.read_bytes())
    assert hashlib.sha256(plain).hexdigest() == layer.diff_id
    assert hashlib.sha256(layer.file.read_bytes()).hexdigest() == layer.digest
    names = ["r.example/a:1", "r.example/b:1"]
    target = tmp_path / "images.tar"
    oci_layout.write_layout([oci_layout.OciImage(name, [layer]) for name in names], target)
    with tarfile.open(target) as archive:
        content = {}
        for entry in archive:
            member = archive.extractfile(entry)
            assert member is not None
            content[entry.name] = member.read()
    index = json.loads(content["index.json"])
    named = {one["annotations"][oci_layout.NAME_ANNOTATION]: one for one in index["manifests"]}
    assert sorted(named) == names
    assert len({one["digest"] for one in named.values()}) == 2, "two names must not be one image"
    for name, data in content.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]
    manifest = json.loads(content["blobs/sha256/" + named[names[0]]["digest"].partition(":")[2]])
    assert [one["digest"] for one in manifest["layers"]] == [f"sha256:{layer.digest}"]
    assert sum(name.endswith(layer.digest) for name in content) == 1, (
        "a shared layer is stored once"
    )


def test_layers_are_reproducible(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 5000)
    first = oci_layout.layer_of_files({"/a": tmp_path / "a"}, {}, tmp_path / "1.gz")
    os.utime(tmp_path / "a", (1, 1))
    second = oci_layout.layer_of_files({"/a": tmp_path / "a"}, {}, tmp_path / "2.gz")
    assert (first.digest, first.diff_id) == (second.digest, second.diff_id)
