"""The witness outside the mesh, as Linkerd must know it so that nothing is sent to it in clear.

By design Linkerd sends plaintext to every pod without a proxy. What it knows as an ExternalWorkload
with an identity gets TLS: the witness' Service is turned to one that has the witness' address. Its
listener hangs up after the first bytes, so no connection is ever made to anything in clear.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from kubernetes import client as k8s

from conformance.sidecars.linkerd.control_plane import MANIFESTS, create, wait
from conformance.sidecars.manifests import read

GROUP, PLURAL = "workload.linkerd.io", "externalworkloads"
SELECTOR = {"app": "witness"}
PROXY_PORT = "linkerd-proxy"  # pkg/k8s/labels.go, ProxyPortName


def introduce(namespace: str, client: Any, addresses: Sequence[str], mesh_port: int) -> None:
    """Turn the witness' Services to a workload outside the mesh with the witness' own addresses,
    and wait until that alone is behind them. There is a Service for each family of addresses.
    mesh_port: where TLS is sent. Raises EnvironmentProblem."""
    core = k8s.CoreV1Api(client)
    services = {
        service.metadata.name: {port.port: port for port in service.spec.ports}
        for service in core.list_namespaced_service(namespace).items
        if service.spec.selector == SELECTOR
    }
    offered = {number: port for ports in services.values() for number, port in ports.items()}
    (document,) = read(MANIFESTS / "witness.yaml", {"NAMESPACE": namespace})
    document["spec"]["workloadIPs"] = [{"ip": address} for address in addresses]
    document["spec"]["ports"] = [
        {
            "name": PROXY_PORT if number == mesh_port else port.name,
            "port": number,
            "protocol": port.protocol or "TCP",
        }
        for number, port in offered.items()
    ]
    create(client, GROUP, PLURAL, document)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now, "lastProbeTime": now}
    k8s.CustomObjectsApi(client).patch_namespaced_custom_object_status(
        GROUP,
        document["apiVersion"].rpartition("/")[2],
        namespace,
        PLURAL,
        document["metadata"]["name"],
        {"status": {"conditions": [ready]}},
    )
    selector = {"spec": {"selector": document["metadata"]["labels"]}}
    discovery = k8s.DiscoveryV1Api(client)
    for service in services:
        core.patch_namespaced_service(service, namespace, selector)

    def turned(service: str) -> bool:
        """Whether the workload's address is behind the Service, and no pod is."""
        slices = discovery.list_namespaced_endpoint_slice(
            namespace, label_selector=f"kubernetes.io/service-name={service}"
        ).items
        behind = [
            (endpoint, {port.port for port in entry.ports or ()})
            for entry in slices
            for endpoint in entry.endpoints or ()
        ]
        return bool(behind) and all(
            set(endpoint.addresses) <= set(addresses)
            and endpoint.target_ref is not None
            and endpoint.target_ref.kind == "ExternalWorkload"
            and set(services[service]) <= numbers
            for endpoint, numbers in behind
        )

    for service in services:
        wait(
            partial(turned, service),
            f"Linkerd did not put {document['kind']} {service} behind its Service",
        )
