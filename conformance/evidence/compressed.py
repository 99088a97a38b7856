"""A bundle's files as they are kept: the large ones compressed (gzip), under their name and .gz.

A file is asked for by its own name, which is the one in cell.json and in verdicts; its seal, its
lines and its frames are those of the content. Tools read such files too: zless, zgrep, tshark.
"""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SUFFIX = ".gz"
LEAST_BYTES = 16 << 10  # smaller files stay as they are: steps, the capture agent's diary
# Of zlib: a bundle of 4 MB takes 60 ms, and comes to 0.9 MB; at 9 it takes 400 ms for 0.8 MB.
_LEVEL = 4
_BUFFER = 1 << 20
_TAIL = 4  # bytes at a gzip file's end that tell how long its content is (RFC 1952)


def kept(path: Path) -> Path:
    """Where a file is: compressed, or as it was written; its own path where there is neither."""
    small = path.with_name(path.name + SUFFIX)
    return small if small.is_file() else path


def exists(path: Path) -> bool:
    """Whether the file is there, either way."""
    return kept(path).is_file()


def size(path: Path) -> int:
    """How long the content is (bytes; below 4 GiB). Raises OSError."""
    place = kept(path)
    if place.suffix != SUFFIX:
        return place.stat().st_size
    with place.open("rb") as source:
        source.seek(-_TAIL, 2)
        return int.from_bytes(source.read(_TAIL), "little")


def opened(path: Path) -> io.BufferedReader:
    """The content, to be read. Raises OSError, also where what is compressed is damaged."""
    place = kept(path)
    if place.suffix != SUFFIX:
        return io.BufferedReader(place.open("rb", buffering=0), _BUFFER)
    return io.BufferedReader(gzip.open(place), _BUFFER)


def content(path: Path) -> bytes:
    """The whole content. Raises OSError."""
    with opened(path) as source:
        return source.read()


def named(path: Path) -> Path:
    """A file's own name, by where it is."""
    return path.with_name(path.name.removesuffix(SUFFIX))


def glob(folder: Path, pattern: str) -> list[Path]:
    """The files of a pattern, by their own names, each once and in order."""
    found = (*folder.glob(pattern), *map(named, folder.glob(pattern + SUFFIX)))
    return sorted(dict.fromkeys(found))


def compress(bundle: Path) -> None:
    """Compress what is large in a bundle that nobody writes to any more. What cannot be, for its
    folder is another user's or the disk is full, stays as it is: it is evidence either way."""
    for path in list(_large(bundle)):
        with suppress(OSError):
            _compress(path)


def _compress(path: Path) -> None:
    half = path.with_name(f"{path.name}{SUFFIX}.half")
    try:
        with (
            path.open("rb") as source,
            half.open("wb") as raw,
            gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as target,
        ):
            shutil.copyfileobj(source, target, _BUFFER)
        half.replace(path.with_name(path.name + SUFFIX))
    finally:
        half.unlink(missing_ok=True)
    path.unlink()


def _large(bundle: Path) -> Iterator[Path]:
    for path in bundle.rglob("*"):
        kind = path.suffix in (".pcap", ".jsonl", ".log") and path.is_file()
        if kind and path.stat().st_size >= LEAST_BYTES:
            yield path
