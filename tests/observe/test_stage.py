"""What a stage reads while fixture programs are still writing it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conformance.cluster.kind import FAR
from conformance.cluster.state import ClusterHandle
from conformance.errors import Unobtainable
from conformance.observe.place import Elsewhere
from conformance.observe.stage import Stage


def test_stamps_are_read_as_they_grow_and_never_by_halves(tmp_path: Path) -> None:
    stage = object.__new__(Stage)  # it is made on a cluster, and asked for a file alone
    stage.bundle, stage._read = tmp_path, {}
    assert stage.stamps("subject.app") == []
    file = tmp_path / "stamps" / "subject.app.jsonl"
    file.parent.mkdir()
    file.write_text('{"event": "one"}\n{"event": "tw')
    assert stage.stamps("subject.app") == [{"event": "one"}]
    with file.open("a") as more:
        more.write('o"}\n')
    assert stage.stamps("subject.app") == [{"event": "one"}, {"event": "two"}]
    stage.stamps("subject.app").clear()  # whoever asks gets a list of their own
    assert len(stage.stamps("subject.app")) == 2


def test_who_is_not_captured_is_added_to_those_who_were_not(tmp_path: Path) -> None:
    stage = object.__new__(Stage)
    stage.bundle = tmp_path
    stage.without_capture("witness", "dialer")
    stage.without_capture("sink")
    assert (tmp_path / "capture.off").read_text().split() == ["witness", "dialer", "sink"]
    stage.without_capture()
    assert "*" in (tmp_path / "capture.off").read_text().split()


def _stage(*workers: str) -> Stage:
    stage = object.__new__(Stage)
    handle = ClusterHandle("1.33", "c", Path("k"), "c-control-plane", Path("e"), "", workers)
    stage.handle = handle
    return stage


def test_what_is_around_the_pod_under_test_goes_to_the_other_node() -> None:
    pod: dict[str, Any] = {"kind": "Pod", "spec": {"tolerations": [{"key": "own"}]}}
    _stage("c-worker").go_far(pod)
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "c-worker"}
    assert [one["key"] for one in pod["spec"]["tolerations"]] == ["own", FAR]


def test_where_there_is_no_other_node_it_stays() -> None:
    pod: dict[str, Any] = {"kind": "Pod", "spec": {}}
    _stage().go_far(pod)
    assert pod["spec"] == {}
    assert _stage().far == ""


def test_nobody_waits_for_a_pod_that_a_policy_keeps_out(tmp_path: Path) -> None:
    """A Job's pods are made by its controller: its event says so, and no call of the stage's."""
    said = 'Error creating: pods "a-b" is forbidden: violates PodSecurity "baseline:latest"'
    events = [{"reason": "FailedCreate", "message": said}]
    stage = object.__new__(Stage)
    handle = ClusterHandle("1.33", "theirs", tmp_path, "n", tmp_path, label="run")
    stage.place = Elsewhere(handle)
    stage.watch = cast("Any", SimpleNamespace(all=lambda kind: events if kind == "Event" else []))
    with pytest.raises(Unobtainable, match="violates PodSecurity"):
        stage.wait("a pod", lambda: None, seconds=60, seen=lambda: "none")
