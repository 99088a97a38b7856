"""The images of a run: made in the order in which they are needed, while clusters are made beside.

One thread makes them; the threads that make clusters wait for those of each sidecar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.cluster.context import Context
from conformance.engine.engine import Engine
from conformance.errors import Unobtainable
from conformance.images import ensure as images
from conformance.images import rootfs
from conformance.machine import timing
from conformance.machine.runs import Run
from conformance.plan.options import Options
from conformance.sidecars.driver import BringsImages, load

# Fixture images that every run needs: the workload, and the observer's tools.
ALWAYS = ("app", "observer")


@dataclass(frozen=True)
class SidecarImages:
    """A sidecar's images, to be loaded into a cluster; or that, and why, there are none.

    reason: "" unless making them failed. unobtainable: this machine cannot have them (the context
    says why), which is nobody's failure.
    """

    archives: Sequence[Path] = ()
    reason: str = ""
    unobtainable: bool = False


class RunImages:
    """What the clusters of a run are loaded with.

    told: keeps an error in a file and returns it in the user's words (name, file, error).
    """

    def __init__(
        self,
        run: Run,
        engine: Engine,
        options: Options,
        told: Callable[[str, str, Exception], str],
    ) -> None:
        self._run = run
        self._engine = engine
        self._options = options
        self._told = told
        self._built: dict[str, images.FixtureImage] = {}
        self._made: dict[str, Future[SidecarImages]] = {
            name: Future() for name in options.selection.sidecars
        }
        self._context: Context

    @property
    def rootfs(self) -> Path:
        """The observer's tools, as plain files; after ``make_base``."""
        return self._context.rootfs

    @property
    def base(self) -> Sequence[Path]:
        """What every cluster needs; after ``make_base``."""
        return [self._built[name].archive for name in ALWAYS if name != "observer"]

    def make_base(self) -> None:
        """Make what every cell needs, and let the workers know."""
        with timing.span(self._run.results, "images"):
            for name in ALWAYS:
                self._fixture(name)
            observer = self._built["observer"].image
            self._context = Context(
                run_id=self._run.id,
                results=self._run.results,
                docker=self._engine.docker,
                docker_env=dict(self._engine.env),
                rootfs=rootfs.export(self._engine, observer.name, observer.digest),
                take_away=self._options.take_away,
                versions=self._options.selection.versions,
            )
            self._tell()

    def make(self, name: str) -> None:
        """Make the images of one sidecar, and let those know who wait for them."""
        with timing.span(self._run.results, "images", sidecar=name):
            try:
                sidecar_images = SidecarImages(self._sidecar(name))
            except Unobtainable as error:
                self._lacks(name, str(error))
                sidecar_images = SidecarImages(unobtainable=True)
            except Exception as error:
                why = self._told(name, f"{name}.error.log", error)
                sidecar_images = SidecarImages(reason=why)
                if self._options.selection.whatever:  # nobody asked for this one by its name
                    self._lacks(name, why)
                    sidecar_images = SidecarImages(unobtainable=True)
            self._tell()
        self._made[name].set_result(sidecar_images)

    def of(self, name: str, patience: float) -> SidecarImages | None:
        """The images of a sidecar; None when they are not made within ``patience`` seconds."""
        try:
            return self._made[name].result(patience)
        except TimeoutError:
            return None

    def _lacks(self, name: str, why: str) -> None:
        """This machine cannot have a sidecar: its cells are not verified here."""
        unobtainable = {**self._context.unobtainable, name: why}
        self._context = replace(self._context, unobtainable=unobtainable)

    def _sidecar(self, name: str) -> list[Path]:
        driver = load(name, self._options.selection.versions)
        found = {folder: self._fixture(folder) for folder in driver.fixture_images()}
        if isinstance(driver, BringsImages):
            found |= driver.images(self._engine, self._options.images)
        self._built |= found
        return [one.archive for folder, one in found.items() if folder not in ALWAYS]

    def _fixture(self, folder: str) -> images.FixtureImage:
        if folder not in self._built:
            made = images.ensure_fixture(self._engine, folder, self._options.images)
            self._built[folder] = made
        return self._built[folder]

    def _tell(self) -> None:
        known = {name: one.image for name, one in self._built.items()}
        self._context = replace(self._context, images=known)
        self._context.write()
