"""Reads a cluster, read-only and page by page: nothing of it is kept but what the rules keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from conformance.audit.api import Api, why
from conformance.audit.document import Document, mapping, mappings, strings
from conformance.errors import EnvironmentProblem, UsageProblem

PAGE = 500  # objects: what kubectl asks for
_GONE = 410  # the list that is paged through is too old; the answer says where to go on
# Labels that hold the hash of a template, and who makes ReplicaSets with them.
_HASHES = {"pod-template-hash": "Deployment", "rollouts-pod-template-hash": "Rollout"}
_MOST_ANEW = 10  # times that one list is gone on with after it grew too old


@dataclass(frozen=True)
class Resource:
    """A kind of objects. base: its API. spaced: whether it is in namespaces. needed: whether
    nothing can be said without it."""

    kind: str
    base: str
    plural: str
    spaced: bool = True
    needed: bool = False


NAMESPACES = Resource("Namespace", "/api/v1", "namespaces", spaced=False)
NODES = Resource("Node", "/api/v1", "nodes", spaced=False)
SERVICES = Resource("Service", "/api/v1", "services")
QUOTAS = Resource("ResourceQuota", "/api/v1", "resourcequotas")
OBJECTS = (
    Resource(
        "MutatingWebhookConfiguration",
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        spaced=False,
    ),
)
# Workloads before their pods: what a template says needs no pod to say it again.
WORKLOADS = (
    Resource("Deployment", "/apis/apps/v1", "deployments"),
    Resource("StatefulSet", "/apis/apps/v1", "statefulsets"),
    Resource("DaemonSet", "/apis/apps/v1", "daemonsets"),
    Resource("CronJob", "/apis/batch/v1", "cronjobs"),
    Resource("Job", "/apis/batch/v1", "jobs"),
    Resource("ReplicaSet", "/apis/apps/v1", "replicasets"),
)
PODS = Resource("Pod", "/api/v1", "pods", needed=True)


@dataclass
class Cluster:
    """A cluster to read. namespace: the only one; "" for all. unread: what could not be read."""

    api: Api
    namespace: str = ""
    unread: list[str] = field(default_factory=list)
    pages: int = 0

    def objects(self, resource: Resource) -> Iterator[Document]:
        """Every object of a kind, page by page. Raises EnvironmentProblem for what is needed.

        Who looks at one namespace alone need not be able to read what is in none.
        """
        path = f"{resource.base}/{resource.plural}"
        if resource.spaced and self.namespace:
            path = f"{resource.base}/namespaces/{self.namespace}/{resource.plural}"
        version = resource.base.removeprefix("/apis/").removeprefix("/api/")
        after, anew = "", 0
        while True:
            query = [("limit", PAGE), *([("continue", after)] if after else [])]
            status, page = self.api.get(path, query)
            if status == _GONE and anew < _MOST_ANEW:
                # The rest of an older list, as the answer offers it: what came meanwhile is missed.
                after, anew = str(mapping(page.get("metadata")).get("continue") or ""), anew + 1
                if not after:
                    self._refused(resource, "the list grew too old while it was read")
                    return
                continue
            if status != 200:
                self._refused(resource, why(status, page))
                return
            self.pages += 1
            for _, item in mappings(page.get("items")):
                yield Document({"apiVersion": version, "kind": resource.kind, **item})
            after = str(mapping(page.get("metadata")).get("continue") or "")
            if not after:
                return

    def version(self) -> int | None:
        """The minor of the API server, or of the oldest kubelet, where nodes can be listed."""
        status, told = self.api.get("/version")
        found = [_minor(f"v1.{told.get('minor', '')}")] if status == 200 else []
        for node in self.objects(NODES):
            info = mapping(mapping(node.content.get("status")).get("nodeInfo"))
            found.append(_minor(str(info.get("kubeletVersion") or "")))
        known = [one for one in found if one is not None]
        return min(known) if known else None

    def spaces(self) -> Mapping[str, Mapping[str, str]]:
        """Labels and annotations of all namespaces, by name."""
        return {one.name: marks(one) for one in self.objects(NAMESPACES)}

    def space(self) -> Mapping[str, Mapping[str, str]]:
        """Labels and annotations of the namespaces that are read, by name."""
        if not self.namespace:
            return self.spaces()
        status, told = self.api.get(f"/api/v1/namespaces/{self.namespace}")
        if status == 404:
            raise UsageProblem(f"There is no namespace {self.namespace} in this cluster.")
        if status != 200:
            self._refused(NAMESPACES, why(status, told))
            return {}
        return {self.namespace: marks(Document(told))}

    def _refused(self, resource: Resource, why: str) -> None:
        where = f"namespace {self.namespace}" if self.namespace else "the cluster"
        sentence = f"The {resource.plural} of {where} could not be read ({why})."
        if self.namespace and not resource.spaced and resource is not NAMESPACES:
            return
        if resource.needed:
            raise EnvironmentProblem(
                f"{sentence} Audit needs get and list on what it reads, and nothing else."
            )
        self.unread.append(sentence)


def marks(document: Document) -> Mapping[str, str]:
    """An object's own labels and annotations."""
    metadata = document.metadata
    return strings(metadata.get("labels")) | strings(metadata.get("annotations"))


def owner(document: Document) -> tuple[str, str]:
    """The workload that made a pod (or a Job, or a ReplicaSet), or ("", "").

    A Deployment (or a Rollout of Argo's) is told by its ReplicaSet's name, which ends in the pod's
    own template hash; a CronJob by its Job's, which ends in the minute that it was for.
    """
    for _, one in mappings(document.metadata.get("ownerReferences")):
        kind, name = str(one.get("kind") or ""), str(one.get("name") or "")
        if not one.get("controller"):
            continue
        labels = strings(document.metadata.get("labels"))
        for label, maker in _HASHES.items() if kind == "ReplicaSet" else ():
            ending = f"-{labels.get(label, '')}"
            if len(ending) > 1 and name.endswith(ending):
                return maker, name.removesuffix(ending)
        if kind == "Job":
            base, _, minute = name.rpartition("-")
            if base and minute.isdigit() and len(minute) >= 8:
                return "CronJob", base
        return kind, name
    return "", ""


def ended(document: Document) -> bool:
    """Whether a pod has ended: it is no hazard any more."""
    return mapping(document.content.get("status")).get("phase") in ("Succeeded", "Failed")


def _minor(version: str) -> int | None:
    digits = version.removeprefix("v1.").partition(".")[0].rstrip("+")
    return int(digits) if digits.isdigit() else None
