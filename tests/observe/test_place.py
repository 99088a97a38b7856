"""What becomes of a manifest on a cluster of others, and of stamps in a container's output."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiException
from kubernetes.utils import FailToCreateError

from conformance.cluster.state import RUN_LABEL, ClusterHandle, run_name
from conformance.errors import Unobtainable
from conformance.machine.paths import FIXTURES
from conformance.model import Cell
from conformance.observe import place as places
from conformance.observe import workloads
from conformance.observe.place import BesideAgent, Elsewhere, OwnCluster
from conformance.observe.scenarios.stop.departing import stamped
from conformance.observe.watch import NamespaceWatch
from conformance.sidecars import manifests
from conformance.sidecars.driver import load

RUN = "20261130-122630-ab12"


@pytest.fixture
def place(tmp_path: Path) -> Elsewhere:
    lacks = json.dumps({"node": "a privileged pod is refused"})
    handle = ClusterHandle("1.33", "theirs", tmp_path / "k", "node-7", tmp_path, label=RUN)
    return Elsewhere(
        replace(handle, lacks=lacks, clock_ns="5000000000", hostname="node-7.internal")
    )


@pytest.mark.parametrize("sidecar", ["fixture", "envoy"])
def test_a_pod_has_no_folder_of_the_node_and_stands_on_the_one_node(
    place: Elsewhere, sidecar: str
) -> None:
    cell = Cell("1.33", sidecar, "native", "init-rules", "lifecycle")
    (document,) = workloads.load("lifecycle", "subject", namespace="n", nonce="0", images={})
    document = manifests.with_sidecar(document, load(sidecar), cell, "subject")
    fitted = place.fitted(document)
    spec = fitted["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/hostname": "node-7.internal"}
    assert not any("hostPath" in one for one in spec["volumes"])
    assert {"name": "evidence", "emptyDir": {}} in spec["volumes"]
    for container in (*spec["containers"], *spec["initContainers"]):
        assert {"name": "SC_STAMPS_IN_OUTPUT", "value": "1"} in container["env"]
    assert any("hostPath" in one for one in document["spec"]["volumes"])  # it is a copy


def test_what_has_no_pod_goes_as_it_is(place: Elsewhere) -> None:
    service = {"kind": "Service", "spec": {"ports": []}}
    assert place.fitted(service) == service


def test_a_hooks_stamp_goes_to_the_containers_output(place: Elsewhere) -> None:
    hook = {"exec": {"command": ["sh", "-c", stamped("hook.begin")]}}
    pod = {"spec": {"containers": [{"name": "app", "lifecycle": {"preStop": hook}}]}}
    (container,) = place.fitted(pod)["spec"]["containers"]
    script = container["lifecycle"]["preStop"]["exec"]["command"][2]
    said = subprocess.run(
        ["sh", "-c", script.replace("/proc/1/fd/1", "/dev/stdout")],
        env={**os.environ, "SC_STAMPS": "/evidence/stamps/subject.app.jsonl"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    mark, name, stamp = said.split(" ", 2)
    assert (mark, name) == ("SC-STAMP", "subject.app.jsonl")
    assert json.loads(stamp)["event"] == "hook.begin"


def test_the_node_is_not_to_be_had(place: Elsewhere) -> None:
    with pytest.raises(Unobtainable, match="a privileged pod is refused"):
        place.on_node("kill", "1", what="sending SIGKILL")
    assert place.labels[RUN_LABEL] == RUN


@pytest.mark.parametrize("folder", ["app", "envoy"])
def test_stamps_in_the_output_are_filed_as_stamps(tmp_path: Path, folder: str) -> None:
    code = "import stamps; stamps.Stamps('/evidence/stamps/subject.app.jsonl').write('app.last')"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FIXTURES / folder,
        env={**os.environ, "SC_STAMPS_IN_OUTPUT": "1"},
        capture_output=True,
        check=True,
    ).stdout
    (tmp_path / "stamps").mkdir()
    NamespaceWatch._file_stamp(tmp_path / "stamps", said)
    (line,) = (tmp_path / "stamps" / "subject.app.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "app.last"


def test_a_pod_that_is_refused_is_nobodys_failure(
    place: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        error = ApiException(status=403, reason="Forbidden")
        error.body = json.dumps({"message": 'violates PodSecurity "baseline:latest"'})
        raise FailToCreateError([error])

    monkeypatch.setattr("conformance.observe.place.create_from_dict", refuse)
    with pytest.raises(Unobtainable, match="refuses a pod of the cell"):
        place.send(None, {}, "n")


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        (ApiException(status=403, reason="Forbidden"), Unobtainable),
        (ApiException(status=500, reason="Internal"), ApiException),
        (FailToCreateError([ApiException(status=409, reason="Conflict")]), FailToCreateError),
    ],
)
def test_whatever_is_forbidden_there_is_not_verified(
    place: Elsewhere, failed: Exception, kind: type[Exception]
) -> None:
    """A scenario asks the API itself, too. Anything else stays what it is."""
    with pytest.raises(kind), place.refusing():
        raise failed


PODS = 'Error creating: pods "first-4z7xk" is forbidden: '
POLICY = f'{PODS}violates PodSecurity "baseline:latest": privileged'
KYVERNO = 'Error creating: admission webhook "validate.kyverno.svc-fail" denied the request: no'


@pytest.mark.parametrize("said", [POLICY, KYVERNO])
def test_a_pod_that_a_controller_is_refused_is_not_waited_for(
    place: Elsewhere, said: str, tmp_path: Path
) -> None:
    event = {"reason": "FailedCreate", "message": said}
    with pytest.raises(Unobtainable, match="it refuses a pod of the cell") as found:
        place.minding(lambda: True, lambda: [{"reason": "Created"}, event])()
    assert said[:300] in str(found.value)
    ours = OwnCluster(ClusterHandle("1.33", "c", tmp_path, "n", tmp_path), None)  # type: ignore[arg-type]
    assert ours.minding(lambda: "it", lambda: [event])() == "it"  # whose rules are the suite's


@pytest.mark.parametrize(
    "event",
    [
        {"reason": "FailedCreate", "message": f"{PODS}exceeded quota: room, requested: pods=1"},
        {"reason": "FailedCreate", "message": f"{PODS}error looking up service account n/default"},
        {"reason": "FailedCreate", "message": "Internal error occurred: failed calling webhook"},
        {"reason": "FailedMount", "message": POLICY},
    ],
)
def test_what_is_no_policy_is_waited_for(place: Elsewhere, event: dict[str, str]) -> None:
    assert place.minding(lambda: "it", lambda: [event])() == "it"


def test_where_no_runtime_waits_an_init_container_does(tmp_path: Path) -> None:
    handle = ClusterHandle("1.33", "theirs", tmp_path / "k", "node-7", tmp_path, label=RUN)
    beside = BesideAgent(ClusterHandle(**{**handle.__dict__, "agent": "n/a", "gate": "app:1"}))
    (document,) = workloads.load("job", "job", namespace="n", nonce="0", images={})
    init, *_ = beside.fitted(document)["spec"]["template"]["spec"]["initContainers"]
    assert (init["name"], init["image"]) == ("capture-gate", "app:1")
    open_one = BesideAgent(ClusterHandle(**{**handle.__dict__, "agent": "n/a"}))
    assert "initContainers" not in open_one.fitted(document)["spec"]["template"]["spec"]


def test_the_gate_opens_when_the_capture_listens() -> None:
    gate = FIXTURES / "app" / "gate.py"
    with socket.socket(socket.AF_UNIX) as capture:
        capture.bind("\0sidecar-conformance-capture")
        waits = subprocess.Popen([sys.executable, gate], env={**os.environ, "SC_PATIENCE": "60"})
        with pytest.raises(subprocess.TimeoutExpired):
            waits.wait(0.5)
        capture.listen()
        assert waits.wait(20) == 0


def test_two_runs_do_not_meet_and_a_name_is_never_too_long() -> None:
    long = "envoy-native-sidecar-rules-" + "x" * 60
    assert run_name(RUN, "run") == "sc-122630-ab12-run"
    assert len(run_name(RUN, long)) == 63
    assert run_name(RUN, long) != run_name(RUN, f"{long}y")
    assert run_name(RUN, "run") != run_name("20261130-122630-ab13", "run")


class Api:
    """Stands for every group of the API: notes what is asked for. holds: the kind that is there."""

    def __init__(self, holds: str, *, fails: bool = False) -> None:
        self.holds, self.fails, self.asked = holds, fails, list[str]()

    def __getattr__(self, name: str) -> Any:
        def answer(namespace: str, **_: Any) -> SimpleNamespace:
            assert namespace == "cell"
            self.asked.append(name)
            if self.fails and name.startswith("list"):
                raise ApiException(status=500)
            return SimpleNamespace(items=[1] if name == f"list_namespaced_{self.holds}" else [])

        return answer


GROUPS = ("CoreV1Api", "AppsV1Api", "BatchV1Api")
CLEARED = ["delete_collection_namespaced_pod", "delete_collection_namespaced_service"]
TAKEN_AWAY = ["delete_namespace"]


@pytest.mark.parametrize(
    ("holds", "fails", "done"),
    [
        ("", False, CLEARED),
        *((kind, False, TAKEN_AWAY) for kind in (
            "replica_set", "deployment", "daemon_set", "stateful_set", "job", "cron_job",
            "replication_controller",
        )),
        ("", True, TAKEN_AWAY),
    ],
)  # fmt: skip
def test_a_namespace_of_the_runs_own_cluster_stays_where_nothing_makes_pods(
    holds: str, fails: bool, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(holds, fails=fails)
    groups = {name: lambda _client: api for name in GROUPS}
    monkeypatch.setattr(places, "k8s", SimpleNamespace(**groups, ApiException=ApiException))
    handle = ClusterHandle("1.33", "ours", tmp_path / "k", "node", tmp_path)
    OwnCluster(handle, None).clear(None, "cell")  # type: ignore[arg-type]
    assert [one for one in api.asked if not one.startswith("list")] == done


def test_nothing_stays_on_a_cluster_of_others(
    place: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api("")
    monkeypatch.setattr(
        places, "k8s", SimpleNamespace(CoreV1Api=lambda _client: api, ApiException=ApiException)
    )
    place.clear(None, "cell")
    assert api.asked == TAKEN_AWAY
