"""The images of a selection: listed, saved into one file, and loaded where there is no network.

Saving makes them first, pulled or built as a run would; after loading, a run fetches nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.engine import client
from conformance.engine import engine as engines
from conformance.engine.client import docker
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem, Unobtainable, UsageProblem
from conformance.images import cache, ensure, tools
from conformance.images.ensure import Image
from conformance.images.pull import PREFIX_VARIABLE, digest_of, pulled_as
from conformance.machine import archives, paths, runs
from conformance.machine.progress import board
from conformance.plan.options import Options
from conformance.run.sidecar_images import ALWAYS
from conformance.sidecars.driver import BringsImages, KeepsTools, NamesImages, load

_IMAGES, _ABOUT, _TOOLS = "images.tar", "about.json", "cache"


@dataclass(frozen=True)
class Listed:
    """An image of a selection. digest: of the registry where the engine knows it, else its id
    there; "" where it has it not. use: what for."""

    name: str
    digest: str
    use: str


@dataclass(frozen=True)
class About:
    """What is in a file. recipe: the hash of the fixtures that it was made for. images: name → id
    in the engine. machine: x86_64."""

    recipe: str
    machine: str
    images: Mapping[str, str]


# -- list -------------------------------------------------------------------------------------


def listed(options: Options) -> list[Listed]:
    """Every image that a selection is made from, by the name under which it is pulled.

    Asks no registry, and starts no engine: digests are those of an engine that answers by now.
    """
    its = _present_engine()
    found: dict[str, str] = {}
    for k8s in options.selection.k8s:
        for name in ensure.node_image_names(k8s):
            found.setdefault(name, f"node of Kubernetes {k8s}")
    found[ensure.BASE_IMAGE] = "base of the fixtures, which are built on it"
    for sidecar in options.selection.sidecars:
        driver = load(sidecar, options.selection.versions)
        for name in driver.official_images() if isinstance(driver, NamesImages) else ():
            found.setdefault(name, f"sidecar {sidecar}")
    return [
        Listed(
            pulled_as(name, options.image_prefix),
            _digest(its, name) or ("" if options.image_prefix else digest_of(name)),
            use,
        )
        for name, use in found.items()
    ]


def _present_engine() -> client.Engine | None:
    """The engine that answers by now, the suite's own too; None when there is none."""
    try:
        return engines.users_engine() or (
            client.at(engines.own().host) if engines.own().pid() is not None else None
        )
    except EnvironmentProblem:
        return None


def _digest(its: client.Engine | None, name: str) -> str:
    found = client.inspect(its, name) if its else None
    if found is None:
        return ""
    known = [str(one).partition("@")[2] for one in found.get("RepoDigests") or ()]
    return known[0] if known else str(found["Id"])


# -- save -------------------------------------------------------------------------------------


def save(options: Options, target: Path) -> Sequence[str]:
    """Make every image of a selection, and write them and the tools into one file.

    Returns a sentence for each thing that is not in it. Raises EnvironmentProblem when one that
    every run needs cannot be had.
    """
    if target.exists():
        raise UsageProblem(f"{target} exists; name another file, or remove it.")
    if options.image_prefix:
        os.environ[PREFIX_VARIABLE] = options.image_prefix
    with runs.interrupts(), engines.engine() as engine:
        made, missing = _make(engine, options)
        programs, elsewhere = _programs(options)
        missing += [
            f"{path.name} was on PATH ({path}) and is not in it: put it on PATH there"
            for path in elsewhere
        ]
        about = About(_recipe(), _machine(), {name: one.digest for name, one in made.items()})
        with cache.locked("save"), cache.scratch("save") as work:
            archive = work / _IMAGES
            with board.phase(f"Saving {len(made)} images into {target}"):
                what = "saving the images"
                docker(engine, "save", "--output", archive, *made, what=what, timeout=3600)
                (work / _ABOUT).write_text(json.dumps(asdict(about), indent=1))
                _write(work, programs, target)
    return missing


def _make(engine: Engine, options: Options) -> tuple[dict[str, Image], list[str]]:
    """Every image by the name that the engine has it under, and what cannot be had."""
    policy, selection = options.images, options.selection
    found: dict[str, Image] = {}
    missing: list[str] = []

    def add(one: Image) -> None:
        found[one.name] = one

    tools.kind()
    tools.kubectl()
    base = ensure.ensure_base(engine, policy)
    add(base)
    for name in ALWAYS:
        add(ensure.ensure_fixture(engine, name, policy).image)
    for sidecar in selection.sidecars:
        try:
            driver = load(sidecar, selection.versions)
            for name in driver.fixture_images():
                add(ensure.ensure_fixture(engine, name, policy).image)
            if isinstance(driver, BringsImages):
                for archived in driver.images(engine, policy).values():
                    add(archived.image)
        except Unobtainable as problem:
            missing.append(f"{sidecar} is not in it: {problem}")
    for k8s in selection.k8s:
        try:
            for one in ensure.ensure_node_images(engine, k8s, policy).values():
                add(one)
        except Unobtainable as problem:
            missing.append(f"Kubernetes {k8s} is not in it: {problem}")
    return found, missing


def _programs(options: Options) -> tuple[list[Path], list[Path]]:
    """The programs that a run starts on the host: those in the cache, and those that are not."""
    found = [tools.kind(), tools.kubectl()]
    for sidecar in options.selection.sidecars:
        driver = load(sidecar, options.selection.versions)
        if isinstance(driver, KeepsTools):
            found += driver.tools()
    ours = [path for path in found if path.is_relative_to(paths.cache_dir())]
    return ours, [path for path in found if path not in ours and path.exists()]


def _write(work: Path, programs: Sequence[Path], target: Path) -> None:
    fresh = target.with_name(f".{target.name}.new")
    try:
        with tarfile.open(fresh, "w") as archive:
            archive.add(work / _ABOUT, _ABOUT)
            for folder in dict.fromkeys(path.parent for path in programs):
                place = folder.relative_to(paths.cache_dir())
                archive.add(folder, f"{_TOOLS}/{place}")
            archive.add(work / _IMAGES, _IMAGES)
        fresh.replace(target)
    except OSError as error:
        raise EnvironmentProblem(
            f"{target} could not be written: {error}; name a file on a disk with room for it."
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


# -- load -------------------------------------------------------------------------------------


def loaded(source: Path) -> About:
    """Load what ``save`` wrote: the images into the engine, the tools into the cache.

    Raises UsageProblem for a file that is none of these, EnvironmentProblem where what is in it
    would be of no use here.
    """
    about = _about(source)
    _must_fit(source, about)
    with runs.interrupts(), engines.engine() as engine:
        phase = board.phase(f"Loading {len(about.images)} images from {source}")
        with cache.locked("load"), cache.scratch("load") as work, phase:
            _unpack(source, work)
            what = "loading the images"
            docker(engine, "load", "--input", work / _IMAGES, what=what, timeout=3600)
            _place(work / _TOOLS)
        _must_be_there(engine, about)
    return about


def _about(source: Path) -> About:
    try:
        with tarfile.open(source) as archive:
            member = archive.extractfile(_ABOUT)
            assert member is not None
            return About(**json.loads(member.read()))
    except OSError as error:
        raise UsageProblem(f"{source} cannot be read: {error}.") from error
    except (tarfile.TarError, KeyError, AssertionError, TypeError, ValueError) as error:
        raise UsageProblem(f"{source} was not written by images --save.") from error


def _unpack(source: Path, work: Path) -> None:
    try:
        with tarfile.open(source) as archive:
            archives.unpack(archive, work)
    except (OSError, tarfile.TarError) as error:
        raise EnvironmentProblem(
            f"{source} could not be unpacked into {work}: {error}; is there room, and is it whole?"
        ) from error


def _must_fit(source: Path, about: About) -> None:
    if about.machine != _machine():
        raise EnvironmentProblem(
            f"{source} was saved for {about.machine}, and this is {_machine()}; save it there."
        )
    if about.recipe != _recipe():
        raise EnvironmentProblem(
            f"{source} was saved by another state of this suite: its fixtures are others; save it "
            "with the same one."
        )


def _must_be_there(engine: Engine, about: About) -> None:
    """An engine that keeps images otherwise (containerd's store) knows them by other ids, and a
    run would build the fixtures anew."""
    other = [name for name, id_ in about.images.items() if client.image_id(engine, name) != id_]
    if other:
        raise EnvironmentProblem(
            f"The engine has {len(other)} of the loaded images under other ids ({other[0]}): it "
            "keeps images in another way than the one that saved them (containerd's store); save "
            "with an engine of the same kind."
        )


def _place(folder: Path) -> None:
    """Put the tools where they were in the cache; what is there stays."""
    for file in _files(folder):
        target = paths.cache_dir() / file.relative_to(folder)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _recipe() -> str:
    return cache.digest_of(cache.digest_of_files(paths.FIXTURES))


def _machine() -> str:
    return os.uname().machine
