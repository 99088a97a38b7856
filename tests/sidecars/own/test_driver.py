"""Where a sidecar of the user's own is put, what is asked of it, and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import UsageProblem
from conformance.model import Cell, Pattern
from conformance.plan import cells, own
from conformance.plan.catalogue import behaviours
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY
from conformance.plan.unasked import unasked
from conformance.run import kept
from conformance.sidecars import manifests
from conformance.sidecars.driver import load
from conformance.sidecars.own.registering import register
from conformance.verdicts.expectations import expected
from tests.sidecars.own.stand_ins import EXAMPLES, PROGRAMS, write

PATTERNS: tuple[Pattern, ...] = ("native", "classic")
SCENARIOS = {
    "plain": {"lifecycle", "job", "cronjob", "quota", "crash"},
    "mesh": {"init", "keepalive", "crash-kept", "datagrams", "ephemeral"},
    "log-shipper": {"logs", "logs-job", "logs-crash", "logs-starved"},
}


def example(name: str) -> str:
    return register(EXAMPLES / f"{name}.yaml")


def a_pod() -> dict[str, Any]:
    return {
        "metadata": {"name": "subject", "namespace": "here"},
        "spec": {
            "initContainers": [{"name": "own-init", "image": "app"}],
            "containers": [{"name": "app", "image": "app"}],
            "volumes": [{"name": "evidence", "emptyDir": {}}],
        },
    }


def cell(name: str, pattern: Pattern, scenario: str = "lifecycle") -> Cell:
    return Cell("1.33", name, pattern, "default", scenario)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("called", sorted(PROGRAMS))
def test_every_example_is_placed_in_both_patterns(called: str, pattern: Pattern) -> None:
    name = example(called)
    driver = load(name)
    pod = driver.inject(a_pod(), cell(name, pattern), "subject")
    assert driver.admitted(pod, cell(name, pattern)).pattern == pattern
    sidecar = manifests.container_of(pod, name)
    if pattern == "classic":
        assert pod["spec"]["containers"][-1] == sidecar
        assert "restartPolicy" not in sidecar
    else:
        its = [one["name"] for one in pod["spec"]["initContainers"]]
        assert its.index(name) < its.index("own-init")
        assert sidecar["restartPolicy"] == "Always"
    assert sidecar["imagePullPolicy"] == "IfNotPresent"
    volumes = {one["name"] for one in pod["spec"]["volumes"]} | {"app-logs"}  # of the logs' pods
    assert {one["name"] for one in sidecar.get("volumeMounts", ())} <= volumes
    assert set(driver.facts(cell(name, pattern), "here").ports) >= {"probe"}


def test_a_mesh_is_redirected_before_it_starts_and_its_peer_is_native() -> None:
    name = example("own-envoy")
    driver = load(name)
    assert driver.fixture_images() == ("envoy",)
    for role, pattern in (("subject", "native"), ("peer", "classic")):
        pod = driver.inject(a_pod(), cell(name, pattern), role)  # type: ignore[arg-type]
        its = [one["name"] for one in pod["spec"]["initContainers"]]
        assert its == ["rules", name, "own-init"]
        secrets = [one["secret"] for one in pod["spec"]["volumes"] if "secret" in one]
        assert secrets == [{"secretName": f"mesh-{role}", "defaultMode": 0o444}]
    classic = driver.inject(a_pod(), cell(name, "classic"), "subject")
    assert [one["name"] for one in classic["spec"]["initContainers"]] == ["own-init", "rules"]
    rules = manifests.container_of(classic, "rules")
    assert rules["command"][-5:] == ["15021", "8081", "15006", "15001", "1337"]
    witness = driver.inject(a_pod(), cell(name, "native"), "witness")
    assert witness == a_pod()


def test_placeholders_are_filled_in_templates_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nkind: plain\ncontainer:\n  image: x\n"
        "  args: ['${NAMESPACE}/${ROLE}', '$NAMESPACE', '${OTHER}']\n"
    )
    driver = load(register(file))
    pod = a_pod()
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod["spec"]}
    job = {
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "there-2"},
        "spec": {"template": template},
    }
    made = manifests.with_sidecar(job, driver, cell("mine", "native", "job"), "subject")
    sidecar = manifests.container_of(manifests.pod_of(made), "mine")
    assert sidecar["args"] == ["there-2/subject", "$NAMESPACE", "${OTHER}"]
    assert made["spec"]["template"]["metadata"] == {"labels": {"a": "b"}}


def test_the_shipper_delivers_to_the_suites_sink() -> None:
    driver = load(example("log-shipper"))
    made: list[Mapping[str, Any]] = list(driver._setup("here"))  # type: ignore[attr-defined]
    service = made[-1]
    assert service["metadata"]["name"] == "collector"
    assert service["spec"]["ports"] == [{"name": "logs", "port": 9000, "targetPort": 8080}]
    pod = driver.inject(a_pod(), cell("own-shipper", "native", "logs"), "subject")
    assert {"name": "app-logs", "mountPath": "/logs", "readOnly": True} in manifests.container_of(
        pod, "own-shipper"
    )["volumeMounts"]


@pytest.mark.parametrize("called", sorted(PROGRAMS))
def test_its_kind_decides_what_it_is_asked(called: str) -> None:
    name = example(called)
    kind = load(name)._own.kind  # type: ignore[attr-defined]
    selection = Options.check(
        {"sidecar": str(EXAMPLES / f"{called}.yaml"), "k8s": "1.33"}
    ).selection
    assert selection.sidecars == (name,)
    played = {one.scenario for one in cells.cells(selection)}
    assert played >= SCENARIOS[kind]
    assert not played & set(unasked(name))


@pytest.mark.parametrize("called", sorted(PROGRAMS))
def test_what_is_expected(called: str) -> None:
    """Native: the promise, or what the common table says of native pods. Classic: what the pattern
    itself makes, and else it is measured."""
    name = example(called)
    for id_, behaviour in behaviours().items():
        for scenario in behaviour.scenarios:
            classic = expected(id_, cell(name, "classic", scenario))
            if classic.expect == "broken":
                assert id_ in (
                    "start.order", "stop.order", "job.completes", "job.cronjob", "job.spillover",
                    "start.init-traffic",
                )  # fmt: skip
            native = expected(id_, cell(name, "native", scenario))
            if id_ in (
                "start.order",
                "stop.order",
                "job.completes",
                "logs.last",
                "start.no-plaintext",
            ):
                assert native.expect == "holds", id_
    assert expected("stop.order", Cell("1.28", name, "native", "default", "lifecycle")).hazards == (
        "wrong-order",
    )


def test_a_hook_of_its_own_makes_the_classic_end_a_matter_of_length(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    hook = "  lifecycle: {preStop: {exec: {command: [sleep, '9']}}}\n"
    file.write_text(f"name: mine\nkind: plain\ncontainer:\n  image: x\n{hook}")
    name = register(file)
    assert expected("stop.order", cell(name, "classic")).expect == "measured"
    assert "start.order" in REGISTRY[name].without
    asked = cells.judged_in(cell(name, "native"), tuple(behaviours()))
    assert "start.order" not in asked
    assert "stop.order" in asked


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    file, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    file.write_text("name: istio\nkind: plain\ncontainer: {image: x}\n")
    with pytest.raises(UsageProblem, match=r"one\.yaml: name is istio, which is a sidecar of the"):
        own.sidecars(str(file), None)
    file.write_text("name: mine\nkind: plain\ncontainer: {image: x}\n")
    other.write_text("name: mine\nkind: plain\ncontainer: {image: y}\n")
    with pytest.raises(UsageProblem, match="give each file its own"):
        own.sidecars(f"{file},{other}", None)


def test_files_stand_beside_names(tmp_path: Path) -> None:
    file = write("metrics-exporter", tmp_path)
    assert own.sidecars(None, None) is None
    assert own.sidecars("envoy,fixture", None) == "envoy,fixture"
    assert own.sidecars(f"envoy,{file}", None) == "envoy,metrics-exporter"
    assert own.sidecars(None, str(file)) == "metrics-exporter"
    assert own.sidecars("envoy", str(file)) == "envoy,metrics-exporter"


def test_a_run_keeps_the_file_and_is_judged_by_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nkind: plain\ncontainer: {image: x}\n")
    register(file)
    run = tmp_path / "run"
    kept.keep(run)
    file.write_text("name: mine\nkind: plain\ncontainer: {image: changed}\n")
    kept.restore(run)
    assert load("mine").official_images() == ["x"]  # type: ignore[attr-defined]
    del REGISTRY["mine"]
    file.unlink()
    kept.restore(run)
    assert expected("job.completes", cell("mine", "classic", "job")).expect == "broken"
    bundle = run / "evidence" / "1.33" / "mine-native-default-lifecycle"
    assert kept.run_of(bundle) == run


def test_make_looks_only_whether_the_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's Python has no packages."""
    import importlib.util

    from conformance.plan import check

    file = tmp_path / "mine.yaml"
    file.write_text("no: sidecar\n")
    assert check.main([f"--sidecar={file}"]) == 2
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert check.main([f"--sidecar={file}", "--k8s=1.33"]) == 0
    assert check.main([f"--sidecar={tmp_path}/nothing.yaml"]) == 2
