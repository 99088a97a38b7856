"""What a pod of the user's own counts for, in both patterns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config as k8s_config

from conformance.cluster.state import ClusterHandle
from conformance.sidecars.driver import load
from conformance.sidecars.pods.counted import counts_for
from conformance.sidecars.pods.registering import register
from tests.stand_ins.api_server import Answer, ApiServer, Json, serving


def container(name: str, cpu: str, memory: str = "0", **more: Any) -> Json:
    requests = {"cpu": cpu, "memory": memory}
    return {"name": name, "image": "x", "resources": {"requests": requests}, **more}


@pytest.mark.parametrize(
    ("inits", "said"),
    [
        ([], "250m of CPU and 64Mi of memory, Burstable"),
        ([container("init", "100m", "1Gi")], "250m of CPU and 1024Mi of memory, Burstable"),
        (
            [container("proxy", "0.5", "32Mi", restartPolicy="Always"), container("init", "0.4")],
            "900m of CPU and 96Mi of memory, Burstable",
        ),
    ],
)
def test_sidecars_and_steps_of_the_start_count(inits: list[Json], said: str) -> None:
    spec = {"initContainers": inits, "containers": [container("app", "250m", "64Mi")]}
    assert counts_for({"spec": spec, "status": {"qosClass": "Burstable"}}) == said


def test_both_patterns_are_told_as_they_were_admitted(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    init, proxy = container("init", "700m"), container("proxy", "300m", restartPolicy="Always")
    spec = {"initContainers": [proxy, init], "containers": [container("web", "200m")]}
    kind = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}
    file.write_text(json.dumps(kind))

    def admit(_: str, pod: Json) -> Answer:
        return 201, {**pod, "status": {"qosClass": "Burstable"}}

    with serving(ApiServer(admission=admit), tmp_path) as kubeconfig:
        client: Any = k8s_config.new_client_from_config(str(kubeconfig))
        handle = ClusterHandle("1.33", "own", kubeconfig, "node", tmp_path)
        told = load(register(file)).install(handle, client)["counts_for"]
    assert "native: 1000m of CPU and 0Mi of memory, Burstable" in told
    assert "classic: 700m of CPU and 0Mi of memory, Burstable" in told
