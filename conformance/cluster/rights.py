"""What a run may do on a cluster of others: asked before it makes anything there.

fixtures/own-cluster/rbac.yaml holds the rights; the same file is what an administrator applies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import yaml
from kubernetes import client as k8s

from conformance.errors import EnvironmentProblem
from conformance.machine.paths import FIXTURES

RULES = FIXTURES / "own-cluster" / "rbac.yaml"
BASE = "sidecar-conformance"
_AT_ONCE = 8
_TOLD = 6  # missing rights that a sentence names


@dataclass(frozen=True)
class Right:
    """One verb on one resource, as SelfSubjectAccessReview asks for it."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def rights(role: str) -> Iterator[Right]:
    """Those of a role of rbac.yaml; none when it has no role of that name."""
    for document in yaml.safe_load_all(RULES.read_text()):
        if document["metadata"]["name"] != role:
            continue
        for rule in document["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from (Right(verb, group, resource) for verb in rule["verbs"])


def missing(client: Any, role: str) -> Sequence[Right]:
    """Rights of a role that whoever the kubeconfig is for does not have, in every namespace."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = list(rights(role))
        allowed = pool.map(lambda right: _may(client, right), asked)
        return [right for right, yes in zip(asked, allowed, strict=True) if not yes]


def require(client: Any, roles: Sequence[str]) -> None:
    """Raises EnvironmentProblem that names the rights that lack."""
    for role in roles:
        lacking = missing(client, role)
        if lacking:
            named = ", ".join(map(str, lacking[:_TOLD]))
            more = f" and {len(lacking) - _TOLD} more" if len(lacking) > _TOLD else ""
            raise EnvironmentProblem(
                f"The kubeconfig's user may not {named}{more} in all namespaces: "
                f"have an administrator apply {RULES} and bind the role {role}."
            )


def _may(client: Any, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    asked = {
        "spec": {
            "resourceAttributes": {
                "verb": right.verb,
                "group": right.group,
                "resource": resource,
                "subresource": subresource,
            }
        }
    }
    answer = k8s.AuthorizationV1Api(client).create_self_subject_access_review(asked)
    return bool(answer.status.allowed)
