"""Writes requests/ of a bundle from the access logs of proxies that are Envoy."""

from __future__ import annotations

import json
from pathlib import Path

from conformance.evidence.envoy_log import request_of


def write(bundle: Path, container: str) -> None:
    """A file of requests/ for each log of a container of that name (see FORMAT.md)."""
    folder = bundle / "requests"
    folder.mkdir(exist_ok=True)
    for log in sorted((bundle / "logs").glob(f"*.{container}.log")):
        with log.open("rb") as lines, (folder / f"{log.stem}.jsonl").open("w") as sink:
            for number, line in enumerate(lines, 1):
                request = request_of(line.decode("utf-8", "replace"))
                if request is not None and line.endswith(b"\n"):
                    source = {"source": f"{log.relative_to(bundle)}:{number}"}
                    sink.write(json.dumps(source | dict(request)) + "\n")
