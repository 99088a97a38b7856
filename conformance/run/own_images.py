"""The suite's images for a cluster that it did not make: built, and pushed to a registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.engine import engine as engines
from conformance.engine.client import docker
from conformance.errors import EnvironmentProblem, UsageProblem
from conformance.images import ensure, named
from conformance.machine import runs
from conformance.machine.progress import board
from conformance.plan.options import Options
from conformance.run.sidecar_images import ALWAYS
from conformance.sidecars.driver import load

_PUSH_WITHIN = 1800  # seconds


@dataclass(frozen=True)
class Made:
    """An image of the suite's. reference: by which a cluster pulls it. archive: for its nodes."""

    reference: str
    archive: Path


def folders(options: Options) -> Sequence[str]:
    """The fixtures whose images the pods of a selection need, and the node agent's."""
    selection = options.selection
    wanted = dict.fromkeys(ALWAYS)
    for name in selection.sidecars:
        wanted |= dict.fromkeys(load(name, selection.versions).fixture_images())
    return list(wanted)


def make(options: Options, *, push: bool) -> Iterator[Made]:
    """Make the images, and with ``push`` bring them to the registry. Raises EnvironmentProblem."""
    if push and not options.image_prefix:
        raise UsageProblem(
            "images --push needs the registry: name it with --image-prefix "
            "registry.internal:5000/mirror."
        )
    with runs.interrupts(), engines.engine() as engine:
        for folder in folders(options):
            made = ensure.ensure_fixture(engine, folder, options.images)
            reference = made.image.name
            if options.image_prefix:
                reference = named.pushed(folder, options.image_prefix)
            if push:
                try:
                    with board.phase(f"Pushing {reference}"):
                        docker(engine, "tag", made.image.name, reference)
                        what = f"pushing {reference}"
                        docker(engine, "push", reference, what=what, timeout=_PUSH_WITHIN)
                except EnvironmentProblem as problem:
                    raise EnvironmentProblem(
                        f"{problem}; is the registry up, and may the engine write there (docker "
                        "login)?"
                    ) from problem
            named.write({folder: made.image.name})
            yield Made(reference, made.archive)
