"""Ports of sidecars, users that pass a proxy by, and what takes a pod out of its Service."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.audit import known, patch
from conformance.audit.document import mapping, mappings
from conformance.audit.rule import Hit, Rule, rule
from conformance.audit.subject import Container, Subject
from conformance.audit.world import World

OTHER_USER = 10001  # any that is not the proxy's
_NAMED_PORTS = 33  # the minor from which EndpointSlices resolve them (kubernetes#128850)
_HOST_PORTS = 34  # the minor from which the scheduler counts them (kubernetes#132040)


@rule(
    Rule(
        id="service-names-a-sidecar-port",
        title="A Service's targetPort names a port that only a native sidecar has",
        level="error",
        behaviour="",
        source="kubernetes/kubernetes#127958",
        see="kubectl get endpointslices -l kubernetes.io/service-name=SERVICE -o yaml: no port, "
        "although the pods are ready.",
        repair="Give the number, or upgrade to Kubernetes 1.33.",
    )
)
def named_port(subject: Subject, world: World) -> Iterator[Hit]:
    """Before 1.33 EndpointSlices look names up among regular containers alone."""
    if not subject.natives or not world.older_than(_NAMED_PORTS):
        return
    ports = {
        str(port["name"]): port.get("containerPort")
        for one in subject.natives
        for _, port in mappings(one.spec.get("ports"))
        if port.get("name")
    }
    resolved = {
        str(port.get("name"))
        for one in subject.regular
        for _, port in mappings(one.spec.get("ports"))
    }
    for service in world.services_of(subject):
        for place, port in mappings(mapping(service.content.get("spec")).get("ports")):
            target = port.get("targetPort")
            if isinstance(target, str) and target in ports and target not in resolved:
                path = ("spec", "ports", place, "targetPort")
                yield Hit(
                    path,
                    f"targetPort {target} is a port of a native sidecar of {subject.kind} "
                    f"{subject.document.name}: before Kubernetes 1.33 it leads nowhere.",
                    patch=patch.put(service, path, ports[target]),
                    level="warning" if world.k8s is None else None,
                    document=service,
                )


@rule(
    Rule(
        id="host-port-of-a-sidecar",
        title="The scheduler does not see a native sidecar's hostPort",
        level="warning",
        behaviour="",
        source="kubernetes/kubernetes#132037",
        see="Two pods on one node, the second of which hangs in Init: its sidecar cannot bind.",
        repair="Upgrade to Kubernetes 1.34, or do without hostPort.",
    )
)
def host_port(subject: Subject, world: World) -> Iterator[Hit]:
    """Before 1.34; a DaemonSet has one pod on each node anyway."""
    if "DaemonSet" in (subject.kind, subject.owner[0]) or not world.older_than(_HOST_PORTS):
        return
    for one in subject.natives:
        for place, port in mappings(one.spec.get("ports")):
            if port.get("hostPort"):
                path = (*one.path, "ports", place, "hostPort")
                yield Hit(
                    path,
                    f"hostPort {port['hostPort']} of {one.name} is not counted before 1.34: two "
                    "such pods can land on one node.",
                    one.name,
                    patch.owned(subject, patch.without(subject.document, path)),
                )


@rule(
    Rule(
        id="app-with-the-proxy-user",
        title="The app runs as the proxy's user: what it sends passes the proxy by",
        level="error",
        behaviour="start.no-plaintext",
        see="kubectl exec POD -c APP -- id: uid (or gid) is that of the proxy (Istio 1337, Linkerd "
        "2102), whose traffic is not redirected. All that the app sends crosses in clear.",
        repair="Run the app as any other user and group.",
    )
)
def proxy_user(subject: Subject, world: World) -> Iterator[Hit]:
    """Init containers that do so pass the proxy by on purpose, and are left out."""
    del world
    meshes = {one.id: one for one in _meshes(subject)}.values()
    pod = mapping(subject.spec.get("securityContext"))
    for mesh in meshes:
        for key, value in (("runAsUser", mesh.uid), ("runAsGroup", mesh.gid)):
            if value is None:
                continue
            for one in _others(subject):
                own = mapping(one.spec.get("securityContext"))
                if own.get(key, pod.get(key)) != value:
                    continue
                base = one.path if key in own else subject.spec_path
                path = (*base, "securityContext", key)
                yield Hit(
                    path,
                    f"{one.name} runs with {key}: {value}, as {mesh.id}'s proxy does: nothing that "
                    "it sends is redirected.",
                    one.name,
                    patch.owned(subject, patch.put(subject.document, path, OTHER_USER)),
                )


@rule(
    Rule(
        id="sidecar-vetoes-readiness",
        title="A sidecar that the app can do without takes the pod out of its Service",
        level="note",
        behaviour="see.ready",
        source="kubernetes/kubernetes#142145",
        see="kubectl get pod POD shows READY 1/2 and its Services leave it out while the sidecar's "
        "sink is down; all replicas at once are an outage.",
        repair="Take the readinessProbe from the sidecar, and watch it by other means.",
    )
)
def veto(subject: Subject, world: World) -> Iterator[Hit]:
    """Log shippers and collectors with a readinessProbe, behind a Service."""
    for one in (*subject.natives, *subject.classics):
        lesser = one.known is not None and one.known.kind in ("shipper", "telemetry")
        if not lesser or not one.spec.get("readinessProbe") or not subject.apps:
            continue
        for service in world.services_of(subject)[:1]:
            path = (*one.path, "readinessProbe")
            yield Hit(
                path,
                f"When {one.name} is not ready, Service {service.name} sends nothing to the app.",
                one.name,
                patch.owned(subject, patch.without(subject.document, path)),
            )


def _meshes(subject: Subject) -> Iterator[known.Sidecar]:
    for one in (*subject.natives, *subject.classics):
        if one.known is not None:
            yield one.known
    for injector in subject.asked:
        yield known.sidecars()[injector.sidecar]


def _others(subject: Subject) -> Iterator[Container]:
    """Containers that are no mesh's proxy: the app, and other sidecars."""
    for one in (*subject.regular, *subject.natives):
        if one.known is None or one.known.kind != "mesh":
            yield one
