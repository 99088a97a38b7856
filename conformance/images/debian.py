"""Root file systems from Debian packages, for machines that can pull no base image."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from conformance.engine.client import BUILT_FROM_PACKAGES, BUILT_LABEL, Engine, docker, image_id
from conformance.errors import EnvironmentProblem
from conformance.images import cache, prune
from conformance.machine import process
from conformance.machine.progress import board

RECIPE = "1"
"""Counts changes of the commands below, which invalidate what older ones made."""

# Of no use in a container, and a third of its size.
LEFT_OUT = (
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./dev/*",
)


@dataclass(frozen=True)
class DebianBase:
    """A Debian root file system: release, packages on top of debootstrap's minbase, own files.

    files: a folder that is laid over the root.
    """

    name: str
    suite: str
    packages: tuple[str, ...] = ()
    files: Path | None = None

    @property
    def digest(self) -> str:
        """The hash of the recipe, without package versions: those are the mirror's of the day."""
        files = cache.digest_of_files(self.files) if self.files else ""
        return cache.digest_of(RECIPE, os.uname().machine, self.suite, files, *self.packages)

    @property
    def tag(self) -> str:
        """The image that ``build`` makes."""
        return f"sidecar-conformance/{self.name}:{self.suite}-{self.digest}"


def read_packages(listing: Path) -> tuple[str, ...]:
    """Package names of a file: one a line, ``#`` begins a comment."""
    lines = (line.split("#")[0].strip() for line in listing.read_text().splitlines())
    return tuple(line for line in lines if line)


def build(engine: Engine, base: DebianBase) -> str:
    """The tag of the imported root file system, made now when the engine does not have it."""

    def make(folder: Path) -> None:
        require_debootstrap()
        with board.phase(f"Building {base.name} from Debian packages"):
            _bootstrap(engine, base, folder)

    prune.mark_used(base.tag)
    cache.image_once(
        engine, f"debian-{base.name}-{base.digest}", lambda: image_id(engine, base.tag), make
    )
    return base.tag


def require_debootstrap() -> None:
    """Install debootstrap where that is possible without asking; else raise EnvironmentProblem."""
    if shutil.which("debootstrap") is not None and os.geteuid() == 0:
        return
    cannot = "Base images cannot be built from Debian packages"
    if os.geteuid() != 0:
        raise EnvironmentProblem(
            f"{cannot}: debootstrap needs root; run as root, or let the engine pull images."
        )
    if shutil.which("apt-get") is None:
        raise EnvironmentProblem(f"{cannot}: there is no debootstrap; install it and run again.")
    log = cache.fresh_log("apt-debootstrap")
    with cache.locked("apt"), board.phase("Installing debootstrap"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        process.run(["apt-get", "update"], what="reading the package lists", log=log, env=quiet)
        process.run(
            ["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"],
            what="installing debootstrap",
            log=log,
            env=quiet,
        )


def pick_mirror(targets: str, suite: str) -> str | None:
    """The Debian mirror that this machine's own apt uses.

    targets: lines of ``apt-get indextargets`` as ``origin|label|codename|component|site``. A mirror
    of another Debian release serves every other release too; None when apt knows no Debian.
    """
    fallback = None
    for line in targets.splitlines():
        origin, label, codename, component, site = line.split("|", 4)
        if (origin, label, component) != ("Debian", "Debian", "main"):
            continue
        if codename == suite:
            return site
        fallback = fallback or site
    return fallback


def _mirror(suite: str) -> list[str]:
    """The mirror argument for debootstrap; empty means its own default."""
    if shutil.which("apt-get") is None:
        return []
    fields = "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(COMPONENT)|$(SITE)"
    said = process.run(
        ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
        what="asking apt for its Debian mirror",
    )
    site = pick_mirror(said, suite)
    return [site] if site else []


def _bootstrap(engine: Engine, base: DebianBase, folder: Path) -> None:
    log = cache.fresh_log(base.name)
    root, archive = folder / "root", folder / "root.tar"
    include = [f"--include={','.join(base.packages)}"] if base.packages else []
    # A mount namespace of its own: when it is killed, no /proc stays mounted below the folder.
    options = ["--variant=minbase", *include]
    process.run(
        ["unshare", "--mount", "debootstrap", *options, base.suite, root, *_mirror(base.suite)],
        what=f"building {base.name} from Debian packages",
        log=log,
    )
    if base.files is not None:
        shutil.copytree(base.files, root, dirs_exist_ok=True)
    excluded = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    process.run(
        ["tar", "--numeric-owner", "--xattrs", *excluded, "-C", root, "-cf", archive, "."],
        what=f"packing {base.name}",
        log=log,
    )
    label = f"LABEL {BUILT_LABEL}={BUILT_FROM_PACKAGES}"
    docker(
        engine,
        *("import", "--change", label, "--change", 'CMD ["/bin/bash"]', archive, base.tag),
        what=f"importing {base.name} into the engine",
        log=log,
    )
