"""The OpenTelemetry Collector as a log shipper: file_log receiver, OTLP over HTTP to the sink.

Modes:

- ``default``: 10 lines a second; a batch every 200 ms and a queue in memory, as by default.
- ``busy``: the same with 10,000 lines a second.
- ``durable``: the sending queue is on disk (file_storage), and batches are made after it; what is
  read goes there before its position is stored (an alpha gate; without it up to 100 ms of lines are
  in between, in memory alone).
- ``lazy``: the file is read from its end on (start_at, the default) and looked at every 10 s (the
  default is 200 ms, with which the same happens to some pods and not to others).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from conformance.sidecars.driver import Manifest
from conformance.sidecars.shippers.shipper import CONFIG_FOLDER, Shipper

if TYPE_CHECKING:
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage
    from conformance.images.go_build import GoBuild

VERSION = "0.165.1"
IMAGE = f"docker.io/otel/opentelemetry-collector-contrib:{VERSION}"


class Driver(Shipper):
    """The Collector of the official contrib image, or one of the same components built here."""

    name = "otel-collector"
    image = IMAGE
    command = ("/otelcol-contrib", "--config", f"{CONFIG_FOLDER}/config.yaml")
    config = "otel-collector/config.yaml"
    health_port = 13133
    health_path = "/"
    deaf: Mapping[str, str] = {"SC_HEALTH_HOST": "localhost"}  # health_check's default endpoint

    def official_images(self) -> Sequence[str]:
        """The official image."""
        return (IMAGE,)

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """The official image, or one built under its name."""
        from conformance.sidecars.otel_collector import images as otel_images

        return otel_images.ensure(engine, IMAGE, policy)

    def uncompiled(self, engine: Engine, policy: str) -> Sequence[GoBuild]:
        """The Collector, where it will be built and is not yet compiled."""
        from conformance.sidecars.otel_collector import images as otel_images

        return otel_images.uncompiled(engine, IMAGE, policy)

    def arguments(self, mode: str) -> Sequence[str]:
        return ("--feature-gates=stanza.synchronousLogEmitter",) if mode == "durable" else ()

    def adjust(self, settings: Manifest, mode: str) -> None:
        if mode == "durable":
            settings["exporters"]["otlp_http"]["sending_queue"] = {
                "storage": "file_storage",
                # As the batch processor does it, which would forget in a crash what it waits with.
                "batch": {"flush_timeout": "200ms", "min_size": 8192, "sizer": "items"},
            }
            del settings["processors"]
            del settings["service"]["pipelines"]["logs"]["processors"]
        elif mode == "lazy":
            settings["receivers"]["file_log"] |= {"start_at": "end", "poll_interval": "10s"}
