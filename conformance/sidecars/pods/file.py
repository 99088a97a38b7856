"""A workload of the user's own, as it is written: a Pod, a Deployment or a Job, with its sidecars.

The app is the container that the annotation kubectl.kubernetes.io/default-container names, or the
first one. Its sidecars are the init containers with restartPolicy Always; where there is none, the
other containers. What stands beside the workload in the file (ConfigMaps, Secrets …) is its set-up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubernetes import client as k8s

from conformance.plan.spelling import did_you_mean
from conformance.sidecars.driver import Manifest
from conformance.sidecars.manifests import containers, pod_of
from conformance.sidecars.own.file import SETUP_KINDS
from conformance.sidecars.written import document as written
from conformance.sidecars.written import shape
from conformance.sidecars.written.document import Document

WORKLOADS = {"Pod": k8s.V1Pod, "Deployment": k8s.V1Deployment, "Job": k8s.V1Job}
BESIDE = {
    kind: model for kind, model in SETUP_KINDS.items() if kind not in (*WORKLOADS, "StatefulSet")
}
APP_ANNOTATION = "kubectl.kubernetes.io/default-container"
OWN_IMAGE = "sidecar-conformance/app"
"""An annotation of the workload: "own-image" has the app's own image played."""
LONGEST = 20  # letters of a sidecar's name: see own/file.py, NAME
APP = "app"  # what the suite calls the app's container


@dataclass(frozen=True)
class Workload:
    """A checked file. kind: of the workload. pod: it, or its template. app: its container's name.

    pattern: as it is written. sidecars: the names of its containers, in spec order. own_image:
    whether the app is played by its own image, and not by the suite's program.
    """

    name: str
    kind: str
    pod: Manifest
    app: str
    pattern: Literal["classic", "native"]
    sidecars: tuple[str, ...]
    setup: Sequence[Manifest]
    own_image: bool = False

    @property
    def sidecar_containers(self) -> list[Manifest]:
        """The sidecars' containers, in spec order."""
        return [one for one in containers(self.pod) if one["name"] in self.sidecars]


def read(path: Path, called: str = "") -> Workload:
    """Read a file. Raises UsageProblem: file, line, field."""
    documents = written.read(path, called)
    for one in documents:
        _check(one)
    workloads = [one for one in documents if one.content["kind"] in WORKLOADS]
    if len(workloads) != 1:
        raise documents[-1].problem(
            ("kind",),
            f"makes {len(workloads)} workloads in the file, and one is wanted: a "
            f"{', a '.join(WORKLOADS)}; what stands beside it may be {', '.join(BESIDE)}",
        )
    (workload,) = workloads
    beside = [one.content for one in documents if one is not workload]
    return _workload(workload, beside)


def _check(document: Document) -> None:
    content = document.content
    if not isinstance(content, dict):
        raise document.problem((), "is no Kubernetes object")
    kind = content.get("kind")
    known = {**WORKLOADS, **BESIDE}
    if not isinstance(kind, str) or kind not in known:
        near = did_you_mean(str(kind), known).rstrip("?")
        raise document.problem(
            ("kind",), f"is {kind!r}{near or ', and may be ' + ', '.join(known)}"
        )
    shape.hold(document, known[kind], content)
    if not (content.get("metadata") or {}).get("name"):
        raise document.problem(("metadata",), "has no name")


def _workload(document: Document, beside: Sequence[Manifest]) -> Workload:
    content = document.content
    at = () if content["kind"] == "Pod" else ("spec", "template")
    found = content
    for key in (*at, "spec"):
        found = found.get(key) or {}
    if not found.get("containers"):
        raise document.problem((*at, "spec"), "has no containers")
    pod, spec = pod_of(content), found
    for flag in ("hostNetwork", "hostPID"):
        if spec.get(flag):
            raise document.problem(
                (*at, "spec", flag), "takes the pod out of a namespace of its own, and nothing of "
                "it could be told from the node's"
            )  # fmt: skip
    app = _app(document, pod, at)
    native = [
        one["name"]
        for one in spec.get("initContainers") or ()
        if one.get("restartPolicy") == "Always"
    ]
    others = [one["name"] for one in spec["containers"] if one["name"] != app]
    if not native and not others:
        raise document.problem(
            (*at, "spec", "containers"),
            f"is {app} alone, without a sidecar beside it: there is nothing to be judged",
        )
    names = native or others
    if APP in (set(native) | set(others)):
        raise document.problem(
            (*at, "spec"), f"has a container {APP} that is not the app, whose name that is here"
        )
    return Workload(
        name=_name(content["metadata"]["name"]),
        kind=content["kind"],
        pod=pod,
        app=app,
        pattern="native" if native else "classic",
        sidecars=tuple(names),
        setup=tuple(beside),
        own_image=_own_image(document),
    )


def _app(document: Document, pod: Manifest, at: tuple[str, ...]) -> str:
    """The name of the app's container."""
    names = [one["name"] for one in pod["spec"]["containers"]]
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    asked = annotations.get(APP_ANNOTATION)
    if asked is None:
        return str(names[0])
    if asked not in names:
        raise document.problem(
            (*at, "metadata", "annotations", APP_ANNOTATION),
            f"is {asked!r}, and the containers are {', '.join(names)}",
        )
    return str(asked)


def _own_image(document: Document) -> bool:
    annotations = document.content["metadata"].get("annotations") or {}
    asked = annotations.get(OWN_IMAGE)
    if asked not in (None, "own-image"):
        raise document.problem(
            ("metadata", "annotations", OWN_IMAGE),
            f"is {asked!r}, and may be own-image, or be left out for the suite's program",
        )
    return asked is not None


def _name(given: str) -> str:
    plain = re.sub(r"[^a-z0-9-]", "-", given.lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"pod-{plain}"
    return plain[:LONGEST].rstrip("-")
