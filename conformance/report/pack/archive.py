"""Packs a run's folder into one archive, and reads it: a tar file, compressed with xz.

What judges, reports and comparisons need is in it, and no more: no whole-node captures (bundles
are cut from them), no captures that no verdict of the run asks for, no pages (they are made again),
no kubeconfig. Secrets are written over, encrypted bytes are zeros, and what is drawn by lot and
read by nobody goes (secrets.py, frames.py, unread.py); captures, and the clock readings of text
files, stand in columns (columns.py, numbers.py). A bundle that was changed is sealed anew
(seals.py).
"""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from conformance.errors import UsageProblem
from conformance.evidence import compressed
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.machine import archives
from conformance.report.pack import columns, frames, numbers, secrets, unread
from conformance.report.pack.seals import Seals

SUFFIX = ".pack.tar.xz"
# Of xz. Its window holds the logs of all cells that ran side by side, whose lines are the same;
# whoever unpacks needs as much memory.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 64 << 20}]
# A pack of eight versions is some 4 GB unpacked; more than this is no pack of ours.
_MOST_BYTES = 32 << 30
_INDEX = "cell.json"
_CAPTURE = ".pcap"
Asked = Mapping[Path, Collection[str]]
_KEPT = ("verdicts/", "evidence/", "clusters/", "sidecars/", "pods/", "values/")
_TOP = ("report.json", "context.json", "timing.jsonl", "junit.xml", "summary.md")


def pack(run: Path, target: Path | None = None, asked: Asked | None = None) -> Path:
    """Pack a run's folder; the archive is <run's name>.pack.tar.xz beside it, or ``target``.

    asked: bundle → the files that some verdict on it asks for. A judge that asks for no other
    capture cannot know whether it is there, so those are left out, but for the one of the pod under
    test, which the pages show. Of a bundle that is not named, everything is kept.
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
        with (
            lzma.open(half, "wb", filters=_FILTERS) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            _write(archive, run, asked or {})
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
            with tarfile.open(path, "r:xz") as archive:
                if sum(member.size for member in archive.getmembers()) > _MOST_BYTES:
                    raise tarfile.TarError("it would unpack to more than 32 GiB")
                archives.unpack(archive, folder)
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
            raise _damaged(path, error) from error
        try:
            for file in Path(folder).rglob(f"*{columns.SUFFIX}"):
                back = file.with_suffix("")
                kind = columns if back.suffix == _CAPTURE else numbers
                back.write_bytes(kind.restored(file.read_bytes()))
                file.unlink()
        except (OSError, ValueError, LookupError, struct.error) as error:
            raise _damaged(path, error) from error
        runs = [one for one in Path(folder).iterdir() if (one / "verdicts").is_dir()]
        if len(runs) != 1:
            raise _damaged(path, ValueError("it holds no run"))
        yield runs[0]


def read(path: Path, name: str) -> bytes:
    """One file of a pack, by its name in the run's folder. Raises UsageProblem."""
    try:
        with tarfile.open(path, "r:xz") as archive:
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
    for path in run.rglob("*"):
        file = compressed.named(path)
        name = str(file.relative_to(run))
        wanted = name in _TOP or name.startswith(_KEPT)
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        if path.is_file() and wanted and not hidden and not secrets.is_secret(name):
            yield file


def _write(archive: tarfile.TarFile, run: Path, asked: Asked) -> None:
    """Add every file, those together that are alike: what one reads, compare has at once; text of
    one kind from all cells; the captures of each cell. Last come the indexes, with the seals of
    the files as they are packed."""
    found = {file.parent: Seals.of(file) for file in _files(run) if file.name == _INDEX}
    seals = {bundle: its for bundle, its in found.items() if its is not None}
    for file in sorted(_files(run), key=lambda one: _order(run, one)):
        if file.name == _INDEX and file.parent in seals:
            continue
        bundle = _bundle(run, file)
        its, name = seals.get(bundle), str(file.relative_to(bundle))
        if its is not None and its.leaves_out(name, asked.get(bundle)):
            continue
        content = _content(file, name, its)
        made = (columns if file.suffix == _CAPTURE else numbers).columns(content)
        packed_as = f"{run.name}/{file.relative_to(run)}{columns.SUFFIX if made else ''}"
        _add(archive, packed_as, made or content, file)
    for bundle, its in sorted(seals.items()):
        file = bundle / _INDEX
        _add(archive, f"{run.name}/{file.relative_to(run)}", its.text(), file)


def _order(run: Path, file: Path) -> tuple[Any, ...]:
    name = file.relative_to(run)
    if file.name in _TOP and len(name.parts) == 1:
        return 0, _TOP.index(file.name)
    if file.suffix == _CAPTURE:
        return 2, name
    kind = PurePosixPath(*name.parts[3:]) if name.parts[0] == "evidence" else name.parts[0]
    return 1, str(kind), name


def _bundle(run: Path, file: Path) -> Path:
    """The bundle that a file belongs to; the run itself for its own files."""
    parts = file.relative_to(run).parts
    return run.joinpath(*parts[:3]) if parts[0] == "evidence" and len(parts) > 3 else run


def _content(file: Path, name: str, seals: Seals | None) -> bytes:
    """A file as it is packed. name, seals: in its bundle, if it is of one."""
    before = compressed.content(file)
    end = seals.end(name) if seals is not None else 0  # what comes after it is not sealed
    now = secrets.without(before)
    if file.suffix == _CAPTURE:
        with suppress(UnreadableCapture):  # a capture that never began; its judges say so
            now = frames.cleared(file)
    parts = [now[:end], now[end:]]
    if file.suffix != _CAPTURE and (seals is None or seals.holds(name, before)):
        parts = [unread.without(name, part) for part in parts]
    if seals is not None:
        seals.seal(name, before, parts[0])
    return b"".join(parts)


def _add(archive: tarfile.TarFile, name: str, content: bytes, file: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    member.mtime = int(compressed.kept(file).stat().st_mtime)
    archive.addfile(member, io.BytesIO(content))
