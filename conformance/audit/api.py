"""Asks an API server: lists and objects, and what it would admit. Nothing is ever created."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client as k8s
from kubernetes import config
from urllib3.exceptions import HTTPError

from conformance.audit.document import mapping
from conformance.errors import EnvironmentProblem, UsageProblem
from conformance.machine import waiting
from conformance.machine.paths import expanded

PATIENCE = 60  # seconds for an answer; an API server gives webhooks up to 30
_KUBECONFIGS = os.environ.get("KUBECONFIG") or "~/.kube/config"  # as kubectl looks for them
# An API server that has too much to do says so (priority and fairness: 429, Retry-After 1 s), or
# is restarted (503): it is asked again, and its last answer stands.
_BUSY, _BUSY_FOR, _AGAIN = (429, 503), 8, 1  # the last two in seconds
Answer = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True)
class Api:
    """An API server. client: of the kubernetes package."""

    client: Any

    def get(self, path: str, query: Sequence[tuple[str, object]] = ()) -> Answer:
        """Status and content of an object, or of a page of a list."""
        return self._ask("GET", path, query, None)

    def would_admit(self, path: str, content: Mapping[str, Any]) -> Answer:
        """What would come of creating this object: it goes through admission, and is dropped."""
        return self._ask("POST", path, [("dryRun", "All")], content)

    def _ask(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, object]],
        body: Mapping[str, Any] | None,
    ) -> Answer:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        asked = self.client.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        host = self.client.configuration.host
        said: list[tuple[int, bytes]] = []

        def idle() -> bool:
            said[:] = [self._once(asked)]
            return said[0][0] not in _BUSY

        waiting.within(_BUSY_FOR, idle, every=_AGAIN)
        status, content = said[0]
        try:
            return status, mapping(json.loads(content))
        except ValueError as error:
            if status != 200:
                return status, {"message": str(content)[:200]}
            raise EnvironmentProblem(
                f"{host} does not answer as an API server does ({path}: {error})."
            ) from error

    def _once(self, asked: Any) -> tuple[int, bytes]:
        try:
            answer = self.client.call_api(*asked, _request_timeout=PATIENCE)
            return int(answer.status), answer.read()
        except k8s.ApiException as error:
            return int(error.status or 0), error.body or b"{}"
        except (HTTPError, OSError) as error:
            raise EnvironmentProblem(
                f"The cluster at {self.client.configuration.host} does not answer "
                f"({type(error).__name__}: {error}); see that kubectl reaches it."
            ) from error


def why(status: int, told: Mapping[str, Any]) -> str:
    """An API server's refusal in its own words."""
    return f"{status} {told.get('message') or told.get('reason') or ''}".strip()


def _is_file(path: str) -> bool:
    try:
        return expanded(path).is_file()
    except UsageProblem:  # there is no home folder, so nothing lies in it
        return False


def connect(kubeconfig: str, context: str) -> Api:
    """The cluster that these name; "" for kubectl's own defaults, or the pod's own service account
    inside a cluster. Raises UsageProblem."""
    try:
        there = any(map(_is_file, _KUBECONFIGS.split(os.pathsep)))
        if not (kubeconfig or context or there):
            try:
                config.load_incluster_config()
                return Api(k8s.ApiClient())
            except config.ConfigException:
                pass
        if kubeconfig and not Path(kubeconfig).is_file():
            raise UsageProblem(f"--kubeconfig={kubeconfig}: there is no such file.")
        return Api(config.new_client_from_config(kubeconfig or None, context or None))
    except config.ConfigException as error:
        raise UsageProblem(
            f"No cluster can be told from --kubeconfig={kubeconfig} --context={context}: {error}"
        ) from error
