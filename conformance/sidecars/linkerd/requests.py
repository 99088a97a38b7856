"""Writes requests/ of a bundle from the access logs of Linkerd's proxies.

A proxy records what it serves, and nothing of what it sends. So a connection that a pod opened is
known by the records of the pod that served it: that proxy names the identity in the certificate of
its client, and its own identity is the one that it was certified for, by its own word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance.evidence.parse import rfc3339_ns
from conformance.sidecars.linkerd.output import lines

# linkerd2-proxy, linkerd/app/src/lib.rs: when it has got its first certificate.
_CERTIFIED = re.compile(r"Certified identity.*\bid=(\S+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ACCESS = '"client.addr"'  # linkerd/http/access-log/src/lib.rs


def write(bundle: Path, container: str) -> None:
    """A file of requests/ for each log of a container of that name (see FORMAT.md)."""
    logs = {
        log.name.removesuffix(f".{container}.log"): log
        for log in sorted((bundle / "logs").glob(f"*.{container}.log"))
    }
    folder = bundle / "requests"
    folder.mkdir(exist_ok=True)
    for role, requests in read(bundle, logs).items():
        with (folder / f"{role}.{container}.jsonl").open("w") as sink:
            for request in requests:
                sink.write(json.dumps(request) + "\n")


def read(bundle: Path, logs: Mapping[str, Path]) -> Mapping[str, list[dict[str, Any]]]:
    """role → the requests of its proxy. logs: role → the proxy's output."""
    own = {role: _certified(log) for role, log in logs.items()}
    found: dict[str, list[dict[str, Any]]] = {role: [] for role in logs}
    for role, log in logs.items():
        for line in lines(log):
            raw = access_record(line.text)
            if raw is None:
                continue
            client, address = _said(raw.get("client.id")), _said(raw.get("client.addr"))
            request = {
                "source": f"{log.relative_to(bundle)}:{line.number}",
                "begin_ns": _begin(_said(raw.get("timestamp"))),
                "path": _path(_said(raw.get("uri"))),
                "status": int(_said(raw.get("status")) or 0),
            }
            server = own[role] if client else ""
            inbound = {"direction": "inbound", "remote": address, "own": server, "peer": client}
            found[role].append(request | inbound)
            sender = client.partition(".")[0]  # the service account is called as the role is
            if sender in found and sender != role:
                outbound = {"direction": "outbound", "local": address}
                found[sender].append(request | outbound | {"own": client, "peer": server})
    return found


def access_record(line: str) -> Mapping[str, Any] | None:
    """The access record that a line is; None for any other line."""
    if _ACCESS not in line:
        return None
    try:
        raw = json.loads(line)
    except ValueError:
        return None
    return raw if isinstance(raw, dict) else None


def _certified(log: Path) -> str:
    """The identity that a proxy was certified for; "" when it never was."""
    for line in lines(log):
        said = _CERTIFIED.search(_COLOURS.sub("", line.text))
        if said:
            return said[1]
    return ""


def _begin(stamp: str) -> int | None:
    try:
        return rfc3339_ns(stamp)
    except ValueError:
        return None


def _path(uri: str) -> str:
    """The path of a URI, which may name scheme and host (HTTP/2 always does)."""
    return re.sub(r"^\w+://[^/]*", "", uri)


def _said(value: object) -> str:
    """Linkerd writes "-" for a client without an identity, and leaves out what it does not know."""
    return "" if value in (None, "-") else str(value)
