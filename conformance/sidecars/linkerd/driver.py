"""Linkerd, real: its own control plane, its own injector, its own proxy.

A pod is only annotated; what comes into it, and in which order, is the injector's doing. The modes
are settings that people run, each set as they would set it, on the pod:

- ``default``: nothing is set but the pattern. The classic pattern has no hazard at its start then:
  Linkerd's proxy stands first in the container list, and its postStart hook (linkerd-await) keeps
  the kubelet from starting the app. What is in flight at the end mostly survives, too: the proxy
  closes its listeners at once, and ends when its last request has ended.
- ``no-await``: proxy-await is disabled. The classic pattern's control arm at the start.
- ``short-drain``: shutdown-grace-period of 2 s. The classic pattern's control arm for requests in
  flight; the native pattern keeps them, for its proxy is not told to end before the app has ended.
- ``wait-before-exit``: proxy-wait-before-exit-seconds, the classic pattern's own workaround (a
  preStop hook that sleeps); the native pattern ignores it.
- ``transparent``: outboundTransportMode of the whole mesh: between two proxies the wire shows the
  app's own port, and not the proxy's (4143).
- ``skip-ports``: the witness' mesh port is skipped by the redirection: it must leak, in both
  patterns, or the judges are blind.
- ``proxy-uid``: the app runs as the proxy's own user (2102), whose traffic is not redirected: all
  that it sends must leak, and be turned away by its peer, which takes no request without identity.

STRICT is all-authenticated, by annotation. A client without an identity is not reset, but answered
by the proxy itself, with 403.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.evidence.bundle import SUBJECT_ROLE
from conformance.model import Cell
from conformance.sidecars.driver import Admitted, Facts, Manifest, read_pattern
from conformance.sidecars.injected import Injected, Marks
from conformance.sidecars.linkerd import release as linkerd_release
from conformance.sidecars.linkerd import requests
from conformance.sidecars.linkerd.names import (
    ADMIN_PORT,
    CERTIFICATE,
    CONTAINER,
    CREATED_BY,
    INJECTOR,
    NAMESPACE,
    UNSERVED,
    identity,
)

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage

ROLES = ("subject", "peer")
CONFIG = "config.linkerd.io"

PORTS = {
    "app": 8080,
    "probe": 8081,
    "health": ADMIN_PORT,
    "witness_mesh": 9000,
    "control": 9001,
}
PROXY_UID = 2102  # values.yaml, proxy.uid: what this user sends is not redirected
# What the proxy's own answers mean, none of which the app gives: it has no words in its answers but
# for a header, so the status has to do (linkerd2-proxy, linkerd/app/core/src/errors/respond.rs:
# permission_denied; gateway_timeout where it could not connect in its own time).
PROXY_ANSWERS: Mapping[str, tuple[str, ...]] = {"denied": (r"^403\b",), "late": (r"^504\b",)}

SHORT_DRAIN = 2.0  # seconds: shutdown-grace-period in the mode short-drain; the default is 2 min
WAIT = 18  # seconds: proxy-wait-before-exit-seconds, longer than the app drains and serves
APP_DRAIN = 9  # seconds
SLOW = 6  # seconds that a slow request takes: of those in flight, most outlast the short drain
MODES: Mapping[str, Mapping[str, str]] = {
    "no-await": {f"{CONFIG}/proxy-await": "disabled"},
    "short-drain": {f"{CONFIG}/shutdown-grace-period": f"{SHORT_DRAIN:.0f}s"},
    "wait-before-exit": {"config.alpha.linkerd.io/proxy-wait-before-exit-seconds": str(WAIT)},
}
# The scenario in which certificates are replaced before it is over (see control plane, tuned).
ROTATED = "keepalive"
# The scenarios in which the proxy is told to end by a request; off by default.
QUITS = ("job", "cronjob", "quota", "workarounds")


class Driver(Injected):
    """Linkerd as its CLI installs it. version: that which the user asked for, or ""."""

    name = "linkerd"
    app_drain = APP_DRAIN
    slow = SLOW

    def __init__(self, version: str = "") -> None:
        self._release = linkerd_release.wanted(version)

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """The control plane's and the sidecar's, under their official names."""
        from conformance.sidecars.linkerd import images as image_linkerd

        return image_linkerd.ensure(engine, self._release, policy)

    def official_images(self) -> Sequence[str]:
        """Those of the release, its CLI's first: that names the one whose tag is its own."""
        from conformance.sidecars.linkerd import images as image_linkerd

        return image_linkerd.published(self._release)

    def tools(self) -> Sequence[Path]:
        """The CLI of the release."""
        from conformance.sidecars.linkerd import images as image_linkerd

        return [image_linkerd.cli(self._release.tag)]

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """linkerd install, and linkerd check; returns versions, and what the installation took."""
        from conformance.sidecars.linkerd.control_plane import install

        return install(cluster, client)

    def adopt(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """The release of the injector that is there, by what it makes of a pod."""
        from conformance.sidecars.linkerd.adopted import adopt

        return adopt(cluster, client)

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """Service accounts, so that the two ends have identities that can be told apart."""
        from conformance.sidecars.linkerd.control_plane import prepare

        prepare(namespace, client)

    def introduce_witness(self, namespace: str, client: Any, addresses: Sequence[str]) -> None:
        """An ExternalWorkload: to what is outside the mesh Linkerd talks in clear, by design."""
        from conformance.sidecars.linkerd.witness import introduce

        introduce(namespace, client, addresses, PORTS["witness_mesh"])

    @property
    def pattern_annotation(self) -> str:
        """By its name in this release."""
        return self._release.annotation

    def marks(self, cell: Cell, role: str) -> Marks:
        """Annotations, with what the mode asks for."""
        quits = role == SUBJECT_ROLE and cell.scenario in QUITS
        return Marks(
            asked_of_injector(cell.pattern, cell.mode, self._release, quits=quits),
            user=PROXY_UID if cell.mode == "proxy-uid" else None,
        )

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        """Read from the pod as the injector left it."""
        said = (pod["metadata"].get("annotations") or {}).get(CREATED_BY, "")
        if not said.startswith(INJECTOR):
            return Admitted("none", f"no annotation {CREATED_BY} of the injector's")
        return read_pattern(pod, CONTAINER)

    def facts(self, cell: Cell, namespace: str) -> Facts:
        return Facts(
            ports=PORTS,
            identities={role: identity(namespace, role) for role in ROLES},
            # Without a setting a proxy that is told to end serves nothing new from then on.
            sidecar_drain_seconds=SHORT_DRAIN if cell.mode == "short-drain" else 0.0,
            egress_answered=cell.mode != "proxy-uid",
            # Valid for 20 s more than it was asked for: clocks may differ (identity, -clock-skew).
            certificate_seconds=CERTIFICATE + 20 if cell.scenario == ROTATED else 0,
            quit_url=f"http://127.0.0.1:{ADMIN_PORT}/shutdown",
            ready_path="/ready",
            server_name=identity(namespace, "subject"),
            proxy_answers=PROXY_ANSWERS,
            undated=(CONTAINER,),
        )

    def quit_command(self) -> Sequence[str]:
        """The image's own program for it: it runs a command, and then POSTs to /shutdown."""
        return ("/usr/lib/linkerd/linkerd-await", "--shutdown", "--", "/bin/sleep", "0")

    def tuned(
        self, cluster: ClusterHandle, client: Any, cell: Cell
    ) -> AbstractContextManager[None]:
        """Set by linkerd upgrade: short-lived certificates, a webhook that must not fail, another
        default pattern, IPv6."""
        from conformance.sidecars.linkerd import plane

        return plane.tuned(cluster, client, cell)

    def certificate(self, cluster: ClusterHandle, namespace: str, pod: str) -> str:
        """By linkerd identity, which is a TLS client without a certificate of its own."""
        from conformance.sidecars.linkerd.control_plane import serial_of

        return serial_of(cluster, namespace, pod)

    def for_ipv4_alone(self, pod: Manifest) -> None:
        """As it is: so Linkerd comes (disableIPv6), and the scenario with both is ``tuned``."""

    def inject_by(self, tag: str, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """As inject: there is one control plane."""
        return self.inject(pod, cell, role)

    def control_plane_of(self, pod: Manifest) -> str:
        """The namespace of the control plane that the pod belongs to."""
        return str((pod["metadata"].get("labels") or {}).get("linkerd.io/control-plane-ns", ""))

    def bring_plane(self, cluster: ClusterHandle, client: Any, name: str) -> str:
        """The cluster's own: there is no other."""
        return NAMESPACE

    def remove_plane(self, client: Any, name: str) -> None:
        """It must be there for the next cell, whatever became of this one."""
        from conformance.sidecars.linkerd.plane import bring_back

        bring_back(client)

    def plane_down(self, client: Any, name: str) -> None:
        """Identity, destination and injector are scaled to 0."""
        from conformance.sidecars.linkerd.plane import take_down

        take_down(client)

    def plane_up(self, client: Any, name: str) -> None:
        """Identity, destination and injector are scaled to 1."""
        from conformance.sidecars.linkerd.plane import bring_back

        bring_back(client)

    def on_injector_failure(self, client: Any, name: str, policy: str) -> None:
        """The failurePolicy of its webhook."""
        from conformance.sidecars.linkerd.plane import on_failure

        on_failure(client, policy)

    def misses_plane(self, log: str) -> bool:
        """The proxy says so when it cannot reach identity, destination or policy."""
        return UNSERVED.search(log) is not None

    def before_flip(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """Nothing: the control plane was set to the classic pattern (tuned)."""

    def flip(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """linkerd upgrade --set proxy.nativeSidecar=true."""
        from conformance.sidecars.linkerd.control_plane import change
        from conformance.sidecars.linkerd.plane import NATIVE

        change(cluster, client, NATIVE)

    def foretold(self, cluster: ClusterHandle, pod: Manifest) -> Manifest:
        """linkerd inject --manual --native-sidecar."""
        from conformance.sidecars.linkerd.plane import foretell

        return foretell(cluster, pod)

    def keep_records(
        self,
        cluster: ClusterHandle,
        client: Any,
        namespace: str,
        since_ns: int,
        bundle: Path,
    ) -> None:
        """The control plane's logs, and which proxies missed it."""
        from conformance.sidecars.linkerd.records import keep

        keep(client, namespace, since_ns, bundle)

    def write_requests(self, bundle: Path) -> None:
        """From the proxies' access logs, which are in their containers' output."""
        requests.write(bundle, CONTAINER)


def asked_of_injector(
    pattern: str, mode: str, release: linkerd_release.Release, *, quits: bool = False
) -> Mapping[str, str]:
    """What is asked of the injector for a pod. quits: the proxy may be told to end by a request."""
    skipped = [PORTS["control"]]  # the deliberate leak
    if mode == "skip-ports":
        skipped.append(PORTS["witness_mesh"])
    found = {
        "linkerd.io/inject": "enabled",
        release.annotation: "true" if pattern == "native" else "false",
        f"{CONFIG}/default-inbound-policy": "all-authenticated",
        f"{CONFIG}/access-log": "json",
        f"{CONFIG}/skip-outbound-ports": ",".join(map(str, skipped)),
        f"{CONFIG}/skip-inbound-ports": str(PORTS["probe"]),
        **MODES.get(mode, {}),
    }
    if quits:
        found[f"{CONFIG}/proxy-admin-shutdown"] = "enabled"
    return found
