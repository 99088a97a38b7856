"""What a cluster says that refuses the first pod of a run is told in its own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes import client as k8s

from conformance.errors import EnvironmentProblem
from conformance.observe import arrival

WORDS = (
    'pods "arrival" is forbidden: violates PodSecurity "restricted:latest": '
    'allowPrivilegeEscalation != false (container "app" must set '
    "securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true"
)


class Core:
    """Refuses pods, as the API server did that has Pod Security restricted everywhere."""

    def __init__(self, status: int, body: object, refusals: int = 1_000_000) -> None:
        self.refusals = refusals
        self.error = k8s.ApiException(status=status, reason="Forbidden")
        self.error.body = body

    def create_namespaced_pod(self, *_: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise self.error


def _said(body: object, status: int = 403) -> str:
    core: Any = Core(status, body)
    with pytest.raises(EnvironmentProblem) as found:
        arrival._create(core, "sc-run", "node", "app:1")
    return str(found.value)


def test_a_refusal_is_told_in_the_clusters_words_and_not_as_it_was_packed() -> None:
    said = _said(json.dumps({"kind": "Status", "metadata": {}, "message": WORDS, "code": 403}))
    assert said.startswith(f"The cluster refuses a plain pod of the suite: {WORDS}; it needs ")
    assert "{" not in said


def test_a_policy_about_service_accounts_is_no_account_that_comes_in_a_moment() -> None:
    denied = 'admission webhook "v" denied the request: serviceAccountName must not be default'
    assert denied in _said(json.dumps({"message": denied}))


def test_an_account_that_comes_in_a_moment_is_waited_for() -> None:
    missing = 'pods "arrival" is forbidden: error looking up service account sc-run/default'
    core: Any = Core(403, json.dumps({"message": missing}), refusals=2)
    arrival._create(core, "sc-run", "node", "app:1")
    assert core.refusals == 0


def test_what_is_cut_says_so() -> None:
    said = _said(json.dumps({"message": "no " * 900}))
    assert " …; it needs namespaces without" in said
    assert len(said) < 600


@pytest.mark.parametrize("body", [None, "", "<html>busy</html>", b"\xff", '"text"'])
def test_an_answer_of_another_form_is_told_too(body: object) -> None:
    assert _said(body, 500).startswith("The cluster refuses a plain pod of the suite: ")
