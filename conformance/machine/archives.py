"""Unpacking archives of others: nothing leaves the folder, and nothing gets rights that it had."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def unpack(archive: tarfile.TarFile, folder: Path | str) -> None:
    """Unpack all of an archive below ``folder``, by tarfile's own filter for data (PEP 706).

    Python has it from 3.11.4 on, and Debian 12 has 3.11.2: without it only files and folders are
    taken. Raises tarfile.TarError for what would go elsewhere, or is neither.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
    else:
        archive.extractall(folder, members=_plain(archive.getmembers()))


def _plain(members: Iterable[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    """The members, owned by whoever unpacks them."""
    chosen = list(members)
    for one in chosen:
        path = PurePosixPath(one.name)
        if path.is_absolute() or ".." in path.parts or not (one.isreg() or one.isdir()):
            raise tarfile.TarError(f"{one.name} is no file or folder that stays where it belongs")
        one.uid, one.gid, one.uname, one.gname = os.getuid(), os.getgid(), "", ""
        one.mode = (one.mode & 0o755) | (0o700 if one.isdir() else 0o600)
    return chosen
