"""Envoy's words, in the neutral ones of a bundle (FORMAT.md).

The drivers of proxies that are Envoy write a cell's requests with it. Bundles from before drivers
did so hold Envoy's words alone: they are read through it, too, by the sidecar that they name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from conformance.evidence.parse import rfc3339_ns

# The sidecars of such older bundles.
SIDECARS = ("envoy", "istio")
# What Envoy says when it could not connect in its own time (source/common/http/utility.cc,
# resetReasonToString).
LATE = ("connection timeout",)
_DIRECTIONS = {"outbound-passthrough": "passed", "inbound-refused": "refused"}


def request_of(text: str) -> Mapping[str, Any] | None:
    """A line of the proxy's output as a line of requests/, without its source; None for another.

    Lines of Envoy's own hold no JSON object with a direction.
    """
    raw = json_in(text)
    return None if raw is None else request_in(raw)


def request_in(raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The same of the JSON object in such a line. Its keys are those that the suite configures
    (fixtures/envoy/config.py, fixtures/istio/install.yaml)."""
    if "direction" not in raw:
        return None
    said = {key: _said(value) for key, value in raw.items()}
    direction = said["direction"]
    inbound = direction.startswith("inbound")
    side = "downstream" if inbound else "upstream"
    return {
        "direction": _DIRECTIONS.get(direction, direction),
        "begin_ns": _begin(said.get("start", "")),
        "local": said.get(f"{side}_local", ""),
        "remote": said.get(f"{side}_remote", ""),
        "own": said.get("own_uri", ""),
        "peer": said.get("peer_uri", ""),
        "peer_serial": said.get("peer_serial", ""),
        "tls": said.get("tls_version", ""),
        "status": int(said.get("response_code") or 0),
        "path": said.get("token_path", ""),
        "attempts": int(said.get("attempts") or 0),
    }


def json_in(text: str) -> Mapping[str, Any] | None:
    """The JSON object that a line ends in; log lines of another kind have none."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        raw = json.loads(text[start:])
    except ValueError:
        return None
    return raw if isinstance(raw, dict) else None


def _begin(text: str) -> int | None:
    try:
        return rfc3339_ns(text)
    except ValueError:
        return None


def _said(value: Any) -> str:
    """Envoy writes null or "-" for what is not there."""
    return "" if value in (None, "-") else str(value)
