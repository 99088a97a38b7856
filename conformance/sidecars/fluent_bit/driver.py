"""Fluent Bit as a log shipper: tail input with a database of positions, HTTP to the sink.

Its image cannot be built from packages: where it cannot be pulled, and is not there, its cells are
not verified. Modes, as the Collector's:

- ``default``: 10 lines a second; what was read waits in memory.
- ``busy``: the same with 10,000 lines a second.
- ``durable``: what was read waits on disk (storage.type filesystem).
- ``lazy``: a file that is there at the start is read from its end on, as by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from conformance.errors import Unobtainable
from conformance.sidecars.driver import Manifest
from conformance.sidecars.shippers.shipper import CONFIG_FOLDER, STATE_FOLDER, Shipper

if TYPE_CHECKING:
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage

VERSION = "5.1.1"
IMAGE = f"docker.io/fluent/fluent-bit:{VERSION}"


class Driver(Shipper):
    """Fluent Bit of the official image."""

    name = "fluent-bit"
    image = IMAGE
    command = ("/fluent-bit/bin/fluent-bit", "-c", f"{CONFIG_FOLDER}/config.yaml")
    config = "fluent-bit/config.yaml"
    health_port = 2020
    health_path = "/api/v1/health"
    more: Mapping[str, str] = {"SC_HTTP_SERVER": "on"}
    deaf: Mapping[str, str] = {"SC_HTTP_SERVER": "off"}  # as by default

    def official_images(self) -> Sequence[str]:
        """The official image."""
        return (IMAGE,)

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """The official image. Raises Unobtainable."""
        from conformance.images import official as image_official

        # Nothing here builds it, so a wish to build everything changes nothing for it.
        found = image_official.obtain(engine, IMAGE, "auto")
        if isinstance(found, str):
            raise Unobtainable(
                f"{IMAGE} could not be pulled, and cannot be built from packages: {found}; pull it "
                "by hand, or load it into the engine."
            )
        return {IMAGE: image_official.archived(engine, found, "fluent")}

    def adjust(self, settings: Manifest, mode: str) -> None:
        (tail,) = settings["pipeline"]["inputs"]
        if mode == "durable":
            settings["service"]["storage.path"] = f"{STATE_FOLDER}/chunks"
            tail["storage.type"] = "filesystem"
        elif mode == "lazy":
            tail["read_from_head"] = False
