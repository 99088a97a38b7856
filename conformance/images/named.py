"""The fixture images that were made for clusters of others: their names.

An image's own tag is the hash of its folder and of the base that the engine has, so a run without
an engine cannot know it; who builds them writes it down, beside the cache. In a registry they are
called after their folder's hash alone: whoever has the same suite knows them, on any machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.errors import EnvironmentProblem
from conformance.images import cache
from conformance.images.ensure import OWN_PREFIX
from conformance.machine import files, paths

_TOOLS = (".mypy_cache", ".ruff_cache")  # what checks of a checkout leave in it
HOW = "sidecar-conformance images --build, or images --push --image-prefix REGISTRY"


def write(names: Mapping[str, str]) -> None:
    """Note the names of images that were just made: fixture folder → its tag."""
    known = {**_known(), **{name: [_recipe(name), tag] for name, tag in names.items()}}
    _file().parent.mkdir(parents=True, exist_ok=True)
    files.write_text(_file(), json.dumps(known, indent=1))


def read(folders: Sequence[str], prefix: str) -> Mapping[str, str]:
    """Fixture folder → the reference by which a cluster has its image.

    prefix: a registry of the user's own; "" for images that were loaded into the nodes.
    Raises EnvironmentProblem for one to be loaded that is not made, or was made of other sources.
    """
    if prefix:
        return {name: pushed(name, prefix) for name in folders}
    known = _known()
    lacking = [name for name in folders if name not in known]
    old = [name for name in folders if name in known and known[name][0] != _recipe(name)]
    if lacking or old:
        what = "not made yet" if lacking else "of another state of this suite"
        raise EnvironmentProblem(
            f"The images {', '.join(lacking or old)} are {what}; make them with {HOW}."
        )
    return {name: known[name][1] for name in folders}


def pushed(folder: str, prefix: str) -> str:
    """The reference of a fixture folder's image in a registry."""
    return f"{prefix}/{OWN_PREFIX}{folder}:{_recipe(folder)}"


def _known() -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(_file().read_text())
    except FileNotFoundError:
        return {}
    return found


def _recipe(name: str) -> str:
    return cache.digest_of_files(paths.FIXTURES / name, skip=_TOOLS)


def _file() -> Path:
    return paths.cache_dir() / "images-elsewhere.json"
