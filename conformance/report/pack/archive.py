"""Packs a run's folder into one archive, and reads it: a tar file, compressed with xz.

What judges, reports and comparisons need is in it, and no more: no whole-node captures (bundles
are cut from them), no captures of the pods that only dial and listen (their stamps say what they
did), no pages (they are made again), no kubeconfig. Secrets are written over, and encrypted bytes
are zeros (secrets.py, frames.py); captures stand in columns (columns.py). A bundle that was changed
is sealed anew, and says in its index what each changed file was, and which were left out
(cell.json: packed, left_out).
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import re
import struct
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from conformance.errors import UsageProblem
from conformance.evidence import compressed
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.evidence.vocabulary import Role
from conformance.report.pack import columns, frames, secrets

SUFFIX = ".pack.tar.xz"
# Of xz. Its window holds the logs of all cells that ran side by side, whose lines are the same;
# whoever unpacks needs as much memory.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 64 << 20}]
# A pack of eight versions is some 4 GB unpacked; more than this is no pack of ours.
_MOST_BYTES = 32 << 30
_INDEX = "cell.json"
_KEPT = ("verdicts/", "evidence/", "clusters/", "sidecars/", "pods/", "values/")
_TOP = ("report.json", "context.json", "timing.jsonl", "junit.xml", "summary.md")
# Pods whose packets no judge looks at: a dial that was answered stands in the captures of who was
# dialed, and in the stamps.
_UNREAD = re.compile(rf"capture/({Role.DIALER}|{Role.WITNESS})/eth0\.pcap")


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
        with (
            lzma.open(half, "wb", filters=_FILTERS) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            _write(archive, run)
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
                members = archive.getmembers()
                if sum(member.size for member in members) > _MOST_BYTES:
                    raise tarfile.TarError("it would unpack to more than 32 GiB")
                archive.extractall(folder, members, filter="data")
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
            raise _damaged(path, error) from error
        try:
            for file in Path(folder).rglob(f"*.pcap{columns.SUFFIX}"):
                file.with_suffix("").write_bytes(columns.restored(file.read_bytes()))
                file.unlink()
        except (OSError, ValueError, KeyError, struct.error) as error:
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


def _write(archive: tarfile.TarFile, run: Path) -> None:
    """Add every file, those together that are alike: what one reads, compare has at once; text of
    one kind from all cells; the captures of each cell. Last come the indexes, with the seals of
    the files as they are packed."""
    found = {file.parent: Index.of(file) for file in _files(run) if file.name == _INDEX}
    indexes = {bundle: index for bundle, index in found.items() if index is not None}
    for file in sorted(_files(run), key=lambda one: _order(run, one)):
        if file.name == _INDEX and file.parent in indexes:
            continue
        index = indexes.get(_bundle(run, file))
        name = str(file.relative_to(_bundle(run, file)))
        if index is not None and _UNREAD.fullmatch(name):
            index.left_out.append(name)
            continue
        content = _content(file)
        made = columns.columns(content) if file.suffix == ".pcap" else None
        packed_as = f"{run.name}/{file.relative_to(run)}{columns.SUFFIX if made else ''}"
        _add(archive, packed_as, made or content, file)
        if index is not None:
            index.sealed(name, file, content)
    for bundle, index in sorted(indexes.items()):
        file = bundle / _INDEX
        _add(archive, f"{run.name}/{file.relative_to(run)}", index.text(), file)


def _order(run: Path, file: Path) -> tuple[Any, ...]:
    name = file.relative_to(run)
    if file.name in _TOP and len(name.parts) == 1:
        return 0, _TOP.index(file.name)
    if file.suffix == ".pcap":
        return 2, name
    kind = PurePosixPath(*name.parts[3:]) if name.parts[0] == "evidence" else name.parts[0]
    return 1, str(kind), name


def _bundle(run: Path, file: Path) -> Path:
    """The bundle that a file belongs to; the run itself for its own files."""
    parts = file.relative_to(run).parts
    return run.joinpath(*parts[:3]) if parts[0] == "evidence" and len(parts) > 3 else run


@dataclass
class Index:
    """A bundle's index as it is packed. was: of the changed files, their seals before."""

    told: dict[str, Any]
    was: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, file: Path) -> Index | None:
        """None for a file that is no index: its run was killed while it wrote."""
        try:
            told = json.loads(secrets.without(file.read_bytes()))
        except ValueError:
            return None
        return cls(told) if isinstance(told, dict) else None

    def sealed(self, name: str, file: Path, content: bytes) -> None:
        """Seal a file as it is packed. One that was not whole before keeps the seal that says so.

        name: in the bundle.
        """
        mark = self.told.get("files", {}).get(name)
        if not mark:
            return
        before, now = compressed.content(file)[: mark["bytes"]], content[: mark["bytes"]]
        if before != now and hashlib.sha256(before).hexdigest() == mark["sha256"]:
            self.was[name] = mark["sha256"]
            mark["sha256"] = hashlib.sha256(now).hexdigest()

    def text(self) -> bytes:
        more: dict[str, Any] = {"packed": self.was} if self.was else {}
        more |= {"left_out": self.left_out} if self.left_out else {}
        return json.dumps(self.told | more, indent=1).encode()


def _content(file: Path) -> bytes:
    """A file as it is packed."""
    if file.suffix == ".pcap":
        with suppress(UnreadableCapture):  # a capture that never began; its judges say so
            return frames.cleared(file)
    return secrets.without(compressed.content(file))


def _add(archive: tarfile.TarFile, name: str, content: bytes, file: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    member.mtime = int(compressed.kept(file).stat().st_mtime)
    archive.addfile(member, io.BytesIO(content))
