"""An upgrade is asked about by dry runs: nothing is created, and what changes is told."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conformance.audit.preflight import say
from conformance.cli import main
from tests.audit import pods
from tests.stand_ins.api_server import Answer, ApiServer, serving

Json = dict[str, Any]
REV = "istio.io/rev"
DRAIN = {"preStop": {"exec": {"command": ["pilot-agent", "request", "POST", "drain"]}}}


class Mesh:
    """Istio's injectors as far as they matter here: by the namespace's revision, else the pod's.

    native: the revisions that make the proxy native. probed: whether they give it a startupProbe.
    """

    def __init__(
        self, spaces: dict[str, dict[str, str]], *native: str, probed: bool = True
    ) -> None:
        self.spaces, self.native, self.probed = spaces, native, probed
        self.installed = {"old", "canary"}
        self.names = 0

    def admit(self, namespace: str, pod: Json) -> Answer:
        pod = copy.deepcopy(pod)
        assert "name" not in pod["metadata"], "a fixed name could meet a pod that is there"
        self.names += 1
        pod["metadata"]["name"] = f"{pod['metadata']['generateName']}{self.names}"
        space, labels = self.spaces[namespace], pod["metadata"]["labels"]
        if space.get("quota") == "full":
            return refused(403, 'pods "x" is forbidden: exceeded quota: compute')
        revision = space.get(REV) or labels.get(REV, "")
        if revision not in self.installed or labels.get("sidecar.istio.io/inject") == "false":
            return 201, pod
        spec, proxy = pod["spec"], {**pods.PROXY, "image": f"istio/proxyv2:{revision}"}
        spec["initContainers"] = [pods.INIT, *spec.get("initContainers", [])]
        native = revision in self.native
        if native:
            proxy |= {"restartPolicy": "Always", "lifecycle": DRAIN}
            proxy |= {"startupProbe": pods.PROBE} if self.probed else {}
            spec["initContainers"].insert(1, proxy)
        else:
            spec["containers"].append(proxy)
        if native and pod["metadata"]["annotations"].get("inject.istio.io/templates"):
            return refused(422, 'spec.containers[1].name: Duplicate value: "istio-proxy"')
        pod["metadata"]["annotations"]["sidecar.istio.io/status"] = json.dumps(
            {"revision": revision}
        )
        return 201, pod


def refused(code: int, message: str) -> Answer:
    return code, {"kind": "Status", "code": code, "message": message}


SPACES: dict[str, dict[str, str]] = {"shop": {REV: "old"}, "upgraded": {REV: "canary"}, "free": {}}


def server(mesh: Mesh, *deployments: Json, **lists: list[Json]) -> ApiServer:
    return ApiServer(
        {
            "/apis/apps/v1/deployments": list(deployments),
            "/api/v1/namespaces": [
                {"metadata": {"name": name, "labels": labels}}
                for name, labels in mesh.spaces.items()
            ],
            **{f"/apis/batch/v1/{kind}": items for kind, items in lists.items()},
        },
        admission=mesh.admit,
    )


def run(api: ApiServer, folder: Path, *arguments: str) -> tuple[int, Json]:
    with serving(api, folder) as kubeconfig:
        told = CliRunner().invoke(
            main, ["preflight", "--kubeconfig", str(kubeconfig), "--output", "json", *arguments]
        )
    assert "Traceback" not in told.output
    writes = [query for method, _, query in api.asked if method != "GET"]
    assert all(query.get("dryRun") == "All" for query in writes)
    return told.exit_code, json.loads(told.stdout)


def only(found: Json) -> Json:
    (one,) = found["workloads"]
    assert isinstance(one, dict)
    return one


def test_a_flip_is_found_before_it_is_done(tmp_path: Path) -> None:
    api = server(Mesh(SPACES, "canary"), pods.deployment("web"))
    code, found = run(api, tmp_path, "--to-revision", "canary")
    one = only(found)
    assert (code, one["outcome"], one["through"]) == (1, "changed", "upgraded")
    changed = {(change["kind"], change["what"]): change for change in one["changes"]}
    pattern = changed["pattern", ""]
    assert (pattern["before"], pattern["after"]) == ("classic", "native")
    assert "drain" in changed["hooks", "preStop"]["after"]
    assert changed["probes", "startupProbe"]["before"] == ""
    assert one["cured"] == ["classic-sidecar"]
    assert not one["hazards"]
    assert [namespace for namespace, _ in api.sent] == ["shop", "upgraded"]
    assert api.sent[1][1]["metadata"]["labels"][REV] == "canary"


def test_an_upgrade_that_changes_images_alone_is_exit_code_0(tmp_path: Path) -> None:
    code, found = run(
        server(Mesh(SPACES), pods.deployment("web")), tmp_path, "--to-revision", "canary"
    )
    assert (code, only(found)["outcome"]) == (0, "same")
    assert [change["kind"] for change in only(found)["changes"]] == ["images"]


def test_a_hazard_that_is_new_is_told_with_its_proof(tmp_path: Path) -> None:
    api = server(Mesh(SPACES, "canary", probed=False), pods.deployment("web"))
    code, found = run(api, tmp_path, "--to-revision", "canary")
    (hazard,) = only(found)["hazards"]
    assert code == 1
    assert (hazard["rule"], hazard["behaviour"]) == (
        "native-without-startup-probe",
        "start.no-probe",
    )


def test_a_job_is_audited_as_a_job(tmp_path: Path) -> None:
    """The way back: the next revision is classic, and the Job would never complete."""
    job = {
        "metadata": {"name": "report", "namespace": "shop"},
        "spec": {"activeDeadlineSeconds": 60, "template": {"spec": {"containers": [pods.app()]}}},
    }
    code, found = run(server(Mesh(SPACES, "old"), jobs=[job]), tmp_path, "--to-revision", "canary")
    assert code == 1
    assert [one["rule"] for one in only(found)["hazards"]] == ["job-with-a-classic-sidecar"]


def test_a_template_clash_is_found(tmp_path: Path) -> None:
    custom = pods.deployment("web", annotations={"inject.istio.io/templates": "sidecar,custom"})
    code, found = run(server(Mesh(SPACES, "canary"), custom), tmp_path, "--to-revision", "canary")
    assert (code, only(found)["outcome"]) == (1, "refused")
    assert "a custom template names the proxy under containers" in only(found)["why"]


def test_what_has_no_sidecar_today_is_not_given_one(tmp_path: Path) -> None:
    """In a namespace without labels the pod's own label would bring one."""
    api = server(Mesh(SPACES, "canary"), pods.deployment("web", namespace="free"))
    code, found = run(api, tmp_path, "--to-revision", "canary")
    assert (code, only(found)["outcome"]) == (4, "unmeshed")
    assert len(api.sent) == 1


def test_a_pod_that_chooses_for_itself_is_asked_about_in_its_own_namespace(tmp_path: Path) -> None:
    web = pods.deployment("web", namespace="free")
    web["spec"]["template"]["metadata"]["labels"][REV] = "old"
    api = server(Mesh(SPACES, "canary"), web)
    code, found = run(api, tmp_path, "--to-revision", "canary")
    assert (code, only(found)["through"]) == (1, "")
    assert [namespace for namespace, _ in api.sent] == ["free", "free"]


def test_a_namespace_that_decides_leaves_it_undecided(tmp_path: Path) -> None:
    api = server(Mesh({"shop": {REV: "old"}}, "canary"), pods.deployment("web"))
    code, found = run(api, tmp_path, "--to-revision", "canary")
    assert (code, only(found)["outcome"]) == (5, "undecided")
    assert "--to-namespace" in only(found)["why"]


def test_a_revision_that_is_not_installed_leaves_it_undecided(tmp_path: Path) -> None:
    mesh = Mesh({"free": {}}, "canary")
    mesh.installed = {"old"}
    web = pods.deployment("web", namespace="free")
    web["spec"]["template"]["metadata"]["labels"][REV] = "old"
    code, found = run(server(mesh, web), tmp_path, "--to-revision", "canary")
    assert code == 5
    assert "no injector answered for revision canary" in only(found)["why"]


def test_a_namespace_can_stand_for_the_next_injector(tmp_path: Path) -> None:
    web = pods.deployment("web")
    web["spec"]["template"]["spec"]["serviceAccountName"] = "web"
    api = server(Mesh(SPACES, "canary"), web)
    code, found = run(api, tmp_path, "--to-namespace", "upgraded")
    assert (code, only(found)["outcome"], only(found)["through"]) == (1, "changed", "upgraded")
    assert [namespace for namespace, _ in api.sent] == ["shop", "upgraded"]
    assert all(
        "serviceAccountName" not in body["spec"] for name, body in api.sent if name != "shop"
    )


def test_a_workload_that_is_refused_today_is_undecided(tmp_path: Path) -> None:
    spaces = {**SPACES, "shop": {REV: "old", "quota": "full"}}
    code, found = run(
        server(Mesh(spaces, "canary"), pods.deployment("web")), tmp_path, "--to-revision", "canary"
    )
    assert code == 5
    assert "exceeded quota" in only(found)["why"]


def test_without_the_right_to_create_pods_it_says_so(tmp_path: Path) -> None:
    api = server(Mesh(SPACES), pods.deployment("web"))
    api.admission = lambda *_: refused(403, 'cannot create resource "pods"')
    with serving(api, tmp_path) as kubeconfig:
        told = CliRunner().invoke(
            main, ["preflight", "--kubeconfig", str(kubeconfig), "--to-revision", "canary"]
        )
    assert told.exit_code == 3
    assert "preflight needs the right to create pods there, and creates none" in told.output


def test_finished_jobs_and_owned_ones_are_left_out(tmp_path: Path) -> None:
    template = {"spec": {"containers": [pods.app()]}}
    done = {
        "metadata": {"name": "done", "namespace": "shop"},
        "spec": {"template": template},
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
    }
    owned = {
        "metadata": {
            "name": "nightly-29391840",
            "namespace": "shop",
            "ownerReferences": [{"kind": "CronJob", "name": "nightly", "controller": True}],
        },
        "spec": {"template": template},
    }
    code, found = run(server(Mesh(SPACES), jobs=[done, owned]), tmp_path, "--to-revision", "canary")
    assert (code, found["workloads"]) == (4, [])


@pytest.mark.parametrize(
    "arguments", [[], ["--to-namespace", "absent"]], ids=["no target", "no such namespace"]
)
def test_wrong_use(tmp_path: Path, arguments: list[str]) -> None:
    with serving(server(Mesh(SPACES)), tmp_path) as kubeconfig:
        told = CliRunner().invoke(main, ["preflight", "--kubeconfig", str(kubeconfig), *arguments])
    assert told.exit_code == 2, told.output


def test_the_text_tells_what_to_look_at(tmp_path: Path) -> None:
    api = server(Mesh(SPACES, "canary"), pods.deployment("web"), pods.deployment("x", "free"))
    with serving(api, tmp_path) as kubeconfig:
        told = CliRunner().invoke(
            main, ["preflight", "--kubeconfig", str(kubeconfig), "--to-revision", "canary"]
        )
    lines = told.output.splitlines()
    assert lines[0] == "Deployment shop/web: changed  (asked in namespace upgraded)"
    assert "    pattern: istio-proxy: classic → native" in lines
    assert "1 changed, 1 unmeshed; 1 flip their pattern; 3 dry runs, nothing was created" in lines
    assert lines[-1] == f"sidecar-conformance: exit code 1 ({say.EXIT[1]})"
