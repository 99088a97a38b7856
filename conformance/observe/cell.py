"""Observes one cell: plays its scenario on its cluster and closes the bundle with its index.

The bundle of a worker that died is never mistaken for a whole one: cell.json is written last.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

from conformance.cluster.connection import connect
from conformance.cluster.context import Context
from conformance.cluster.state import ClusterHandle
from conformance.evidence.vocabulary import File, Step
from conformance.machine import files as atomic
from conformance.model import Cell
from conformance.observe.node import collectors as node
from conformance.observe.pods import role_of
from conformance.observe.scenarios.job.batch import BOUND_SECONDS
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.observe.watch import STATUSES, Json
from conformance.plan.catalogue import scenarios
from conformance.sidecars.driver import Admitted, KeepsRecords, TellsRequests, load

SCHEMA = 1


def observe(cell: Cell, attempt: int, handle: ClusterHandle, context: Context) -> Path:
    """Play the cell's scenario and return its bundle.

    A scenario that got stuck still gives a bundle, with what it was stuck on in steps.jsonl.
    """
    slug = cell.slug if attempt == 1 else f"{cell.slug}-{attempt}"
    namespace, bundle = handle.namespace(slug), handle.evidence / slug
    bundle.mkdir(parents=True)
    client = connect(handle.kubeconfig)
    driver = load(cell.sidecar, context.versions)
    stage = Stage(
        cell=cell,
        handle=handle,
        client=client,
        driver=driver,
        facts=driver.facts(cell, namespace),
        namespace=namespace,
        nonce=secrets.token_hex(6),
        bundle=bundle,
        images=context.image_names,
        context=context,
    )
    started = stage.place.now_ns()
    begins = node.sizes(handle.evidence)
    name = scenarios()[cell.scenario].plays
    scenario = importlib.import_module(f"conformance.observe.scenarios.{name}")
    subject = "subject"
    with stage.opened():
        with stage.going_on(), stage.place.refusing():
            subject = scenario.observe(stage)
        ended = stage.step(Step.END)
        if isinstance(driver, KeepsRecords):
            stage.watch.catch_up()
            driver.keep_records(handle, client, namespace, started, bundle)
        stage.strike()
        stage.place.collect(namespace, bundle)
        index = _index(stage, subject)
    if isinstance(driver, TellsRequests):  # the logs have come to their end
        driver.write_requests(bundle)
    index |= {"run": context.run_id, "attempt": attempt, "started_ns": started, "ended_ns": ended}
    if handle.label:
        index |= {"folder": slug, "unseen": handle.unseen}
    if handle.label and not handle.agent:
        index["trouble"] = list(stage.watch.trouble)
    else:
        index["trouble"] = [*stage.watch.trouble, *_extract(stage, index, begins)]
    index["images"] = {name: asdict(record) for name, record in context.images.items()}
    _write(bundle, index)
    return bundle


def _index(stage: Stage, subject: str) -> Json:
    pods = {
        role_of(pod) if pod["metadata"]["name"] != subject else subject: _pod(stage, pod)
        for pod in stage.watch.all("Pod")
    }
    pod = stage.watch.newest("Pod", subject)
    admitted = (
        stage.driver.admitted(pod, stage.cell)
        if pod
        else Admitted("none", f"no pod {subject} was ever seen")
    )
    facts = stage.facts
    spec = pod["spec"] if pod else {}
    services = _services(stage)
    return {
        "schema": SCHEMA,
        "nonce": stage.nonce,
        "namespace": stage.namespace,
        "cell": asdict(stage.cell),
        "admitted": {"pattern": admitted.pattern, "why": admitted.why},
        "subject": subject,
        "app": APP_CONTAINER,
        "sidecars": list(admitted.sidecars),
        "pods": pods,
        **({"nodes": _nodes(stage)} if stage.handle.workers else {}),
        "addresses": {
            "gateway": _gateways(stage.handle),
            "dns": services.pop("kube-dns", []),
            **{
                role: [*pods.get(role, {}).get("ips", ()), *ips]
                for role, ips in {"witness": [], "dialer": [], "peer": [], **services}.items()
            },
        },
        "ports": dict(facts.ports),
        "gate": facts.gate,
        "stamped": facts.stamped,
        "identities": dict(facts.identities),
        "grace_seconds": spec.get("terminationGracePeriodSeconds", 30),
        "start_delay_seconds": facts.start_delay_seconds,
        "sidecar_drain_seconds": facts.sidecar_drain_seconds,
        "app_drain_seconds": _app_drain(spec),
        "job_bound_seconds": BOUND_SECONDS,
        "proxy_answers": {key: list(words) for key, words in facts.proxy_answers.items()},
        "versions": _versions(stage),
    }


def _pod(stage: Stage, pod: Json) -> Json:
    name = pod["metadata"]["name"]
    net = stage.bundle / "capture" / name / "net.json"
    sandbox = json.loads(net.read_text())["sandbox"] if net.exists() else ""
    images = {
        one["name"]: one["image"]
        for group in ("initContainers", "containers", "ephemeralContainers")
        for one in pod["spec"].get(group) or ()
    }
    containers: dict[str, Json] = {
        one: {"id": "", "ids": [], "image": image, "image_id": ""} for one, image in images.items()
    }
    addresses: Json = {}
    for version in _versions_of(stage.bundle, pod["metadata"]["uid"]):
        status = version.get("status", {})
        if status.get("podIP"):  # the last versions of a pod that has ended may have none
            addresses = status
        for group in STATUSES:
            for one in status.get(group) or ():
                entry = containers[one["name"]]
                before = one.get("lastState", {}).get("terminated", {})  # it may have been quick
                for its in (before, one):
                    ident = its.get("containerID", "").partition("://")[2]
                    if ident and ident not in entry["ids"]:
                        entry["ids"].append(ident)
                if one.get("containerID"):
                    entry["id"] = entry["ids"][-1]
                    entry["image_id"] = one.get("imageID", "")
    return {
        "uid": pod["metadata"]["uid"],
        "name": name,
        "ip": addresses.get("podIP", ""),
        "ips": [entry["ip"] for entry in addresses.get("podIPs") or ()],
        "sandbox": sandbox,
        "node": pod["spec"].get("nodeName", ""),
        "containers": containers,
    }


def _nodes(stage: Stage) -> Json:
    """The nodes of a cluster that has several: their addresses, in the order of its config."""
    found = {
        node.metadata.name: [
            one.address for one in node.status.addresses if one.type == "InternalIP"
        ]
        for node in stage.core.list_node().items
    }
    return {name: {"addresses": found.get(name, [])} for name in stage.handle.nodes}


def _versions_of(bundle: Path, uid: str) -> Sequence[Json]:
    found = []
    with (bundle / File.WATCH).open() as lines:
        for line in lines:
            if uid in line:
                event = json.loads(line)
                if event["object"]["metadata"]["uid"] == uid:
                    found.append(event["object"])
    return found


def _services(stage: Stage) -> dict[str, list[str]]:
    found = {
        service.metadata.name: list(service.spec.cluster_ips or ())
        for service in stage.core.list_namespaced_service(stage.namespace).items
    }
    try:
        dns = stage.core.read_namespaced_service("kube-dns", "kube-system").spec.cluster_ips
    except k8s.ApiException as error:  # by another name, or not to be looked at
        if not stage.handle.label or error.status not in (403, 404):
            raise
        dns = []
    return {**found, "kube-dns": list(dns)}


def _gateways(handle: ClusterHandle) -> list[str]:
    """The node's own addresses in the pod network: where the kubelet's probes come from."""
    found: dict[str, None] = {}
    for net in handle.evidence.glob("*/capture/*/net.json"):
        found.update(dict.fromkeys(json.loads(net.read_text()).get("gateways", ())))
    return list(found)


def _app_drain(spec: dict[str, Any]) -> float:
    for container in spec.get("containers") or ():
        for variable in container.get("env") or ():
            if variable["name"] == "SC_DRAIN_SECONDS":
                return float(variable["value"])
    return 0.0


def _versions(stage: Stage) -> Json:
    path = stage.handle.kubeconfig.with_name("versions.json")
    found: Json = json.loads(path.read_text())
    return found


def _extract(stage: Stage, index: Json, begins: Mapping[str, int]) -> list[str]:
    """Bring what the node's collectors saw of this cell into the bundle; says what is missing."""
    pods = index["pods"].values()
    ids = {i for pod in pods for c in pod["containers"].values() for i in c["ids"]}
    return node.extract(
        stage.handle.evidence,
        stage.bundle.name,
        container_ids=ids | stage.outside,
        sandbox_ids={pod["sandbox"] for pod in pods if pod["sandbox"]},
        pod_uids={pod["uid"] for pod in pods},
        pods={index["subject"]: index["pods"].get(index["subject"], {}).get("ips", [])},
        started_ns=index["started_ns"],
        ended_ns=index["ended_ns"],
        begins=begins,
        homes={pod["name"]: pod["node"] for pod in pods},
    )


def _write(bundle: Path, index: Json) -> None:
    index["files"] = {
        str(path.relative_to(bundle)): _seal(path)
        for path in sorted(bundle.rglob("*"))
        if path.is_file()
    }
    atomic.write_text(bundle / File.CELL, json.dumps(index, indent=1))


def _seal(path: Path) -> Json:
    """A file's length and digest at one moment: who is not captured may still be writing to it."""
    left = size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while left > 0 and (block := source.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}
