"""What is known of containers, injectors and tools: known.toml, read once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("known.toml")
_REMEMBERED = 4096  # containers: pods of a cluster are much alike


@dataclass(frozen=True)
class Sidecar:
    """A sidecar that is known by its name or image; the fields are those of known.toml."""

    id: str
    kind: str
    names: Sequence[str]
    images: Sequence[str]
    uid: int | None = None
    gid: int | None = None
    before: Sequence[str] = ()
    probe: Mapping[str, Any] = field(default_factory=dict)
    flags: Sequence[str] = ()
    drain: float = 0.0
    args: Sequence[str] = ()
    unless: Sequence[str] = ()


@dataclass(frozen=True)
class Injector:
    """What a workload asks an injector with; the fields are those of known.toml."""

    id: str
    sidecar: str
    asks: Mapping[str, Sequence[str]]
    spaces: Mapping[str, Sequence[str]] = field(default_factory=dict)
    status: str = ""
    native: Mapping[str, str] = field(default_factory=dict)
    classic: Sequence[Mapping[str, str]] = ()
    classic_only: bool = False
    once: Mapping[str, str] = field(default_factory=dict)

    def asked(self, marks: Mapping[str, str], space: Mapping[str, str]) -> bool:
        """Whether labels and annotations of a pod (marks), or else of its namespace (space), ask
        it for a sidecar that stays."""
        if any(marks.get(name) == value for name, value in self.once.items()):
            return False
        own = [marks[name] in values for name, values in self.asks.items() if name in marks]
        if own:
            return any(own)
        return any(
            name in space and any(fnmatchcase(space[name], value) for value in values)
            for name, values in self.spaces.items()
        )


@dataclass(frozen=True)
class Tool:
    """A tool that misreads native sidecars; the fields are those of known.toml."""

    images: Sequence[str]
    before: str
    misreads: str
    source: str

    def misled(self, image: str) -> bool:
        """Whether an image is of this tool, in a version that is known to misread."""
        if not is_image(image, self.images):
            return False
        version = _version(image)
        return not self.before or bool(version and version < _numbers(self.before))


@cache
def _table() -> Mapping[str, Any]:
    with TABLE.open("rb") as source:
        return tomllib.load(source)


@cache
def sidecars() -> Mapping[str, Sidecar]:
    """Every known sidecar, by id."""
    return {row["id"]: Sidecar(**row) for row in _table()["sidecar"]}


@cache
def injectors() -> Sequence[Injector]:
    """Every known injector."""
    return [Injector(**row) for row in _table()["injector"]]


@cache
def tools() -> Sequence[Tool]:
    """Every tool that is known to misread native sidecars."""
    return [Tool(**row) for row in _table()["tool"]]


@lru_cache(_REMEMBERED)
def sidecar(name: str, image: str, words: str) -> Sidecar | None:
    """The known sidecar that a container is. words: its command and arguments, in one string."""
    repo, said = repository(image), set(words.split())
    for one in sidecars().values():
        if said & set(one.unless):
            continue
        if any(fnmatchcase(name, pattern) for pattern in one.names):
            return one
        if any(_is_of(pattern, repo) for pattern in one.images) and (
            not one.args or said & set(one.args)
        ):
            return one
    return None


@lru_cache(_REMEMBERED)
def misread_by(image: str) -> Sequence[Tool]:
    """The tools that an image is, in a version that misreads native sidecars."""
    return [one for one in tools() if one.misled(image)]


@lru_cache(_REMEMBERED)
def attends(name: str, image: str) -> bool:
    """Whether a container only attends to another one."""
    row = _table()["attendants"]
    named = any(fnmatchcase(name, pattern) for pattern in row["names"])
    return named or is_image(image, row["images"])


@cache
def injects(name: str) -> bool:
    """Whether a mutating webhook (or its configuration) of this name injects sidecars."""
    return any(fnmatchcase(name, pattern) for pattern in _table()["webhooks"]["names"])


def is_image(image: str, patterns: Iterable[str]) -> bool:
    """Whether an image's repository is one of these (globs, as in known.toml)."""
    return any(_is_of(pattern, repository(image)) for pattern in patterns)


def repository(image: str) -> str:
    """An image's repository: no digest, no tag."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def tag(image: str) -> str:
    """An image's tag, or ""."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def minor(image: str) -> tuple[int, int] | None:
    """Major and minor of an image's tag; None where it says nothing of the kind."""
    found = re.match(r"v?(\d+)\.(\d+)", tag(image))
    return (int(found[1]), int(found[2])) if found else None


def _version(image: str) -> tuple[int, ...]:
    return _numbers(tag(image).removeprefix("stable-").removeprefix("version-"))


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _is_of(pattern: str, repo: str) -> bool:
    if "/" in pattern:
        return repo == pattern or fnmatchcase(repo, f"*/{pattern}")
    return fnmatchcase(repo.rpartition("/")[2], pattern)
