"""junit.xml: what CI systems show of a run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from conformance.plan import selection
from conformance.report import junit, words
from tests.report.decision.test_decide import CONTROL, HELD, entry, told
from tests.worlds import lifecycle

BUNDLE = "evidence/1.33/one"


def made(tmp_path: Path) -> ElementTree.Element:
    lifecycle.lifecycle().write(tmp_path / BUNDLE)
    more = {
        "expected_because": "the promise itself",
        "evidence": [{"file": "capture/subject/eth0.pcap", "frame": 7, "text": "in clear"}],
        "bundle": BUNDLE,
    }
    entries = [
        HELD,
        CONTROL,
        entry("stop.app-egress", "broken", reason="Lost \x00 all."),
        entry("stop.in-flight", "inconclusive"),
        entry("start.order", "holds", expected="broken"),
        entry("stop.order", "not-verified", sidecar="istio", mode="default", bundle=None),
    ]
    root = junit.build(tmp_path, told([more | one for one in entries]))
    return ElementTree.fromstring(ElementTree.tostring(root))


def test_a_suite_for_each_sidecar_and_version(tmp_path: Path) -> None:
    root = made(tmp_path)
    assert [one.get("name") for one in root] == [
        "envoy on Kubernetes 1.33",
        "istio on Kubernetes 1.33",
    ]
    counts = [root[0].get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["5", "2", "1", "0"] and root[1].get("skipped") == "1"
    properties = {
        one.get("name"): one.get("value") for one in root[0].findall("properties/property")
    }
    assert str(properties["decision"]).startswith("Not safe")


def test_a_reproduced_control_has_passed_and_says_so(tmp_path: Path) -> None:
    case = next(
        one for one in made(tmp_path)[0].iter("testcase") if "classic" in str(one.get("name"))
    )
    assert case.find("failure") is None and case.find("skipped") is None
    assert {one.get("value") for one in case.iter("property") if one.get("name") == "verdict"} == {
        "reproduced"
    }


def test_a_failure_leads_to_its_packet(tmp_path: Path) -> None:
    case = next(
        one for one in made(tmp_path)[0].iter("testcase") if one.find("failure") is not None
    )
    assert case.get("name") == "stop.app-egress [native init-rules lifecycle]"
    failure = case.find("failure")
    assert failure is not None and failure.text
    assert failure.get("type") == "lost-request" and failure.get("message") == "Lost \ufffd all."
    for said in ("eth0.pcap, frame 7 in clear", "delete.accepted", BUNDLE, "judge " + BUNDLE):
        assert said in failure.text
    assert "cells/1.33-envoy-native-init-rules-lifecycle.html#stop.app-egress" in failure.text
    assert len(failure.text) < 8000 and ".py" not in failure.text


def test_times_are_the_cells_own_and_each_cell_counts_once(tmp_path: Path) -> None:
    root = made(tmp_path)
    index = tmp_path / BUNDLE
    expected = junit.duration(tmp_path, BUNDLE)
    assert index.is_dir() and expected > 0
    assert {case.get("time") for case in root[0].iter("testcase")} == {f"{expected:.3f}"}
    assert root[0].get("time") == root.get("time") == f"{expected:.3f}"
    assert root[1].get("time") == "0.000"


def test_the_command_says_what_was_narrowed() -> None:
    report = told([HELD])
    report["run"]["options"] = {"k8s": ["1.33"], "sidecars": ["envoy"], "patterns": ["native"]}
    assert words.again(report) == "make conformance K8S=1.33 SIDECAR=envoy PATTERN=native"
    report["run"]["options"] |= {"behaviours": ["stop.order"], "patterns": ["classic", "native"]}
    report["run"]["attempts"]["turns"] = 3
    asked = "make conformance K8S=1.33 SIDECAR=envoy"
    assert words.again(report) == f"{asked} BEHAVIOUR=stop.order REPEAT=3"
    core = selection.select({"level": "core"})
    report["run"]["options"] |= {"behaviours": list(core.behaviours), "sidecars": []}
    report["run"]["attempts"]["turns"] = 1
    assert words.again(report) == "make conformance K8S=1.33"
    both = selection.select({"level": "all"})
    report["run"]["options"] |= {"behaviours": list(both.behaviours)}
    assert words.again(report) == "make conformance K8S=1.33 LEVEL=all"
