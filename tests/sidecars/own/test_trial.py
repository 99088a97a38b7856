"""Pods of the user's own on a cluster of others: tried in the run's own namespace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config as k8s_config

from conformance.cluster.state import ClusterHandle
from conformance.errors import EnvironmentProblem
from conformance.sidecars.driver import Adopts, load
from conformance.sidecars.own import registering as sidecars
from conformance.sidecars.pods import registering as pods
from tests.sidecars.own.stand_ins import EXAMPLES
from tests.stand_ins.api_server import Answer, ApiServer, Json, serving

RUN = "20261130-122630-ab12"
REGISTERING: dict[str, Callable[[Path], str]] = {
    "token-writer.yaml": sidecars.register,
    "own-envoy.yaml": sidecars.register,
    "pods/web.yaml": pods.register,
}


def adopted(example: str, folder: Path, label: str, answer: Answer) -> list[tuple[str, Json]]:
    driver = load(REGISTERING[example](EXAMPLES / example))
    assert isinstance(driver, Adopts)
    server = ApiServer(admission=lambda _, pod: (answer[0], answer[1] or pod))
    with serving(server, folder) as kubeconfig:
        handle = ClusterHandle("1.33", "theirs", kubeconfig, "node-7", folder, label=label)
        client: Any = k8s_config.new_client_from_config(str(kubeconfig))
        driver.adopt(handle, client)
    assert {query.get("dryRun") for _, _, query in server.asked} == {"All"}
    return server.sent


@pytest.mark.parametrize("example", REGISTERING)
def test_they_are_tried_where_the_run_is(example: str, tmp_path: Path) -> None:
    for label, namespace in (("", "default"), (RUN, "sc-122630-ab12-run")):
        sent = adopted(example, tmp_path, label, (201, {}))
        assert {where for where, _ in sent} == {namespace}
        assert {pod["metadata"]["namespace"] for _, pod in sent} == {namespace}


def test_what_is_refused_there_is_said(tmp_path: Path) -> None:
    refusal = (403, {"message": 'violates PodSecurity "baseline:latest"'})
    with pytest.raises(EnvironmentProblem, match=r"refuses a .* pod with own-envoy: violates"):
        adopted("own-envoy.yaml", tmp_path, RUN, refusal)
