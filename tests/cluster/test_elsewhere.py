"""A cluster that the suite did not make: its kubeconfig, what may be done there, what was left."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import config as k8s_config

from conformance.cluster import existing, leftovers, rights
from conformance.cluster.state import RUN_LABEL
from conformance.errors import EnvironmentProblem, UsageProblem
from conformance.images import named
from conformance.machine.paths import FIXTURES
from tests.stand_ins.api_server import Answer, ApiServer, Json, serving

pytestmark = pytest.mark.usefixtures("own_cache")


@dataclass
class Guarded(ApiServer):
    """Answers access reviews: everything but these verbs on these resources is allowed."""

    refused: frozenset[tuple[str, str]] = frozenset()

    def post(self, path: str, query: Any, body: Json) -> Answer:
        if not path.endswith("/selfsubjectaccessreviews"):
            return super().post(path, query, body)
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        allowed = (asked["verb"], resource) not in self.refused
        return 201, {"spec": body["spec"], "status": {"allowed": allowed}}


def _client(kubeconfig: Path) -> Any:
    return k8s_config.new_client_from_config(str(kubeconfig))


def test_a_context_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump({"contexts": [{"name": "staging"}], "current-context": ""}))
    with pytest.raises(UsageProblem, match=r"CONTEXT=prod is not in .*; choose from staging\."):
        existing.reach(file, "prod", tmp_path / "cut")
    with pytest.raises(UsageProblem, match="no context is the current one of"):
        existing.reach(file, "", tmp_path / "cut")
    file.write_text("[]")
    with pytest.raises(UsageProblem, match="is no kubeconfig"):
        existing.contexts(file)


def test_rights_that_lack_are_named_before_anything_is_made(tmp_path: Path) -> None:
    refused = frozenset({("create", "namespaces"), ("get", "pods/log")})
    server = Guarded(refused=refused)
    with serving(server, tmp_path) as kubeconfig:
        with pytest.raises(EnvironmentProblem) as said:
            rights.require(_client(kubeconfig), [rights.BASE])
        rights.require(_client(kubeconfig), [f"{rights.BASE}-agent", f"{rights.BASE}-fixture"])
    assert "may not create namespaces, get pods/log in all namespaces" in str(said.value)
    assert f"bind the role {rights.BASE}." in str(said.value)
    assert not server.sent


def test_every_role_has_least_rights() -> None:
    for document in yaml.safe_load_all(rights.RULES.read_text()):
        assert document["metadata"]["name"].startswith(rights.BASE)
        for rule in document["rules"]:
            assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])


def test_what_a_run_left_is_found_by_its_label(tmp_path: Path) -> None:
    labels = {"one": RUN_LABEL, "two": RUN_LABEL}
    items = [
        {"metadata": {"name": f"sc-{run}-{place}", "labels": {label: run}}}
        for run, label in labels.items()
        for place in ("run", "cell")
    ]
    with serving(ApiServer(lists={"/api/v1/namespaces": items}), tmp_path) as kubeconfig:
        found = leftovers.found(_client(kubeconfig))
    assert found == {"one": ["sc-one-run", "sc-one-cell"], "two": ["sc-two-run", "sc-two-cell"]}
    forbidden = ApiServer(forbidden=frozenset({"/api/v1/namespaces"}))
    with (
        serving(forbidden, tmp_path) as kubeconfig,
        pytest.raises(EnvironmentProblem, match="cannot be listed: Forbidden"),
    ):
        leftovers.found(_client(kubeconfig))


def test_images_are_known_by_what_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentProblem, match="app are not made yet; make them with"):
        named.read(["app"], "")
    named.write({"app": "sidecar-conformance/app:abc"})
    assert named.read(["app"], "") == {"app": "sidecar-conformance/app:abc"}
    monkeypatch.setattr(named, "_recipe", lambda _: "other")
    with pytest.raises(EnvironmentProblem, match="of another state of this suite"):
        named.read(["app"], "")


def test_in_a_registry_images_are_known_by_their_sources_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run inside a cluster has neither an engine nor the cache of who has pushed them."""
    (name,) = named.read(["app"], "r.internal/m").values()
    assert name == named.pushed("app", "r.internal/m")
    assert re.fullmatch(r"r\.internal/m/sidecar-conformance/app:[0-9a-f]{12}", name)
    shutil.copytree(FIXTURES / "app", tmp_path / "app")
    (tmp_path / "app" / ".mypy_cache").mkdir()
    (tmp_path / "app" / ".mypy_cache" / "x").touch()
    monkeypatch.setattr("conformance.machine.paths.FIXTURES", tmp_path)
    assert named.pushed("app", "r.internal/m") == name
    (tmp_path / "app" / "stamps.py").write_text("")
    assert named.pushed("app", "r.internal/m") != name
