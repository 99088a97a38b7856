"""Live pods as an API server would list them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
PROXY: Json = {"name": "istio-proxy", "image": "istio/proxyv2:1.26.4"}
INIT: Json = {"name": "istio-init", "image": "istio/proxyv2:1.26.4"}
PROBE: Json = {"httpGet": {"path": "/healthz/ready", "port": 15021}, "periodSeconds": 1}
INJECTED = {"sidecar.istio.io/status": '{"revision":"default"}'}


def app() -> Json:
    return {"name": "app", "image": "shop/web:1.4", "ports": [{"containerPort": 8080}]}


def spec(*, native: bool) -> Json:
    proxy = {**PROXY, "restartPolicy": "Always", "startupProbe": PROBE} if native else {**PROXY}
    if native:
        return {"initContainers": [INIT, proxy], "containers": [app()]}
    return {"initContainers": [INIT], "containers": [app(), proxy]}


def pod(number: int, deployment: str, *, native: bool, namespace: str = "shop") -> Json:
    """A pod of a Deployment, whose proxy an injector has put in."""
    return {
        "metadata": {
            "name": f"{deployment}-6d4b75cb6d-{number:05}",
            "namespace": namespace,
            "labels": {"app": deployment, "pod-template-hash": "6d4b75cb6d"},
            "annotations": INJECTED,
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": f"{deployment}-6d4b75cb6d", "controller": True}
            ],
        },
        "spec": spec(native=native),
        "status": {"phase": "Running"},
    }


def deployment(name: str, namespace: str = "shop", **metadata: Any) -> Json:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": name}, **metadata},
                "spec": {"containers": [app()]},
            }
        },
    }
