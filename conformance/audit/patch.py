"""Repairs as patches that apply: JSON patches (RFC 6902), and merge patches (RFC 7386)."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conformance.audit.document import Document, Path, mapping, pointer
from conformance.audit.hooks import quits
from conformance.audit.known import Injector
from conformance.audit.subject import PODS, Container, Subject

Operation = Mapping[str, Any]
PERIOD = 1  # seconds between the attempts of a startupProbe; the default, 10, holds the app up
ATTEMPTS = 120
# What the API server lets nobody change of an object that is there (Kubernetes:
# pkg/apis/batch/validation/validation.go, ValidateJobSpecUpdate), as far as patches touch it.
_FIXED: Mapping[str, Sequence[str]] = {"Job": ("template", "podFailurePolicy")}
# What the API server gave an object, and will not have when that is created anew.
_UID_LABELS = ("controller-uid", "job-name")
_GIVEN: Mapping[str, Any] = {
    "Job": {
        "spec": {
            "selector": None,
            "manualSelector": None,
            "template": {
                "metadata": {
                    "labels": {
                        f"{prefix}{name}": None
                        for prefix in ("", "batch.kubernetes.io/")
                        for name in _UID_LABELS
                    }
                }
            },
        }
    }
}
_LOCALLY = ("kubectl", "patch", "--local", "-f", "-")


@dataclass(frozen=True)
class Patch:
    """What mends an object. body: a list of operations (json), or what is merged (merge)."""

    kind: str
    namespace: str
    name: str
    type: Literal["json", "merge"]
    body: Sequence[Operation] | Mapping[str, Any]

    @property
    def anew(self) -> str:
        """Why the object has to be made anew, for the API server would refuse the patch of one that
        is there; "" where it takes it."""
        if self.kind == "Pod":
            return "a pod cannot be changed"
        fixed = _FIXED.get(self.kind, ())
        if isinstance(self.body, Mapping):
            places = list(mapping(self.body.get("spec")))
        else:
            places = ["".join(str(one["path"]).split("/")[2:3]) for one in self.body]
        found = next((name for name in fixed if name in places), "")
        return f"a {self.kind}'s {found} cannot be changed" if found else ""

    @property
    def command(self) -> str:
        """The command that applies it, quoted: manifests may hold anything as a name. What has to
        be made anew is read, mended, deleted and created."""
        where = ["-n", self.namespace] if self.namespace else []
        what = [self.kind.lower(), self.name, *where]
        how = [f"--type={self.type}", "-p", json.dumps(self.body)]
        if not self.anew:
            return shlex.join(["kubectl", "patch", *what, *how])
        steps = [["kubectl", "get", *what, "-o", "json"], [*_LOCALLY, *how, "-o", "json"]]
        if self.kind in _GIVEN:
            given = ["--type=merge", "-p", json.dumps(_GIVEN[self.kind])]
            steps.append([*_LOCALLY, *given, "-o", "json"])
        steps.append(["kubectl", "replace", "--force", "-f", "-"])
        return " | ".join(map(shlex.join, steps))


def of(document: Document, operations: Sequence[Operation]) -> Patch:
    """A JSON patch of this object."""
    return Patch(document.kind, document.namespace, document.name, "json", operations)


def annotated(subject: Subject, annotations: Mapping[str, str]) -> Patch | None:
    """Annotations for the pods of a workload, or of the workload that made a live pod.

    None where that workload is a Job: its template cannot be changed, and no other is at hand.
    """
    kind, name = subject.owner if subject.owner[0] else (subject.kind, subject.document.name)
    if kind not in PODS or (subject.owner[0] and kind == "Job"):
        return None
    body: dict[str, Any] = {"metadata": {"annotations": dict(annotations)}}
    for step in reversed(PODS[kind]):
        body = {str(step): body}
    return Patch(kind, subject.document.namespace, name, "merge", body)


def native(subject: Subject, container: Container) -> Patch | None:
    """Make a classic sidecar native: by moving the container, or, where the pod alone shows it, by
    the annotation that its injector heeds in the workload's template."""
    injector = subject.injector_of(container)
    if injector is not None and subject.owner[0]:
        return annotated(subject, injector.native) if injector.native else None
    return owned(subject, to_init(subject, container))


def to_init(subject: Subject, container: Container) -> Patch:
    """Move a container to initContainers, as a native sidecar, with a startupProbe and without a
    hook that would take it away early."""
    spec = {**copy.deepcopy(dict(container.spec)), "restartPolicy": "Always"}
    if "startupProbe" not in spec:
        spec |= probed(container)
    if quits(container):
        lifecycle = {k: v for k, v in spec.pop("lifecycle").items() if k != "preStop"}
        spec |= {"lifecycle": lifecycle} if lifecycle else {}
    inits = pointer((*subject.spec_path, "initContainers"))
    at = _place(subject, container)
    operations: list[Operation] = [
        {"op": "test", "path": pointer((*container.path, "name")), "value": container.name},
        {"op": "remove", "path": pointer(container.path)},
    ]
    if subject.inits:
        operations.append({"op": "add", "path": f"{inits}/{at}", "value": spec})
    else:
        operations.append({"op": "add", "path": inits, "value": [spec]})
    return of(subject.document, operations)


def _place(subject: Subject, container: Container) -> int:
    """After its own init containers, and, unless it is the mesh itself, after a native mesh."""
    before = container.known.before if container.known else ()
    first = [
        one.place
        for one in subject.inits
        if one.name in before or (one.native and _is_mesh(one) and not _is_mesh(container))
    ]
    return max(first, default=-1) + 1


def _is_mesh(container: Container) -> bool:
    return container.known is not None and container.known.kind == "mesh"


def probed(container: Container) -> Mapping[str, Any]:
    """What gives a sidecar a startupProbe: the probe, and its arguments with the flags that the
    probe needs. Empty where nothing can be asked."""
    probe = startup_probe(container)
    flags = container.known.flags if container.known else ()
    args = list(container.spec.get("args") or [])
    absent = [flag for flag in flags if flag not in args]
    if not probe or not absent:
        return {"startupProbe": probe} if probe else {}
    return {"startupProbe": probe, "args": [*absent, *args]}


def startup_probe(container: Container) -> Mapping[str, Any]:
    """A startupProbe for a sidecar: what its image is known to answer, else what its other probes
    ask, else its first TCP port. Empty where nothing can be asked."""
    if container.known is not None and container.known.probe:
        return container.known.probe
    paced = {"periodSeconds": PERIOD, "failureThreshold": ATTEMPTS}
    for other in ("readinessProbe", "livenessProbe"):
        probe = container.spec.get(other)
        if isinstance(probe, Mapping):
            asks = ("httpGet", "tcpSocket", "exec", "grpc")
            how = {key: probe[key] for key in asks if key in probe}
            if how:
                return {**how, **paced}
    for port in container.spec.get("ports") or []:
        if port.get("protocol", "TCP") == "TCP":
            return {"tcpSocket": {"port": port["containerPort"]}, **paced}
    return {}


def put(document: Document, path: Path, value: Any) -> Patch:
    """Set one field, there or not (RFC 6902: add replaces); what holds it must be there."""
    return of(document, [{"op": "add", "path": pointer(path), "value": value}])


def put_all(document: Document, path: Path, fields: Mapping[str, Any]) -> Patch:
    """Set several fields of what stands at path."""
    return of(
        document,
        [
            {"op": "add", "path": pointer((*path, name)), "value": value}
            for name, value in fields.items()
        ],
    )


def without(document: Document, path: Path) -> Patch:
    """Take one field out."""
    return of(document, [{"op": "remove", "path": pointer(path)}])


def moved(subject: Subject, container: Container, to: int) -> Patch | None:
    """Move an init container to another place of its list (the place that it then has)."""
    if subject.owner[0]:
        return None
    path = pointer((*container.path[:-1], to))
    operations: list[Operation] = [
        {"op": "test", "path": pointer((*container.path, "name")), "value": container.name},
        {"op": "move", "from": pointer(container.path), "path": path},
    ]
    return of(subject.document, operations)


def owned(subject: Subject, patch: Patch) -> Patch | None:
    """The patch, or None for a pod that something else has made: a pod cannot be changed, and where
    its template has the container is not known."""
    return None if subject.owner[0] else patch


def asked(subject: Subject, injector: Injector) -> Patch | None:
    """Ask this injector for the native pattern."""
    return annotated(subject, injector.native) if injector.native else None
