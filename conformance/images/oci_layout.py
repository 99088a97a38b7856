"""Container images written by hand: static binaries as layers, no engine involved.

The result is an OCI image layout in one tar file (OCI image spec 1.1), as ``ctr images import``
reads it. Layers that several images share are stored once.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

NAME_ANNOTATION = "io.containerd.image.name"  # ctr takes the full reference from this one
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
COMPRESSION = 6  # of 9; the binaries shrink to a quarter, at some 40 MB/s

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Layer:
    """A compressed layer. digest: of the file; diff_id: of the tar inside (sha256, hex)."""

    file: Path
    digest: str
    diff_id: str


@dataclass(frozen=True)
class OciImage:
    """An image to write: its full reference, its layers from the bottom, its command."""

    name: str
    layers: Sequence[Layer]
    entrypoint: Sequence[str] = ()


def layer_of_tar(source: Path, target: Path) -> Layer:
    """Compress a tar file into a layer. The same input gives the same bytes."""
    with source.open("rb") as data:
        return _compress(data, target)


def layer_of_files(files: Mapping[str, Path], links: Mapping[str, str], target: Path) -> Layer:
    """A layer of programs (path in the image → file here) and symbolic links (path → target)."""
    plain = target.with_suffix(".part")
    with tarfile.open(plain, "w") as archive:
        for inside, path in sorted(files.items()):
            entry = _entry(inside, mode=0o755)
            entry.size = path.stat().st_size
            with path.open("rb") as data:
                archive.addfile(entry, data)
        for inside, goal in sorted(links.items()):
            entry = _entry(inside, mode=0o777)
            entry.type, entry.linkname = tarfile.SYMTYPE, goal
            archive.addfile(entry)
    try:
        return layer_of_tar(plain, target)
    finally:
        plain.unlink()


def write_layout(images: Sequence[OciImage], target: Path) -> None:
    """Write the images into one archive at ``target``."""
    manifests: list[dict[str, Any]] = []
    blobs: dict[str, bytes] = {}
    layers: dict[str, Path] = {}
    for image in images:
        config = _blob(blobs, CONFIG_TYPE, _config(image))
        described = []
        for layer in image.layers:
            layers[layer.digest] = layer.file
            size = layer.file.stat().st_size
            described.append(
                {"mediaType": LAYER_TYPE, "digest": f"sha256:{layer.digest}", "size": size}
            )
        manifest = _blob(
            blobs,
            MANIFEST_TYPE,
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": config,
                "layers": described,
            },
        )
        manifests.append({**manifest, "annotations": {NAME_ANNOTATION: image.name}})
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(archive, "index.json", json.dumps(index).encode())
        for digest, data in sorted(blobs.items()):
            _add(archive, f"blobs/sha256/{digest}", data)
        for digest, path in sorted(layers.items()):
            entry = _entry(f"blobs/sha256/{digest}", mode=0o644)
            entry.size = path.stat().st_size
            with path.open("rb") as stream:
                archive.addfile(entry, stream)


def _config(image: OciImage) -> dict[str, Any]:
    machine = os.uname().machine
    config: dict[str, Any] = {
        "Env": [f"PATH={PATH}"],
        # Two names of one and the same image would be mixed up in the pods' status.
        "Labels": {"org.opencontainers.image.ref.name": image.name},
    }
    if image.entrypoint:
        config["Entrypoint"] = list(image.entrypoint)
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{x.diff_id}" for x in image.layers]},
    }


def _blob(blobs: dict[str, bytes], media_type: str, content: Mapping[str, Any]) -> dict[str, Any]:
    data = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _compress(source: IO[bytes], target: Path) -> Layer:
    plain = hashlib.sha256()
    with (
        target.open("wb") as sink,
        gzip.GzipFile("", "wb", compresslevel=COMPRESSION, fileobj=sink, mtime=0) as packed,
    ):
        while chunk := source.read(1 << 20):
            plain.update(chunk)
            packed.write(chunk)
    with target.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    return Layer(target, digest, plain.hexdigest())


def _entry(inside: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(inside.lstrip("/"))
    entry.mode = mode
    return entry


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = _entry(name, mode=0o644)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
