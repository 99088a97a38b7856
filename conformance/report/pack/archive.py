"""Packs a run's folder into one archive, and reads it: a tar file, compressed with xz.

What judges, reports and comparisons need is in it, and no more: no whole-node captures (bundles
are cut from them), no pages (they are made again), no kubeconfig. Secrets are written over, and
encrypted bytes are zeros (secrets.py, frames.py); a bundle that was changed so is sealed anew, and
says in its index what each changed file was (cell.json: packed).
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal

from conformance.errors import UsageProblem
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.report.pack import frames, secrets

SUFFIX = ".pack.tar.xz"
# Of xz: its window of 8 MiB holds a cell's capture beside the node's view of the same packets.
_PRESET: Literal[6] = 6
# A pack of eight versions is some 4 GB unpacked; more than this is no pack of ours.
_MOST_BYTES = 32 << 30
_INDEX = "cell.json"
_KEPT = ("verdicts/", "evidence/", "clusters/", "sidecars/", "pods/", "values/")
_TOP = ("report.json", "context.json", "timing.jsonl", "junit.xml", "summary.md")


def pack(run: Path, target: Path | None = None) -> Path:
    """Pack a run's folder; the archive is <run's name>.pack.tar.xz beside it, or ``target``.

    Raises UsageProblem when the folder is no run.
    """
    run = run.resolve()
    if not (run / "verdicts").is_dir():
        raise UsageProblem(
            f"{run} is no run's folder (it has no verdicts/); name one, such as results/latest."
        )
    target = target or run.with_name(run.name + SUFFIX)
    half = target.with_name(target.name + ".half")
    try:
        with tarfile.open(half, "w:xz", preset=_PRESET) as archive:
            for folder, files in groupby(sorted(_files(run)), key=lambda one: _bundle(run, one)):
                _add_all(archive, run, folder, list(files))
        half.replace(target)
    finally:
        half.unlink(missing_ok=True)
    return target


def is_pack(path: Path) -> bool:
    """Whether a path is an archive of a run, by its name."""
    return path.name.endswith(SUFFIX) and path.is_file()


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The run's folder of a pack, for as long as the context lasts; any other path as it is.

    Raises UsageProblem when the archive is none of ours, or damaged.
    """
    if not is_pack(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="sidecar-conformance-") as folder:
        try:
            with tarfile.open(path) as archive:
                members = archive.getmembers()
                if sum(member.size for member in members) > _MOST_BYTES:
                    raise tarfile.TarError("it would unpack to more than 32 GiB")
                archive.extractall(folder, members, filter="data")
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
            raise _damaged(path, error) from error
        runs = [one for one in Path(folder).iterdir() if (one / "verdicts").is_dir()]
        if len(runs) != 1:
            raise _damaged(path, ValueError("it holds no run"))
        yield runs[0]


def read(path: Path, name: str) -> bytes:
    """One file of a pack, by its name in the run's folder. Raises UsageProblem."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if str(PurePosixPath(*PurePosixPath(member.name).parts[1:])) == name:
                    found = archive.extractfile(member)
                    if found is not None:
                        return found.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise _damaged(path, error) from error
    raise UsageProblem(f"{path} has no {name}; pack the run once more, when it has ended.")


def _damaged(path: Path, error: Exception) -> UsageProblem:
    why = " ".join(str(error).split())[:80]
    return UsageProblem(
        f"{path} is no pack of a run, or is damaged ({why}); pack the run once more with "
        "sidecar-conformance judge --pack RUN."
    )


def _files(run: Path) -> Iterator[Path]:
    for file in run.rglob("*"):
        name = str(file.relative_to(run))
        wanted = name in _TOP or name.startswith(_KEPT)
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        if file.is_file() and wanted and not hidden and not secrets.is_secret(name):
            yield file


def _content(file: Path) -> bytes:
    """A file as it is packed."""
    if file.suffix == ".pcap":
        cleared = io.BytesIO()
        try:
            frames.write(file, cleared)
            return cleared.getvalue()
        except UnreadableCapture:
            pass  # a capture that never began; its judges say so
    return secrets.without(file.read_bytes())


def _bundle(run: Path, file: Path) -> Path | None:
    """The bundle that a file belongs to; None for the run's own files."""
    parts = file.relative_to(run).parts
    return run.joinpath(*parts[:3]) if parts[0] == "evidence" and len(parts) > 3 else None


def _add_all(
    archive: tarfile.TarFile, run: Path, bundle: Path | None, files: Sequence[Path]
) -> None:
    """Add files of one bundle, its index last, with the seals of the files as they are packed.

    A file that was not whole before it was packed keeps the seal that says so.
    """
    index = bundle / _INDEX if bundle else None
    told = json.loads(secrets.without(index.read_bytes())) if index and index.is_file() else {}
    was: dict[str, str] = {}
    for file in files:
        if file == index:
            continue
        content = _content(file)
        _add(archive, f"{run.name}/{file.relative_to(run)}", content, file)
        mark = told.get("files", {}).get(str(file.relative_to(bundle))) if bundle else None
        if mark:
            before, now = file.read_bytes()[: mark["bytes"]], content[: mark["bytes"]]
            if before != now and hashlib.sha256(before).hexdigest() == mark["sha256"]:
                was[str(file.relative_to(bundle or run))] = mark["sha256"]
                mark["sha256"] = hashlib.sha256(now).hexdigest()
    if index and told:
        text = json.dumps(told | ({"packed": was} if was else {}), indent=1)
        _add(archive, f"{run.name}/{index.relative_to(run)}", text.encode(), index)


def _add(archive: tarfile.TarFile, name: str, content: bytes, file: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, int(file.stat().st_mtime)
    archive.addfile(member, io.BytesIO(content))
