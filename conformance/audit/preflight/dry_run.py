"""Asks the API server what it would admit of a workload's pod, now and after an upgrade."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.audit.api import Api, why
from conformance.audit.document import Document, mapping, strings
from conformance.audit.known import injectors
from conformance.audit.subject import PODS, Subject, subject
from conformance.errors import EnvironmentProblem

REVISION = "istio.io/rev"
STATUS = "sidecar.istio.io/status"
_FORBIDDEN = (401, 403)
_DENIED = (
    "denied the request"  # by a webhook, a quota or a policy: a refusal to tell, not to end on
)
_LONGEST = 40  # characters of a workload's name in the generated one


@dataclass(frozen=True)
class Target:
    """Where an upgrade leads. revision: of Istio, by label on the pod. namespace: one whose labels
    lead to the next injector; "" for the workload's own."""

    revision: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class Admission:
    """What the API server says to a pod. admitted: the workload with that pod as its template, or
    None where it is refused. revision: of Istio's injector that answered, or ""."""

    admitted: Subject | None
    refused: str = ""
    revision: str = ""

    def injected(self, *, by_revision: bool) -> bool:
        """Whether an injector has put a sidecar in. by_revision: one of Istio's."""
        marks = self.admitted.marks if self.admitted else {}
        return bool(self.revision) or (
            not by_revision and any(one.status in marks for one in injectors() if one.status)
        )


@dataclass
class DryRuns:
    """Dry runs against one API server. sent: how many."""

    api: Api
    sent: int = field(default=0)

    def present(self, workload: Subject) -> Admission:
        """As the workload would be admitted now."""
        return self._admission(workload, workload.document.namespace, None)

    def next(self, workload: Subject, target: Target) -> Admission:
        """As it would be admitted after the upgrade."""
        return self._admission(workload, target.namespace or workload.document.namespace, target)

    def _admission(self, workload: Subject, namespace: str, target: Target | None) -> Admission:
        content = pod(workload, namespace, target)
        status, told = self.api.would_admit(f"/api/v1/namespaces/{namespace}/pods", content)
        self.sent += 1
        if status in (200, 201):
            template = {"metadata": told.get("metadata"), "spec": told.get("spec")}
            annotations = strings(mapping(told.get("metadata")).get("annotations"))
            return Admission(
                _with_template(workload, template), "", _revision(annotations.get(STATUS, ""))
            )
        said = why(status, told)
        if status in _FORBIDDEN and _DENIED not in said and "exceeded quota" not in said:
            raise EnvironmentProblem(
                f"A dry run of a pod in namespace {namespace} is refused ({said}); preflight needs "
                "the right to create pods there, and creates none."
            )
        return Admission(None, said)


def pod(workload: Subject, namespace: str, target: Target | None) -> Mapping[str, Any]:
    """The pod to ask about: the template under a new name, marked for the target."""
    metadata = mapping(workload.pod.get("metadata"))
    labels = strings(metadata.get("labels"))
    if target is not None and target.revision:
        labels[REVISION] = target.revision
    spec = copy.deepcopy(dict(workload.spec))
    if namespace != workload.document.namespace:
        # Its service account and pull secrets are not there; they decide nothing here.
        for name in ("serviceAccountName", "serviceAccount", "imagePullSecrets"):
            spec.pop(name, None)
        if target is not None and not target.revision:
            labels.pop(REVISION, None)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{workload.document.name[:_LONGEST].rstrip('.-')}-",
            "namespace": namespace,
            "labels": labels,
            "annotations": strings(metadata.get("annotations")),
        },
        "spec": spec,
    }


def _with_template(workload: Subject, template: Mapping[str, Any]) -> Subject | None:
    """The workload as if its template were the pod that was admitted."""
    content = copy.deepcopy(dict(workload.document.content))
    *above, last = PODS[workload.kind]
    place: Any = content
    for step in above:
        place = place[step]
    place[last] = template
    return subject(Document(content, workload.document.file))


def _revision(status: str) -> str:
    try:
        return str(mapping(json.loads(status)).get("revision") or "")
    except ValueError:
        return ""
