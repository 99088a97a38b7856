"""A lane for what the sidecars say that they carried: their access logs, joined by the token."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from conformance.evidence import compressed
from conformance.evidence.parse import rfc3339_ns
from conformance.report.trace.model import Lane, Mark

_TOKEN = re.compile(r"cny\.[0-9a-f]{12}\.[a-z-]+\.[a-z]+\.[0-9]{6}")
_MS = 1_000_000
_GOOD = range(200, 400)


def lanes(bundle: Path, sidecars: tuple[str, ...]) -> Iterator[Lane]:
    """What the proxy of the pod under test carried, outward and inward, and its peer's."""
    for role, name in (("subject", "proxy"), ("peer", "peer's proxy")):
        for direction, way in (("outbound", "out"), ("inbound", "in")):
            lane = Lane(f"{name} {way}", "requests")
            for sidecar in sidecars:
                lane.marks += _carried(bundle / f"logs/{role}.{sidecar}.log", direction)
            yield lane


def _carried(file: Path, direction: str) -> Iterator[Mark]:
    if not compressed.exists(file):
        return
    with compressed.opened(file) as source:
        for number, raw_line in enumerate(source, 1):
            text = raw_line.decode(errors="replace")
            at = text.find("{")
            if at < 0 or '"direction"' not in text:
                continue
            try:
                raw = json.loads(text[at:])
                begin = rfc3339_ns(str(raw["start"]))
                took = int(raw.get("duration_ms") or 0) * _MS
            except (ValueError, KeyError, TypeError):
                continue  # a line of another kind, or cut off
            if raw["direction"] != direction:
                continue
            token = _TOKEN.search(str(raw.get("token_path") or ""))
            code = int(raw.get("response_code") or 0)
            flags = raw.get("response_flags") or "-"
            kind = "ok" if code in _GOOD else "closed" if code == 0 else "wrong"
            why = raw.get("upstream_failure")
            title = f"{direction} {code} {flags}" + (f" ({why})" if why else "")
            where = f"logs/{file.name}"
            yield Mark(
                begin,
                begin + took,
                f"request {kind}",
                title,
                token[0] if token else "",
                where,
                number,
            )
