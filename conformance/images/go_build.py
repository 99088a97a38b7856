"""Go programs for the images, compiled from pinned modules and kept by the hash of their recipe."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from conformance.errors import EnvironmentProblem
from conformance.images import cache
from conformance.machine import paths, process
from conformance.machine.progress import Phase, board

GO_NEEDED = (1, 26)
"""Kubernetes 1.36 and containerd 2.4 name this Go version in their go.mod."""

TOOLCHAIN = {"GOTOOLCHAIN": "auto"}
"""Go takes the newer toolchain that a go.mod asks for (1.27 for Kubernetes 1.38) from its proxy."""

PLENTY_OF_MEMORY = 12 * 2**30
"""Bytes. Without garbage collection a compile of Kubernetes peaks at some 8 GiB on 2 cores."""

LAST_IN_LINE = ("nice", "-n", "10")
"""Cells of versions that are ready are observed meanwhile, and must not be late for a compiler."""

RECIPE = "2"
"""Counts changes of the build commands below, which invalidate what older ones made."""


@dataclass(frozen=True)
class Change:
    """A change of one file of a dependency, made in a copy of it that takes its place.

    before: the text that is replaced, which the file must hold exactly once.
    """

    dependency: str
    file: str
    before: str
    after: str


@dataclass(frozen=True)
class GoBuild:
    """A pinned module and what to compile in it.

    module: folder with go.mod and go.sum, and main.go unless ``main`` names another one.
    targets: package to compile → name of the binary.
    stamps: variables set by the linker, by their full names.
    packages: about how many packages are compiled (for the progress line only).
    cpu_minutes: what compiling costs, with sources already downloaded (for announcements only);
    measured on two idle cores with Go 1.26 and GOGC=off.
    tags: build tags, comma-separated. change: what does not do here as it was published.
    """

    name: str
    module: Path
    targets: Mapping[str, str]
    main: Path | None = None
    stamps: Mapping[str, str] | None = None
    packages: int = 0
    cpu_minutes: float = 0
    tags: str = ""
    change: Change | None = None

    @property
    def sources(self) -> list[Path]:
        """The files that the build copies into its folder."""
        files = [self.module / "go.mod", self.module / "go.sum", self.module / "main.go"]
        if self.main is not None:
            files.append(self.main)
        return [path for path in files if path.is_file()]

    @property
    def ldflags(self) -> str:
        # checklinkname: old minors reach into the runtime in a way that Go 1.23 forbade.
        flags = ["-s", "-w", "-checklinkname=0"]
        for variable, value in (self.stamps or {}).items():
            stamp = f"{variable}={value}"
            flags += ["-X", f"'{stamp}'" if " " in stamp else stamp]
        return " ".join(flags)

    @property
    def digest(self) -> str:
        """The hash of the recipe: sources, targets, flags, machine type."""
        parts: list[str | bytes] = [RECIPE, os.uname().machine, self.ldflags]
        for path in self.sources:
            parts += [path.name, path.read_bytes()]
        for package, binary in self.targets.items():
            parts += [package, binary]
        if self.tags:
            parts += ["tags", self.tags]
        if self.change is not None:
            parts += ["change", *astuple(self.change)]
        return cache.digest_of(*parts)


def required_version(module: Path, dependency: str) -> str:
    """The version of a dependency that the go.mod in ``module`` pins, such as "v1.33.13"."""
    text = (module / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s*{re.escape(dependency)}\s+(v\S+)", text, re.MULTILINE)
    if found is None:
        raise EnvironmentProblem(f"{module}/go.mod does not require {dependency}; pin it there.")
    return found[1]


def parse_go_version(said: str) -> tuple[int, int] | None:
    """(1, 26) of ``go version go1.26.8 linux/amd64``; None when it says something else."""
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def require_go() -> None:
    """Raise EnvironmentProblem unless a Go new enough to build the images is on PATH."""
    needed = ".".join(map(str, GO_NEEDED))
    advice = f"install Go {needed} or newer and put it on PATH, or let the engine pull images"
    if shutil.which("go") is None:
        raise EnvironmentProblem(f"Images cannot be built: there is no go on PATH; {advice}.")
    said = process.run(["go", "version"], what="asking Go for its version").strip()
    version = parse_go_version(said)
    if version is None or version < GO_NEEDED:
        raise EnvironmentProblem(f"Images cannot be built: found {said!r}; {advice}.")


def build(recipe: GoBuild) -> Path:
    """The folder with the finished binaries; compiled now when the cache does not have them."""

    def compile_into(result: Path) -> None:
        require_go()
        # Two compiles at once share the same cores and only take turns; one lock for all of them.
        with cache.locked("go"), board.phase(f"Compiling {recipe.name}") as phase:
            _compile(recipe, result, phase)

    return cache.component(f"{recipe.name}-{recipe.digest}", compile_into)


def is_built(recipe: GoBuild) -> bool:
    """Whether ``build`` would find the binaries in the cache."""
    return (paths.cache_dir() / "components" / f"{recipe.name}-{recipe.digest}").is_dir()


def _compile(recipe: GoBuild, result: Path, phase: Phase) -> None:
    work = result.parent / "module"
    work.mkdir()
    for path in recipe.sources:
        shutil.copy(path, work / path.name)
    if recipe.change is not None:
        _make_change(recipe.module, recipe.change, work)
    log = cache.fresh_log(recipe.name)
    common = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-v", "-ldflags", recipe.ldflags]
    common += ["-gcflags=all=-dwarf=false"]  # stripped anyway: 8 % of a compiler's work
    if recipe.tags:
        common += ["-tags", recipe.tags]
    with _counting(phase, log, recipe.packages):
        for package, binary in recipe.targets.items():
            process.run(
                [*LAST_IN_LINE, "go", "build", *common, "-o", result / binary, package],
                what=f"compiling {recipe.name}",
                log=log,
                env=_environment(),
                cwd=work,
            )


def sources_of(module: Path, dependency: str) -> Path:
    """Where Go keeps the files of a dependency that the go.mod in ``module`` pins, downloaded now
    if need be. Raises EnvironmentProblem."""
    said = process.run(
        ["go", "mod", "download", "-json", f"{dependency}@{required_version(module, dependency)}"],
        what=f"downloading {dependency}",
        env={"GOFLAGS": "-mod=mod", "GOWORK": "off", **TOOLCHAIN},
        cwd=module,
        timeout=1800,
    )
    return Path(json.loads(said)["Dir"])


def copy_sources(source: Path, target: Path, *without: str) -> None:
    """Copy a folder of the module cache, which is read-only, into one that can be removed again."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*without))
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def _make_change(module: Path, change: Change, work: Path) -> None:
    """Put a changed copy of the dependency into ``work``, and have the go.mod there lead to it.

    Without the vendored code of its own, which Go takes no notice of in a dependency.
    """
    copy = work / "changed"
    copy_sources(sources_of(module, change.dependency), copy, "vendor")
    file = copy / change.file
    text = file.read_text()
    if text.count(change.before) != 1:
        raise EnvironmentProblem(
            f"{change.dependency} cannot be changed: {change.file} holds {change.before!r} "
            f"{text.count(change.before)} times, not once; adapt the change to this version."
        )
    file.write_text(text.replace(change.before, change.after))
    with (work / "go.mod").open("a") as more:
        more.write(f"\nreplace {change.dependency} => ./changed\n")


def _environment() -> dict[str, str]:
    env = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "",
        "GOWORK": "off",
        **TOOLCHAIN,
        "GOCACHE": str(build_cache()),
    }
    if available_memory() >= PLENTY_OF_MEMORY:
        env["GOGC"] = "off"  # a tenth faster
    return env


def build_cache() -> Path:
    """Go's build cache of the suite's own; some 3 GB for each minor, so it is dropped."""
    return paths.cache_dir() / "go-build"


def drop_build_cache() -> None:
    """Give the compiler's intermediate results back; finished binaries stay."""
    with cache.locked_now("go") as free:
        if free:  # else somebody compiles, who will do this in turn
            shutil.rmtree(build_cache(), ignore_errors=True)


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that can be had without swapping; 0 when unknown."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


@contextmanager
def _counting(phase: Phase, log: Path, expected: int) -> Iterator[None]:
    """Note on the phase how many packages the log (``go build -v``) names so far."""
    done = threading.Event()

    def count() -> None:
        while not done.wait(2.0):
            lines = log.read_bytes().count(b"\n")
            phase.note(f"{lines} of about {expected} packages" if expected else f"{lines} packages")

    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    try:
        yield
    finally:
        done.set()
        counter.join()
