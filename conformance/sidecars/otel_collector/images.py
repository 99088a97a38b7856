"""The OpenTelemetry Collector's image: pulled by its official name, or built under that name.

What is built is the program of fixtures/otel-collector/module, which has just the components of a
log shipper, from pinned modules.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from conformance.engine.client import Engine
from conformance.images import cache as image_cache
from conformance.images import ensure as images
from conformance.images import go_build as image_go
from conformance.images import official as image_official
from conformance.images.ensure import FixtureImage, Image
from conformance.images.go_build import GoBuild
from conformance.machine.paths import FIXTURES

RECIPE = FIXTURES / "otel-collector"
BINARY = "otelcol-contrib"
NOTE = (
    "{name} built from {module}@{version} and the other components of a log shipper, in place of "
    "the official image ({why})"
)
# Its release counts as that of the image; the release of the core may be older.
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/filelogreceiver"


def ensure(engine: Engine, reference: str, policy: str) -> Mapping[str, FixtureImage]:
    """The image, ready to be loaded. policy: auto, pull or build."""
    found = image_official.obtain(engine, reference, policy)
    if isinstance(found, str):
        with images.in_place_of(reference, found):
            found = _built(engine, reference, found)
    return {reference: image_official.archived(engine, found, "otel")}


def uncompiled(engine: Engine, reference: str, policy: str) -> list[GoBuild]:
    """What ``ensure`` would compile, as far as that is known without asking a registry."""
    build = collector_build()
    if image_go.is_built(build) or not images.will_build(engine, reference, policy):
        return []
    return [build]


def collector_build() -> GoBuild:
    """How to compile the Collector."""
    return GoBuild(
        name="otel-collector",
        module=RECIPE / "module",
        targets={".": BINARY},
        stamps={"main.version": image_go.required_version(RECIPE / "module", CONTRIB)},
        packages=1090,
        cpu_minutes=3.0,
    )


def _built(engine: Engine, reference: str, why: str) -> Image:
    program = collector_build()
    dockerfile = RECIPE / "Dockerfile"

    def fill(context: Path) -> None:
        binaries = image_go.build(program)
        context.mkdir()
        shutil.copyfile(dockerfile, context / dockerfile.name)
        image_cache.link_or_copy(binaries / BINARY, context / BINARY)

    recipe = image_cache.digest_of(dockerfile.read_bytes(), program.digest)
    digest = image_official.build(engine, reference, recipe, fill)
    version = image_go.required_version(RECIPE / "module", CONTRIB)
    note = NOTE.format(name=reference, module=CONTRIB, version=version, why=why)
    return Image(reference, digest, "built", note)
