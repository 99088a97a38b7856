"""A Linkerd that others installed: what is read from the pods that its injector makes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config as k8s_config

from conformance.cluster.state import ClusterHandle
from conformance.errors import EnvironmentProblem
from conformance.sidecars.driver import Adopts
from conformance.sidecars.linkerd.adopted import adopt
from conformance.sidecars.linkerd.driver import Driver
from tests.stand_ins.api_server import Admission, Answer, ApiServer, Json, serving

RUN = "20261130-122630-ab12"
TAG = "edge-26.8.3"
NAME = "$(_pod_sa).$(_pod_ns).serviceaccount.identity.linkerd.cluster.local"
PROXY = {
    "name": "linkerd-proxy",
    "image": f"mirror.internal/linkerd/proxy:{TAG}",
    "env": [{"name": "LINKERD2_PROXY_IDENTITY_LOCAL_NAME", "value": NAME}],
    "ports": [{"name": "linkerd-admin", "containerPort": 4191}],
}


def injector(
    *, tag: str = TAG, proxy: Json = PROXY, default: str = "true", heeds: bool = True
) -> Admission:
    """As Linkerd's: default: what a pod gets that says nothing. heeds: the annotation."""
    prefix = "config.linkerd.io" if tag.startswith("edge-26") else "config.beta.linkerd.io"

    def admit(namespace: str, pod: Json) -> Answer:
        pod = copy.deepcopy(pod)
        assert namespace.endswith("-run")
        marks = pod["metadata"]["annotations"]
        assert marks["linkerd.io/inject"] == "enabled"
        asked = marks.get(f"{prefix}/proxy-enable-native-sidecar", default) if heeds else default
        marks["linkerd.io/created-by"] = f"linkerd/proxy-injector {tag}"
        marks["linkerd.io/proxy-version"] = tag
        spec = pod["spec"]
        spec["initContainers"] = [{"name": "linkerd-init"}]
        if asked == "true":
            spec["initContainers"].append({**proxy, "restartPolicy": "Always"})
        else:
            spec["containers"].insert(0, proxy)
        return 201, pod

    return admit


def adopted(folder: Path, admission: Admission) -> tuple[dict[str, str], ApiServer]:
    server = ApiServer(admission=admission)
    with serving(server, folder) as kubeconfig:
        handle = ClusterHandle("1.33", "theirs", kubeconfig, "node-7", folder, label=RUN)
        client: Any = k8s_config.new_client_from_config(str(kubeconfig))
        return dict(adopt(handle, client)), server


def test_the_release_is_that_of_the_admitted_pod(tmp_path: Path) -> None:
    assert isinstance(Driver(), Adopts)
    found, server = adopted(tmp_path, injector())
    assert (found["linkerd"], found["release"], found["proxy"]) == (TAG, TAG, TAG)
    assert found["pattern_without_annotation"] == "native"
    assert found["redirection"] == "linkerd-init"
    assert {namespace for namespace, _ in server.sent} == {"sc-122630-ab12-run"}
    assert {query.get("dryRun") for _, _, query in server.asked} == {"All"}


def test_an_older_one_is_asked_by_its_own_annotation(tmp_path: Path) -> None:
    found, _ = adopted(tmp_path, injector(tag="edge-25.10.7", default="false"))
    assert found["release"] == "edge-25.10.7"
    assert found["pattern_without_annotation"] == "classic"


@pytest.mark.parametrize(
    ("admission", "why"),
    [
        (lambda _, pod: (201, pod), "no injector of Linkerd's answered"),
        (injector(tag="enterprise-2.18.0"), "knows edge and stable releases from 2.15 on"),
        (injector(tag="edge-23.1.1"), "the first with native sidecars"),
        (injector(default="false", heeds=False), "made no native sidecar of a pod with config"),
        (injector(proxy={**PROXY, "env": []}), "are called by no name"),
        (
            injector(
                proxy={
                    **PROXY,
                    "env": [{**PROXY["env"][0], "value": NAME.replace("cluster.local", "corp")}],  # type: ignore[dict-item]
                }
            ),
            "identity.linkerd.corp, and identities are judged as",
        ),
        (
            injector(proxy={**PROXY, "ports": [{"name": "linkerd-admin", "containerPort": 1}]}),
            "tell of themselves at port 1, and are asked at 4191 only",
        ),
        (
            lambda *_: (403, {"message": 'violates PodSecurity "baseline:latest"'}),
            r"is refused \(violates PodSecurity",
        ),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, admission: Admission, why: str) -> None:
    with pytest.raises(EnvironmentProblem, match=why):
        adopted(tmp_path, admission)
