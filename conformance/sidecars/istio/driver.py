"""Istio, real: its own control plane, its own injector, its own agent beside Envoy.

A pod is only marked; what comes into it, and in which order, is the injector's doing. The modes
are settings that people run, each set as they would set it, on the pod:

- ``default``: nothing is set but the pattern, by annotation (by the control plane of its own that
  a pattern needs in releases before 1.24, which have no such annotation).
- ``hold``: holdApplicationUntilProxyStarts, which the classic pattern alone knows.
- ``exit-on-zero``: EXIT_ON_ZERO_ACTIVE_CONNECTIONS, the same.
- ``excluded``: the witness' mesh port is excluded from the redirection: it must leak, in both
  patterns, or the judges are blind.
- ``excluded-user``: the app runs as Istio's own user (1337), whose traffic is excluded: all that it
  sends must leak, and be turned away by the STRICT peer.

No start delay is set, because the order of things makes one: the kubelet starts regular containers
one after another, the app first, and Istio's proxy then asks the control plane for a certificate
and its configuration before it listens. That takes some 500 ms and more; the app's first request
comes 20 ms after its first instruction. The drain is Istio's own (5 s, terminationDrainDuration),
and the workload is what is longer: an app that drains for 9 s, and requests that take 7 s.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.evidence.envoy_log import LATE
from conformance.model import Cell
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.driver import Admitted, Facts, Manifest, read_pattern
from conformance.sidecars.envoy import requests
from conformance.sidecars.injected import Injected, Marks
from conformance.sidecars.istio import release as istio_release
from conformance.sidecars.istio.agent import UNSERVED

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle
    from conformance.engine.engine import Engine
    from conformance.images.ensure import FixtureImage
    from conformance.images.go_build import GoBuild

CONTAINER = "istio-proxy"
ROLES = ("subject", "peer")
TRUST_DOMAIN = "cluster.local"  # meshConfig.trustDomain's default
STATUS = "sidecar.istio.io/status"  # written by the injector, and by nobody else
INJECT = "sidecar.istio.io/inject"
NATIVE = "sidecar.istio.io/nativeSidecar"

AGENT_PORT = 15020
# 15021 is Envoy's readiness; on 15020 the agent answers the app's probes, which the injector turns
# to it (/app-health/…): both come from the kubelet, in clear, and both are excluded by istio-init.
PORTS = {
    "app": 8080,
    "probe": 8081,
    "health": 15021,
    "agent": AGENT_PORT,
    "witness_mesh": 9000,
    "control": 9001,
}
DRAIN = 5.0  # seconds: meshConfig.defaultConfig.terminationDrainDuration's default
APP_DRAIN = 9  # seconds: longer than Istio's drain, so that in the classic pattern it is too short
SLOW = 7  # seconds that a slow request takes: of those in flight, some outlast Istio's drain
LONGEST = 28  # seconds of drain and slow request together, within a grace period of 30
PROXY_UID = 1337  # istio-iptables, -u: what this user sends is not redirected
PROXY_CONFIG: Mapping[str, Manifest] = {
    "hold": {"holdApplicationUntilProxyStarts": True},
    "exit-on-zero": {"proxyMetadata": {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"}},
}
# The scenario whose pods ask for certificates that are replaced before it is over: the agent does
# so when half of their life is gone (SECRET_GRACE_PERIOD_RATIO's default).
ROTATED = "keepalive"
CERTIFICATE = 30  # seconds; the default is 24 hours


class Driver(Injected):
    """Istio as istioctl installs it. version: that which the user asked for, or ""."""

    name = "istio"
    app_drain = APP_DRAIN  # with Istio's own drain
    slow = SLOW

    def __init__(self, version: str = "") -> None:
        self._release = istio_release.wanted(version)
        self.app_drain, self.slow = outlasting(istio_drain())

    def images(self, engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
        """The control plane's and the sidecar's, under their official names."""
        from conformance.sidecars.istio import images as image_istio

        return image_istio.ensure(engine, self._release, policy)

    def official_images(self) -> Sequence[str]:
        """Those of the release, and the one that holds its istioctl."""
        from conformance.sidecars.istio import images as image_istio

        return image_istio.references(self._release)

    def tools(self) -> Sequence[Path]:
        """istioctl, of the release or of what is built in its place."""
        from conformance.sidecars.istio import images as image_istio

        return image_istio.tools(self._release)

    def uncompiled(self, engine: Engine, policy: str) -> Sequence[GoBuild]:
        """istiod and its agent, where their images cannot be pulled."""
        from conformance.sidecars.istio import images as image_istio

        return image_istio.uncompiled(engine, self._release, policy)

    def install(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """istioctl install; returns versions, and what the installation took."""
        from conformance.sidecars.istio.control_plane import install

        return install(cluster, client)

    def adopt(self, cluster: ClusterHandle, client: Any) -> Mapping[str, str]:
        """The release of the istiod that is there, and that its injector takes the suite's pods."""
        from conformance.sidecars.istio.adopted import adopt

        return adopt(cluster, client)

    def prepare(self, cell: Cell, namespace: str, client: Any) -> None:
        """Service accounts, STRICT mutual TLS, and TLS to the witness' mesh port."""
        from conformance.sidecars.istio.control_plane import prepare

        prepare(namespace, client)

    @property
    def pattern_annotation(self) -> str:
        """In releases before 1.24 there is none."""
        return NATIVE

    def marks(self, cell: Cell, role: str) -> Marks:
        """A label for the injector, and what the mode asks for."""
        certificate = CERTIFICATE if cell.scenario == ROTATED else 0
        return Marks(
            labels=labels(cell.pattern, self._release),
            annotations=asked(
                cell.pattern, cell.mode, self._release, certificate_seconds=certificate
            ),
            user=PROXY_UID if cell.mode == "excluded-user" else None,
        )

    def admitted(self, pod: Manifest, cell: Cell) -> Admitted:
        """Read from the pod as the injector left it."""
        if STATUS not in (pod["metadata"].get("annotations") or {}):
            return Admitted("none", f"no annotation {STATUS}: the injector did not see the pod")
        return read_pattern(pod, CONTAINER)

    def facts(self, cell: Cell, namespace: str) -> Facts:
        return Facts(
            ports=PORTS,
            identities={role: identity(namespace, role) for role in ROLES},
            sidecar_drain_seconds=istio_drain(),
            egress_answered=cell.mode != "excluded-user",
            quit_url=f"http://127.0.0.1:{AGENT_PORT}/quitquitquit",
            certificate_seconds=CERTIFICATE if cell.scenario == ROTATED else 0,
            proxy="envoy",
            proxy_answers={"late": LATE},
        )

    def quit_command(self) -> Sequence[str]:
        """The agent's own way out, which Jobs in the classic pattern have used for years."""
        debug = f"--debug-port={AGENT_PORT}"
        return ("pilot-agent", "request", debug, "POST", "quitquitquit")

    def before_upgrade(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """A second revision, with a setting that tells its pods apart, and a revision tag."""
        from conformance.sidecars.istio.upgrade import prepare

        prepare(cluster, client, tag)

    def upgrade(self, cluster: ClusterHandle, tag: str) -> None:
        """Point the revision tag to the second revision."""
        from conformance.sidecars.istio.upgrade import NEXT, point

        point(cluster, tag, NEXT)

    def inject_by(self, tag: str, pod: Manifest, cell: Cell, role: str) -> Manifest:
        """The pod asks for the revision that the tag stands for."""
        pod = self.inject(pod, cell, role)
        pod["metadata"]["labels"]["istio.io/rev"] = tag
        return pod

    def control_plane_of(self, pod: Manifest) -> str:
        """The revision, as its injector wrote it down."""
        return str((pod["metadata"].get("annotations") or {}).get("istio.io/rev", ""))

    def before_flip(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """As for an upgrade: the second revision has the other default as well."""
        self.before_upgrade(cluster, client, tag)

    def flip(self, cluster: ClusterHandle, client: Any, tag: str) -> None:
        """Point the revision tag to the second revision."""
        self.upgrade(cluster, tag)

    def foretold(self, cluster: ClusterHandle, pod: Manifest) -> Manifest:
        """The pod asks for the second revision by its own name."""
        from conformance.sidecars.istio.upgrade import NEXT

        pod = copy.deepcopy(pod)
        pod["metadata"]["labels"]["istio.io/rev"] = NEXT
        return pod

    def bring_plane(self, cluster: ClusterHandle, client: Any, name: str) -> str:
        """A revision of that name."""
        from conformance.sidecars.istio.outage import bring

        bring(cluster, client, name)
        return name

    def remove_plane(self, client: Any, name: str) -> None:
        """Its istiod and its webhook go."""
        from conformance.sidecars.istio.outage import remove

        remove(client, name)

    def plane_down(self, client: Any, name: str) -> None:
        """Its istiod is scaled to 0."""
        from conformance.sidecars.istio.outage import take_down

        take_down(client, name)

    def plane_up(self, client: Any, name: str) -> None:
        """Its istiod is scaled to 1."""
        from conformance.sidecars.istio.outage import bring_back

        bring_back(client, name)

    def on_injector_failure(self, client: Any, name: str, policy: str) -> None:
        """The failurePolicy of its webhook."""
        from conformance.sidecars.istio.outage import on_failure

        on_failure(client, name, policy)

    def misses_plane(self, log: str) -> bool:
        """The agent asks for a certificate before anything else, and says that it gets none."""
        return UNSERVED in log

    def past_the_injector(self, pod: Manifest) -> Manifest:
        """The label that sends a pod to the injector says "false", as for any pod injected by hand
        (istioctl kube-inject)."""
        pod = super().past_the_injector(pod)
        metadata = pod["metadata"]
        return {**pod, "metadata": {**metadata, "labels": {**metadata["labels"], INJECT: "false"}}}

    def keep_records(
        self, cluster: ClusterHandle, client: Any, namespace: str, since_ns: int, bundle: Path
    ) -> None:
        """istiod's log, istioctl proxy-status, and what the proxies refused."""
        from conformance.sidecars.istio.records import keep

        keep(cluster, client, namespace, since_ns, bundle)

    def write_requests(self, bundle: Path) -> None:
        """From Envoy's access log, which is in the container's output."""
        requests.write(bundle, CONTAINER)


def istio_drain() -> float:
    """How long the proxy drains (s): by the user's settings, where they say so, or Istio's own."""
    if REGISTRY["istio"].values is None:
        return DRAIN
    from conformance.sidecars.istio.values import drain

    return drain(DRAIN)


def outlasting(drain: float) -> tuple[int, int]:
    """How long the app drains, and a slow request takes (s), to outlast a drain of the proxy's.

    A request that comes last ends within the grace period of 30 s: where that cannot be, they are
    as ever, and the judges say that the proxy would have lived as long.
    """
    longer = math.ceil(drain - DRAIN)
    if longer <= 0 or APP_DRAIN + SLOW + 2 * longer > LONGEST:
        return APP_DRAIN, SLOW
    return APP_DRAIN + longer, SLOW + longer


def identity(namespace: str, role: str) -> str:
    """The SPIFFE identity of a role's pod: that of its service account."""
    return f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{role}"


def labels(pattern: str, release: istio_release.Release) -> Mapping[str, str]:
    """What makes the injector see a pod, in a namespace that is not labelled as a whole: the
    witness and the dialer stay outside the mesh without a word about Istio."""
    found = {INJECT: "true"}
    if not release.pattern_by_pod:
        found["istio.io/rev"] = pattern  # a control plane for each pattern
    return found


def asked(
    pattern: str, mode: str, release: istio_release.Release, *, certificate_seconds: int = 0
) -> Mapping[str, str]:
    """What is asked of the injector for a pod. certificate_seconds: 0 for Istio's default."""
    excluded = [PORTS["control"]]  # the deliberate leak
    if mode == "excluded":
        excluded.append(PORTS["witness_mesh"])
    found = {
        "traffic.sidecar.istio.io/excludeOutboundPorts": ",".join(map(str, excluded)),
        "traffic.sidecar.istio.io/excludeInboundPorts": str(PORTS["probe"]),
    }
    if release.pattern_by_pod:
        found[NATIVE] = "true" if pattern == "native" else "false"
    config = copy.deepcopy(dict(PROXY_CONFIG.get(mode, {})))
    if certificate_seconds:
        config.setdefault("proxyMetadata", {})["SECRET_TTL"] = f"{certificate_seconds}s"
    if config:
        found["proxy.istio.io/config"] = json.dumps(config)
    return found
