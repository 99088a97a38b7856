"""The log shippers' drivers: what they put into pods, and which cells they are put through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import Unobtainable
from conformance.evidence.vocabulary import Role
from conformance.images import official as image_official
from conformance.images.ensure import FixtureImage, Image
from conformance.machine.paths import CHECKOUT, FIXTURES
from conformance.model import Cell, Pattern
from conformance.observe import workloads
from conformance.observe.scenarios.logs import behind_mesh as logs_behind_mesh
from conformance.observe.scenarios.logs import logs
from conformance.plan import cells as plan
from conformance.plan import selection as choices
from conformance.plan.catalogue import scenarios
from conformance.sidecars.driver import load
from conformance.sidecars.fluent_bit import driver as fluent_bit
from conformance.sidecars.otel_collector import driver as otel_collector
from conformance.sidecars.otel_collector.images import BINARY, collector_build
from conformance.sidecars.shippers.shipper import LOGS_FOLDER, STATE_FOLDER, Shipper, unheard

SHIPPERS = ("otel-collector", "fluent-bit")


def shipper(name: str) -> Shipper:
    driver = load(name)
    assert isinstance(driver, Shipper)
    return driver


def subject(name: str, pattern: Pattern = "native", mode: str = "default") -> dict[str, Any]:
    (pod,) = workloads.load("logs", "subject", namespace="n", nonce="0" * 12, images={"app": "a"})
    return shipper(name).inject(pod, Cell("1.33", name, pattern, mode, "logs"), "subject")


def variables(container: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("name", SHIPPERS)
def test_the_two_patterns_differ_in_the_containers_place_alone(name: str) -> None:
    native, classic = subject(name), subject(name, "classic")
    (its,) = native["spec"]["initContainers"]
    assert its.pop("restartPolicy") == "Always"
    assert classic["spec"]["containers"][-1] == its
    assert native["spec"]["volumes"] == classic["spec"]["volumes"]
    cell = Cell("1.33", name, "native", "default", "logs")
    assert shipper(name).admitted(classic, cell).pattern == "classic"


@pytest.mark.parametrize("name", SHIPPERS)
def test_the_shipper_reads_what_the_app_writes_and_writes_elsewhere(name: str) -> None:
    pod = subject(name)
    app, its = pod["spec"]["containers"][0], pod["spec"]["initContainers"][0]
    mounts = {one["mountPath"]: one for one in its["volumeMounts"]}
    assert mounts[LOGS_FOLDER]["readOnly"] and not mounts[STATE_FOLDER].get("readOnly")
    assert variables(app)["SC_LOG"].startswith(LOGS_FOLDER)
    assert {one["name"] for one in its["volumeMounts"]} <= {
        one["name"] for one in pod["spec"]["volumes"]
    }


@pytest.mark.parametrize("name", SHIPPERS)
def test_every_variable_of_the_configuration_is_set(name: str) -> None:
    wanted = set(re.findall(r"\$\{(?:env:)?(\w+)\}", (FIXTURES / shipper(name).config).read_text()))
    its = variables(subject(name)["spec"]["initContainers"][0])
    assert wanted - set(its) == {"SINK_SERVICE_HOST", "SINK_SERVICE_PORT"}  # Kubernetes' own


@pytest.mark.parametrize("name", SHIPPERS)
def test_busy_is_a_busy_app_and_no_other_shipper(name: str) -> None:
    driver = shipper(name)
    assert driver.settings("busy") == driver.settings("default")
    assert variables(subject(name, mode="busy")["spec"]["containers"][0])["SC_RATE"] == "10000"


def test_modes_of_the_collector() -> None:
    driver = otel_collector.Driver()
    durable, lazy = driver.settings("durable"), driver.settings("lazy")
    assert durable["exporters"]["otlp_http"]["sending_queue"]["storage"] == "file_storage"
    assert "processors" not in durable["service"]["pipelines"]["logs"]
    (its,) = subject("otel-collector", mode="durable")["spec"]["initContainers"]
    assert its["command"][-1] == "--feature-gates=stanza.synchronousLogEmitter"
    assert lazy["receivers"]["file_log"]["start_at"] == "end"
    # Far longer than the app's end, which begins when lines have just come.
    assert lazy["receivers"]["file_log"]["poll_interval"] == "10s"
    app = subject("otel-collector", mode="lazy")["spec"]["containers"][0]
    assert variables(app)["SC_DRAIN_SECONDS"] == "2"


def test_modes_of_fluent_bit() -> None:
    driver = fluent_bit.Driver()
    (durable,) = driver.settings("durable")["pipeline"]["inputs"]
    (lazy,) = driver.settings("lazy")["pipeline"]["inputs"]
    assert durable["storage.type"] == "filesystem"
    assert driver.settings("durable")["service"]["storage.path"].startswith(STATE_FOLDER)
    assert lazy["read_from_head"] is False


@pytest.mark.parametrize("name", SHIPPERS)
@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_a_deaf_twin_differs_in_its_shippers_variables_alone(name: str, pattern: Pattern) -> None:
    pod = subject(name, pattern)
    twin = unheard(shipper(name), pod)
    group = "initContainers" if pattern == "native" else "containers"
    ours, theirs = pod["spec"][group][-1], twin["spec"][group][-1]
    assert variables(theirs) == {**variables(ours), **shipper(name).deaf}
    assert variables(theirs) != variables(ours)
    theirs["env"] = ours["env"]
    assert twin == pod
    logs.renamed(twin, Role.DEAF)
    assert variables(twin["spec"]["containers"][0])["SC_ROLE"] == "deaf"
    assert variables(twin["spec"]["containers"][0])["SC_STAMPS"].endswith("/deaf.app.jsonl")


def test_shippers_are_put_through_their_own_scenarios_alone() -> None:
    found = plan.cells(choices.select({"k8s": "1.33", "sidecar": ",".join(SHIPPERS)}))
    assert {cell.scenario for cell in found} == {
        name for name, one in scenarios().items() if "logs" in one.needs.split()
    }
    others = plan.cells(choices.select({"k8s": "1.33", "sidecar": "envoy,fixture,istio"}))
    assert not any(cell.scenario.startswith("logs") for cell in others)


def test_a_job_of_a_shipper_is_judged_like_any_other() -> None:
    items = plan.items(choices.select({"k8s": "1.33", "sidecar": "otel-collector"}))
    judged = {(item.cell.scenario, item.behaviour) for item in items}
    assert {
        ("logs-job", "job.completes"),
        ("logs", "start.order"),
        ("logs", "stop.order"),
    } <= judged


def test_the_built_collector_is_laid_out_as_the_official_image() -> None:
    dockerfile = (FIXTURES / "otel-collector/Dockerfile").read_text()
    (program, *_) = otel_collector.Driver.command
    assert f"COPY {BINARY} {program}" in dockerfile
    version = (collector_build().stamps or {})["main.version"]
    assert version == f"v{otel_collector.VERSION}"
    told = (CHECKOUT / "docs/logs.md").read_text()
    assert f"`{otel_collector.IMAGE.removeprefix('docker.io/')}`" in told


def test_fluent_bit_that_cannot_be_pulled_is_not_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_official, "obtain", lambda *_: "no such host")
    with pytest.raises(Unobtainable, match="no such host"):
        fluent_bit.Driver().images(None, "auto")  # type: ignore[arg-type]


def test_fluent_bit_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = Image(fluent_bit.IMAGE, "sha256:" + "0" * 64, "present")
    monkeypatch.setattr(image_official, "obtain", lambda *_: image)
    monkeypatch.setattr(image_official, "archived", lambda _, one, __: FixtureImage(one, tmp_path))
    found = fluent_bit.Driver().images(None, "build")  # type: ignore[arg-type]
    assert found == {fluent_bit.IMAGE: FixtureImage(image, tmp_path)}


def test_the_probe_of_a_meshed_shipper_comes_by_the_port_that_the_mesh_leaves_alone() -> None:
    its = subject("fluent-bit")["spec"]["initContainers"][0]
    logs_behind_mesh._send_at_the_end(its)
    assert its["startupProbe"]["httpGet"]["port"] == 8081
    assert variables(its)["SC_HEALTH_PORT"] == "8081"
    assert variables(its)["SC_FLUSH_SECONDS"] == "30"
