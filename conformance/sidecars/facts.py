"""What a driver says: which pattern a pod has, and what observer and judges must know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Admitted:
    """Which pattern a pod really got, read from the pod as the API server admitted it.

    pattern: "native", "classic" or "none". why: what in the pod says so.
    sidecars: the names of the sidecar's containers, in spec order.
    """

    pattern: str
    why: str
    sidecars: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the observer and the judges must know of this sidecar in this cell (see FORMAT.md).

    egress_answered: whether the app's own requests can be answered in this mode at all.
    quit_url: where a POST from inside the pod makes the sidecar end by itself; "" for nowhere.
    certificate_seconds: how long the pods' certificates live where that is short enough to see
    them replaced; 0 for "much longer than the cell".
    proxy: the program that carries the traffic, where the main process has it as its child.
    proxy_answers: what an answer of the proxy's own means ("late", "denied": FORMAT.md) → regular
    expressions, one of which is found in the senders' detail of it, which begins with the status.
    ready_path: what tells of the sidecar's readiness, on its health port. server_name: what a
    client must name in its TLS hello (SNI) to be shown the subject's certificate; "" for anything.
    undated: the containers whose output does not say when: it is kept with the kubelet's stamps.
    gate: how the kubelet learns that the sidecar has started: "http", or "exec". quit_signal: ends
    it where the driver has no command for that. stamped: the app is the suite's program.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    start_delay_seconds: float = 0
    sidecar_drain_seconds: float = 0
    egress_answered: bool = True
    quit_url: str = ""
    certificate_seconds: float = 0
    proxy: str = ""
    proxy_answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ready_path: str = "/healthz/ready"
    server_name: str = ""
    undated: Sequence[str] = ()
    gate: str = "http"
    quit_signal: str = "TERM"
    stamped: bool = True
