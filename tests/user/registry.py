"""A registry that only gives: images of one ``docker save`` archive, under other names.

What a pull through a mirror asks for (distribution's HTTP API V2): manifests and blobs. The label
that says that an image was built here is taken off: who pulls it cannot know.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conformance.engine.client import BUILT_LABEL

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"  # whoever pulls looks at the bytes


@dataclass
class Store:
    """blobs: digest → bytes, or the file that holds them. manifests: name and tag → digest.

    asked: the paths that were asked for.
    """

    blobs: dict[str, bytes | Path] = field(default_factory=dict)
    manifests: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


def read(archive: Path, folder: Path, names: Mapping[str, str]) -> Store:
    """Unpack a ``docker save`` archive. names: name in it → "kindest/node:v1.33.12" to serve."""
    with tarfile.open(archive) as saved:
        saved.extraction_filter = lambda member, _: member  # it is ours
        saved.extractall(folder)
    store = Store()
    for entry in json.loads((folder / "manifest.json").read_text()):
        for tag in entry["RepoTags"] or ():
            if tag in names:
                _serve(store, folder, entry, names[tag])
    return store


def _serve(store: Store, folder: Path, entry: Mapping[str, Any], name: str) -> None:
    config = json.loads((folder / entry["Config"]).read_text())
    for part in ("config", "container_config"):
        ((config.get(part) or {}).get("Labels") or {}).pop(BUILT_LABEL, None)
    layers = []
    for layer in entry["Layers"]:
        path = (folder / layer).resolve()
        with path.open("rb") as source:
            digest = f"sha256:{hashlib.file_digest(source, 'sha256').hexdigest()}"
        store.blobs[digest] = path
        layers.append({"mediaType": _LAYER, "size": path.stat().st_size, "digest": digest})
    raw = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "size": len(raw), "digest": _keep(store, raw)},
        "layers": layers,
    }
    repository, _, tag = name.partition(":")
    digest = _keep(store, json.dumps(manifest).encode())
    store.manifests[repository, tag] = digest
    store.manifests[repository, digest] = digest


def _keep(store: Store, raw: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    store.blobs[digest] = raw
    return digest


@contextmanager
def serving(store: Store) -> Iterator[str]:
    """The address at which it answers, on the loopback, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            store.asked.append(self.path)
            kind, blob = self._found()
            body = blob if blob is not None else b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
            size = body.stat().st_size if isinstance(body, Path) else len(body)
            self.send_response(200 if blob is not None else 404)
            # Without it Docker takes an answer for that of something else (distribution's spec).
            self.send_header("Docker-Distribution-API-Version", "registry/2.0")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
            if kind == _MANIFEST and isinstance(blob, bytes):
                digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if self.command == "HEAD":
                return
            if isinstance(body, bytes):
                self.wfile.write(body)
                return
            with body.open("rb") as source:
                while part := source.read(1 << 20):
                    self.wfile.write(part)

        def _found(self) -> tuple[str, bytes | Path | None]:
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts == ["v2"]:
                return "application/json", b"{}"
            kind, what = parts[-2:]
            if kind == "blobs":
                return "application/octet-stream", store.blobs.get(what)
            digest = store.manifests.get(("/".join(parts[1:-2]), what), "")
            found = store.blobs.get(digest)
            return (_MANIFEST, found) if found is not None else ("application/json", None)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
