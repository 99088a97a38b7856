"""The fixture images that were made for clusters of others: their names, kept beside the cache.

An image's tag is the hash of its folder and of the base that the engine has, so a run without an
engine cannot know it; who builds them writes it down.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.errors import EnvironmentProblem
from conformance.images import cache
from conformance.machine import files, paths

HOW = "sidecar-conformance images --build, or images --push --image-prefix REGISTRY"


def write(names: Mapping[str, str]) -> None:
    """Note the names of images that were just made: fixture folder → its tag."""
    known = {**_known(), **{name: [_recipe(name), tag] for name, tag in names.items()}}
    _file().parent.mkdir(parents=True, exist_ok=True)
    files.write_text(_file(), json.dumps(known, indent=1))


def read(folders: Sequence[str], prefix: str) -> Mapping[str, str]:
    """Fixture folder → the reference by which a cluster pulls its image.

    prefix: a registry of the user's own; "" for images that were loaded into the nodes.
    Raises EnvironmentProblem for one that is not made, or was made of other sources.
    """
    known = _known()
    lacking = [name for name in folders if name not in known]
    old = [name for name in folders if name in known and known[name][0] != _recipe(name)]
    if lacking or old:
        what = "not made yet" if lacking else "of another state of this suite"
        raise EnvironmentProblem(
            f"The images {', '.join(lacking or old)} are {what}; make them with {HOW}."
        )
    return {name: f"{prefix}/{known[name][1]}".lstrip("/") for name in folders}


def _known() -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(_file().read_text())
    except FileNotFoundError:
        return {}
    return found


def _recipe(name: str) -> str:
    return cache.digest_of(cache.digest_of_files(paths.FIXTURES / name))


def _file() -> Path:
    return paths.cache_dir() / "images-elsewhere.json"
