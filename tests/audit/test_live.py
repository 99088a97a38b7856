"""A cluster is read in pages, and only read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from conformance.audit import api, examine, live
from conformance.audit.document import Document
from conformance.audit.finding import Finding
from conformance.cli import main
from conformance.errors import EnvironmentProblem, UsageProblem
from conformance.machine.paths import FIXTURES
from tests.audit import pods
from tests.stand_ins.api_server import ApiServer, serving

PODS, DEPLOYMENTS = "/api/v1/pods", "/apis/apps/v1/deployments"


def audited(
    server: ApiServer, folder: Path, namespace: str = ""
) -> tuple[list[Finding], list[str]]:
    with serving(server, folder) as kubeconfig:
        source = live.Cluster(api.connect(str(kubeconfig), ""), namespace)
        found = examine.cluster(source, None)
    assert {method for method, _, _ in server.asked} == {"GET"}
    return list(found.findings.ordered()), list(found.unread)


def test_pods_of_one_workload_are_one_finding(tmp_path: Path) -> None:
    server = ApiServer({PODS: [pods.pod(n, "web", native=False) for n in range(25)]}, page=10)
    (found,), unread = audited(server, tmp_path)
    assert (found.rule.id, found.object, found.pods) == (
        "classic-sidecar",
        "Deployment shop/web",
        25,
    )
    assert found.patch is not None
    assert found.patch.command == (
        "kubectl patch deployment web -n shop --type=merge -p "
        '\'{"spec": {"template": {"metadata": {"annotations": '
        '{"sidecar.istio.io/nativeSidecar": "true"}}}}}\''
    )
    assert [query.get("continue") for _, path, query in server.asked if path == PODS] == [
        None,
        "10",
        "20",
    ]
    assert not unread


def test_native_pods_are_no_finding(tmp_path: Path) -> None:
    server = ApiServer({PODS: [pods.pod(n, "web", native=True) for n in range(3)]})
    assert audited(server, tmp_path) == ([], [])


def test_a_pod_that_has_ended_is_no_hazard(tmp_path: Path) -> None:
    ended = pods.pod(0, "web", native=False) | {"status": {"phase": "Succeeded"}}
    assert audited(ApiServer({PODS: [ended]}), tmp_path) == ([], [])


def test_what_a_template_says_its_pods_do_not_say_again(tmp_path: Path) -> None:
    deployment = pods.deployment("web")
    deployment["spec"]["template"]["spec"] = pods.spec(native=False)
    server = ApiServer(
        {PODS: [pods.pod(n, "web", native=False) for n in range(4)], DEPLOYMENTS: [deployment]}
    )
    (found,), _ = audited(server, tmp_path)
    assert (found.kind, found.field, found.pods) == (
        "Deployment",
        "spec.template.spec.containers[1]",
        4,
    )


def test_a_list_that_grows_too_old_is_gone_on_with(tmp_path: Path) -> None:
    server = ApiServer(
        {PODS: [pods.pod(n, "web", native=False) for n in range(9)]}, page=4, old={PODS}
    )
    (found,), unread = audited(server, tmp_path)
    assert found.pods == 9
    assert not unread


def test_a_server_that_has_no_time_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_AGAIN", 0.001)
    lists = {PODS: [pods.pod(1, "web", native=False)]}
    found, unread = audited(ApiServer(lists, busy={PODS: 2}), tmp_path)
    assert (len(found), unread) == (1, [])
    monkeypatch.setattr(api, "_BUSY_FOR", 0.01)
    with pytest.raises(EnvironmentProblem, match="429 please try again later"):
        audited(ApiServer(lists, busy={PODS: 99}), tmp_path)


def test_a_kind_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    server = ApiServer({PODS: []}, forbidden=frozenset({"/api/v1/resourcequotas"}))
    found, unread = audited(server, tmp_path)
    assert not found
    (sentence,) = unread
    assert "resourcequotas" in sentence
    assert "403" in sentence


def test_without_pods_nothing_can_be_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="pods of the cluster could not be read"):
        audited(ApiServer(forbidden=frozenset({PODS})), tmp_path)


def test_one_namespace_alone_is_read(tmp_path: Path) -> None:
    path = "/api/v1/namespaces/shop/pods"
    server = ApiServer(
        {path: [pods.pod(1, "web", native=False)], PODS: [pods.pod(1, "other", native=False)]},
        objects={"/api/v1/namespaces/shop": {"metadata": {"name": "shop"}}},
    )
    (found,), _ = audited(server, tmp_path, "shop")
    assert found.name == "web"
    assert PODS not in {asked for _, asked, _ in server.asked}


def test_who_looks_at_one_namespace_need_not_read_what_is_in_none(tmp_path: Path) -> None:
    server = ApiServer(
        {"/api/v1/namespaces/shop/pods": []},
        objects={"/api/v1/namespaces/shop": {"metadata": {"name": "shop"}}},
        forbidden=frozenset(
            {
                "/api/v1/nodes",
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            }
        ),
    )
    assert audited(server, tmp_path, "shop") == ([], [])


def test_services_are_found_by_any_order_of_labels(tmp_path: Path) -> None:
    """The first label of a selector finds it, and all of them decide."""
    web = pods.pod(1, "web", native=True)
    web["spec"]["initContainers"].append(
        {
            "name": "fluent-bit",
            "image": "fluent-bit:4",
            "restartPolicy": "Always",
            "startupProbe": pods.PROBE,
            "readinessProbe": pods.PROBE,
        }
    )
    web["metadata"]["labels"] |= {"tier": "front"}
    for selector, hit in (
        ({"tier": "front", "app": "web"}, True),
        ({"app": "web"}, True),
        ({"app": "web", "tier": "back"}, False),
        ({"zone": "a"}, False),
        ({}, False),
    ):
        service = {"metadata": {"name": "s", "namespace": "shop"}, "spec": {"selector": selector}}
        found, _ = audited(ApiServer({PODS: [web], "/api/v1/services": [service]}), tmp_path)
        assert bool(found) is hit, selector


def test_a_namespace_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no namespace shop"):
        audited(ApiServer(), tmp_path, "shop")


def test_a_namespace_can_ask_for_the_sidecar_of_a_job(tmp_path: Path) -> None:
    cronjob = {
        "metadata": {"name": "nightly", "namespace": "shop"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [pods.app()]}}}}},
    }
    space = {"metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}
    server = ApiServer(
        {"/apis/batch/v1/cronjobs": [cronjob], "/api/v1/namespaces": [space], PODS: []}
    )
    (found,), _ = audited(server, tmp_path)
    assert (found.rule.id, found.object) == ("job-without-a-deadline", "CronJob shop/nightly")


def test_the_oldest_kubelet_counts(tmp_path: Path) -> None:
    node = {"status": {"nodeInfo": {"kubeletVersion": "v1.28.15"}}}
    server = ApiServer({"/api/v1/nodes": [node], PODS: [pods.pod(1, "web", native=True)]})
    (found,), _ = audited(server, tmp_path)
    assert found.rule.id == "native-on-an-old-cluster"


def test_a_quota_says_itself_what_is_used(tmp_path: Path) -> None:
    quota = {
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"hard": {"pods": "20", "requests.cpu": "4"}},
        "status": {"used": {"pods": "19", "requests.cpu": "1"}},
    }
    server = ApiServer({PODS: [pods.pod(1, "web", native=True)], "/api/v1/resourcequotas": [quota]})
    (found,), _ = audited(server, tmp_path)
    assert (found.rule.id, found.field) == ("quota-near-the-spillover", "spec.hard.pods")
    assert "19 of 20" in found.message


def test_the_role_allows_what_is_read_and_nothing_else() -> None:
    role, _ = yaml.safe_load_all((FIXTURES / "runner" / "audit-rbac.yaml").read_text())
    allowed = {
        (group, resource)
        for row in role["rules"]
        for group in row["apiGroups"]
        for resource in row["resources"]
        if row["verbs"] == ["get", "list"]
    }
    read = (live.NAMESPACES, live.NODES, live.SERVICES, live.QUOTAS, live.PODS)
    everything = (*read, *live.OBJECTS, *live.WORKLOADS)
    assert allowed == {
        (
            one.base.removeprefix("/apis/").partition("/")[0] if "/apis/" in one.base else "",
            one.plural,
        )
        for one in everything
    }


@pytest.mark.parametrize(
    ("kind", "name", "labels", "owner"),
    [
        ("ReplicaSet", "web-6d4b", {"pod-template-hash": "6d4b"}, ("Deployment", "web")),
        ("ReplicaSet", "web-6d4b", {}, ("ReplicaSet", "web-6d4b")),
        ("ReplicaSet", "web-77c", {"rollouts-pod-template-hash": "77c"}, ("Rollout", "web")),
        ("Job", "nightly-29391840", {}, ("CronJob", "nightly")),
        ("Job", "report-2", {}, ("Job", "report-2")),
        ("StatefulSet", "db", {}, ("StatefulSet", "db")),
    ],
)
def test_whose_pod_it_is(
    kind: str, name: str, labels: dict[str, str], owner: tuple[str, str]
) -> None:
    metadata = {
        "labels": labels,
        "ownerReferences": [{"kind": kind, "name": name, "controller": True}],
    }
    assert live.owner(Document({"metadata": metadata})) == owner


def test_the_command_reads_a_cluster(tmp_path: Path) -> None:
    server = ApiServer({PODS: [pods.pod(1, "web", native=False)]})
    with serving(server, tmp_path) as kubeconfig:
        told = CliRunner().invoke(
            main, ["audit", "--kubeconfig", str(kubeconfig), "--output", "json"]
        )
    assert told.exit_code == 1, told.output
    (found,) = json.loads(told.stdout)["findings"]
    assert found["pods"] == 1


def test_a_server_that_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    with serving(ApiServer(), tmp_path) as kubeconfig:
        pass
    told = CliRunner().invoke(main, ["audit", "--kubeconfig", str(kubeconfig)])
    assert told.exit_code == 3
    assert "does not answer" in told.output
    assert "Traceback" not in told.output
