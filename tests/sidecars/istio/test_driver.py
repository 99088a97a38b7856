"""The Istio driver: what it asks of the injector, what it reads back, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from conformance.cluster.state import ClusterHandle
from conformance.errors import UsageProblem
from conformance.model import Cell
from conformance.plan import cells as plan
from conformance.plan import check
from conformance.plan import selection as choices
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars import manifests
from conformance.sidecars.driver import (
    BringsImages,
    FlipsPattern,
    KeepsRecords,
    OwnsPlane,
    Upgrades,
    load,
)
from conformance.sidecars.istio import control_plane as istio_control_plane
from conformance.sidecars.istio import images as image_istio
from conformance.sidecars.istio import records as istio_records
from conformance.sidecars.istio import release as istio_release
from conformance.sidecars.istio import upgrade as istio_upgrade
from conformance.verdicts import expectations

POD = {
    "metadata": {"name": "subject", "labels": {"app": "subject"}},
    "spec": {"containers": [{"name": "app", "image": "app", "env": [{"name": "A", "value": "1"}]}]},
}
INJECT = "sidecar.istio.io/inject"
NATIVE = "sidecar.istio.io/nativeSidecar"


@pytest.fixture(autouse=True)
def _no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTIO_VERSION", raising=False)


def cell(pattern: str = "classic", mode: str = "default", scenario: str = "lifecycle") -> Cell:
    return Cell("1.33", "istio", pattern, mode, scenario)  # type: ignore[arg-type]


class TestRelease:
    @pytest.mark.parametrize("tag", ["1.20.0", "1.27.3", "1.31-dev", "1.30.0-rc.1", "1.24"])
    def test_what_can_be(self, tag: str) -> None:
        found = istio_release.wanted(tag)
        assert (found.tag, found.asked) == (tag, True)

    @pytest.mark.parametrize("tag", ["1.19.9", "1.2", "latest", "2.1.0", "1.27.x", "v1.27.3"])
    def test_what_cannot_be(self, tag: str) -> None:
        with pytest.raises(UsageProblem, match=r"1\.20"):
            istio_release.wanted(tag)

    def test_none_was_asked_for(self) -> None:
        assert not istio_release.wanted("").asked

    @pytest.mark.parametrize(
        ("tag", "kubelet", "by_pod", "native"),
        [
            ("1.20.8", 33, False, False),
            ("1.23.6", 33, False, False),
            ("1.24.0", 33, True, False),
            ("1.26.4", 33, True, False),
            ("1.27.0", 32, True, False),
            ("1.27.0", 33, True, True),
            ("1.31-dev", 33, True, True),
        ],
    )
    def test_what_each_can_do(self, tag: str, kubelet: int, by_pod: bool, native: bool) -> None:
        release = istio_release.Release(tag)
        assert release.pattern_by_pod == by_pod
        assert release.native_by_default(kubelet) == native

    def test_the_built_one_is_the_pinned_module(self) -> None:
        assert image_istio.module_version().startswith("v0.0.0-")
        assert istio_release.Release(istio_release.BUILT).built


class TestChoices:
    def test_a_version_that_cannot_be_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ISTIO_VERSION", "1.19.1")
        assert check.main(["--sidecar", "istio"]) == 2
        assert check.main(["--sidecar", "envoy"]) == 0

    def test_the_option_comes_before_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ISTIO_VERSION", "1.24.0")
        options = Options.check({"sidecar": "istio", "istio_version": "1.27.1"})
        assert options.selection.versions == {"istio": "1.27.1"}
        assert Options.check({"sidecar": "istio"}).selection.versions == {"istio": "1.24.0"}
        assert Options.check({"sidecar": "envoy"}).selection.versions == {}
        with pytest.raises(UsageProblem):
            Options.check({"sidecar": "istio", "istio_version": "1.19.1"})

    @pytest.mark.parametrize("mode", ["hold", "exit-on-zero"])
    def test_a_setting_that_native_sidecars_ignore_is_refused(self, mode: str) -> None:
        assert check.main(["--sidecar", "istio", "--mode", mode, "--pattern", "native"]) == 2
        assert check.main(["--sidecar", "istio", "--mode", mode]) == 0

    def test_cells(self) -> None:
        found = plan.cells(choices.select({"sidecar": "istio", "k8s": "1.33"}))
        assert all(len(one.slug) <= 63 for one in found)
        assert {one.pattern for one in found if one.mode == "hold"} == {"classic"}
        assert {one.pattern for one in found if one.mode == "excluded"} == {"classic", "native"}
        assert {one.mode for one in found if one.scenario == "job"} == {"default"}
        assert {"rollout", "upgrade"} <= {one.scenario for one in found}

    def test_a_mesh_without_a_control_plane_is_not_upgraded(self) -> None:
        assert check.main(["--sidecar", "envoy", "--scenario", "upgrade"]) == 2


class TestInject:
    driver = load("istio")

    def test_only_marks_the_pod(self) -> None:
        sent = self.driver.inject(POD, cell(), "subject")
        assert [one["name"] for one in sent["spec"]["containers"]] == ["app"]
        assert "initContainers" not in sent["spec"]
        assert sent["metadata"]["labels"] == {"app": "subject", INJECT: "true"}
        assert POD["metadata"] == {"name": "subject", "labels": {"app": "subject"}}

    @pytest.mark.parametrize(
        ("pattern", "role", "native"),
        [
            ("classic", "subject", "false"),
            ("native", "subject", "true"),
            ("classic", "peer", "true"),
        ],
    )
    def test_pattern(self, pattern: str, role: str, native: str) -> None:
        sent = self.driver.inject(POD, cell(pattern), role)
        assert sent["metadata"]["annotations"][NATIVE] == native
        assert sent["spec"]["serviceAccountName"] == role

    def test_older_releases_choose_by_control_plane(self) -> None:
        sent = load("istio", {"istio": "1.22.1"}).inject(POD, cell("classic"), "subject")
        assert sent["metadata"]["labels"]["istio.io/rev"] == "classic"
        assert NATIVE not in sent["metadata"]["annotations"]

    @pytest.mark.parametrize("pattern", ["classic", "native"])
    def test_the_control_leaves_past_the_proxy(self, pattern: str) -> None:
        asked = self.driver.inject(POD, cell(pattern), "subject")["metadata"]["annotations"]
        assert asked["traffic.sidecar.istio.io/excludeOutboundPorts"] == "9001"
        assert asked["traffic.sidecar.istio.io/excludeInboundPorts"] == "8081"

    def test_modes_are_the_subjects_alone(self) -> None:
        for mode in REGISTRY["istio"].modes:
            subject = self.driver.inject(POD, cell(mode=mode), "subject")
            peer = self.driver.inject(POD, cell(mode=mode), "peer")
            assert peer == self.driver.inject(POD, cell(), "peer")
            plain = self.driver.inject(POD, cell(), "subject")
            assert (mode == "default") == (subject == plain)

    def test_the_excluded_user_is_the_app_alone(self) -> None:
        (app,) = self.driver.inject(POD, cell(mode="excluded-user"), "subject")["spec"][
            "containers"
        ]
        assert app["securityContext"] == {"runAsUser": 1337}
        assert not self.driver.facts(cell(mode="excluded-user"), "n").egress_answered

    def test_the_work_outlasts_the_drain(self) -> None:
        subject = self.driver.inject(POD, cell(), "subject")["spec"]["containers"][0]["env"]
        peer = self.driver.inject(POD, cell(), "peer")["spec"]["containers"][0]["env"]
        drain = self.driver.facts(cell(), "n").sidecar_drain_seconds
        assert float(_value(subject, "SC_DRAIN_SECONDS")) > drain + 1
        assert float(_value(peer, "SC_SLOW_SECONDS")) > drain + 1
        assert _value(subject, "A") == "1"

    def test_an_upgraded_pod_asks_for_the_revision_of_its_tag(self) -> None:
        assert isinstance(self.driver, Upgrades)
        sent = self.driver.inject_by("tag", POD, cell("native"), "subject")
        assert sent["metadata"]["labels"]["istio.io/rev"] == "tag"
        made = {"metadata": {"annotations": {"istio.io/rev": "next"}}}
        assert self.driver.control_plane_of(made) == "next"

    def test_identities_can_be_told_apart(self) -> None:
        found = self.driver.facts(cell(), "ns").identities
        assert found["subject"] == "spiffe://cluster.local/ns/ns/sa/subject"
        assert found["peer"] != found["subject"]


def _value(env: list[dict[str, str]], name: str) -> str:
    (found,) = [one["value"] for one in env if one["name"] == name]
    return found


class TestAdmitted:
    driver = load("istio")
    injected: ClassVar = {"annotations": {"sidecar.istio.io/status": "{}"}}

    def of(self, metadata: Mapping[str, object], **spec: object) -> tuple[str, tuple[str, ...]]:
        pod = {"metadata": metadata, "spec": {"containers": [{"name": "app"}], **spec}}
        found = self.driver.admitted(pod, cell())
        assert found.why
        return found.pattern, found.sidecars

    def test_native(self) -> None:
        init = [{"name": "istio-init"}, {"name": "istio-proxy", "restartPolicy": "Always"}]
        assert self.of(self.injected, initContainers=init) == ("native", ("istio-proxy",))

    def test_classic(self) -> None:
        both = [{"name": "app"}, {"name": "istio-proxy"}]
        assert self.of(self.injected, containers=both) == ("classic", ("istio-proxy",))

    def test_restart_policy_was_dropped(self) -> None:
        assert self.of(self.injected, initContainers=[{"name": "istio-proxy"}]) == ("none", ())

    def test_not_injected(self) -> None:
        assert self.of(self.injected) == ("none", ())

    def test_a_look_alike_that_the_injector_never_saw(self) -> None:
        assert self.of({}, containers=[{"name": "istio-proxy"}])[0] == "none"


class TestRecords:
    def bundle(self, folder: Path, istiod: str = "", proxy: str = "") -> Path:
        for name, text in (
            ("mesh/istiod-1.log", istiod),
            ("logs/subject.istio-proxy.log", proxy),
        ):
            path = folder / name
            path.parent.mkdir()
            path.write_text(text)
        return folder

    def test_none(self, tmp_path: Path) -> None:
        bundle = self.bundle(
            tmp_path,
            "2026-11-22T18:00:00Z\tinfo\tads\tADS: new connection for node:subject.ns-3\n",
            "2026-11-22T18:00:00Z\tinfo\tcache\tgenerated new workload certificate\n",
        )
        assert list(istio_records.nacks(bundle, "ns")) == []

    def test_refused_configuration_is_found_in_both_logs(self, tmp_path: Path) -> None:
        refused = "ACK ERROR subject.ns-3 Internal:Error adding/updating listener(s) virtualInbound"
        bundle = self.bundle(
            tmp_path,
            f"first line\n2026-11-22T18:00:00Z\twarn\tads\tADS:LDS: {refused}\n",
            "warning\tenvoy config\tgRPC config for type.googleapis.com/envoy.config.listener.v3."
            "Listener rejected: Error adding/updating listener(s)\n",
        )
        istiod, proxy = istio_records.nacks(bundle, "ns")
        assert (istiod["by"], istiod["file"], istiod["line"]) == ("istiod", "mesh/istiod-1.log", 2)
        assert (proxy["by"], proxy["file"]) == ("proxy", "logs/subject.istio-proxy.log")
        assert json.dumps([istiod, proxy])

    @pytest.mark.parametrize("other", ["subject.other-3", "subject.ns-2-3", "subject.my.ns-x"])
    def test_other_cells_troubles_are_their_own(self, tmp_path: Path, other: str) -> None:
        bundle = self.bundle(tmp_path, f"ADS:CDS: ACK ERROR {other} Internal:Error\n")
        assert list(istio_records.nacks(bundle, "ns")) == []


class TestStamps:
    LOG = (
        "2026-11-22T18:42:21.237657Z\tinfo\tEnvoy command: [-c etc/istio/proxy/envoy-rev.json]\n"
        '{"direction":"inbound","start":"2026-11-22T18:42:22.000000000Z"}\n'
        "2026-11-22T18:42:22.000007Z\terror\tcitadelclient\tfailed to sign CSR: create "
        "certificate: rpc error: code = Unavailable desc = connection refused\n"
        "2026-11-22T18:42:22.297814Z\tinfo\tEnvoy proxy is ready\n"
        "2026-11-22T18:42:29.000001Z\tinfo\thandling /drain, starting drain\n"
        "2026-11-22T18:42:29.108570Z\tinfo\tAgent draining Proxy for termination\n"
        "2026-11-22T18:42:34.114953Z\tinfo\tChecking for active connections...\n"
        "2026-11-22T18:42:45.119866Z\tinfo\tAgent has successfully terminated\n"
    )

    def test_what_the_agent_says_it_does(self, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "subject.istio-proxy.log"
        log.parent.mkdir()
        log.write_text(self.LOG)
        found = list(istio_records.stamps(tmp_path, log))
        assert [one["event"].removeprefix("sidecar.") for one in found] == [  # type: ignore
            "exec", "unserved", "ready", "drain", "sigterm", "last",
        ]  # fmt: skip
        assert found[4]["ns"] == 1795372949108570999
        assert found[4]["source"] == "logs/subject.istio-proxy.log:6"


class TestControlPlanes:
    def test_a_dry_run_is_created_past_the_injector_as_it_is(self) -> None:
        said = {
            "metadata": {
                "name": "subject", "namespace": "ns", "uid": "u", "creationTimestamp": "t",
                "labels": {"app": "subject", INJECT: "true"}, "annotations": {NATIVE: "true"},
            },
            "spec": {"initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}]},
            "status": {"phase": "Pending"},
        }  # fmt: skip
        pod = load("istio").past_the_injector(said)  # type: ignore[attr-defined]
        assert pod["spec"] == said["spec"] and "status" not in pod
        assert set(pod["metadata"]) == {"name", "namespace", "labels", "annotations"}
        assert pod["metadata"]["labels"] == {"app": "subject", INJECT: "false"}
        assert said["metadata"]["labels"][INJECT] == "true"  # type: ignore[index]

    def test_undecided_pods_leave_the_pattern_to_the_mesh(self) -> None:
        driver = load("istio")
        pod = driver.inject(POD, cell("native"), "subject")
        undecided = driver.undecided(pod)  # type: ignore[attr-defined]
        assert NATIVE not in undecided["metadata"]["annotations"]
        assert NATIVE in pod["metadata"]["annotations"]

    @pytest.mark.parametrize(
        ("tag", "minor", "native"),
        [("1.31-dev", "1.33", "false"), ("1.31-dev", "1.29", "true"), ("1.26.1", "1.33", "true")],
    )
    def test_the_next_control_plane_has_the_other_default(
        self, tag: str, minor: str, native: str
    ) -> None:
        handle = ClusterHandle(minor, "c", Path("k"), "n", Path("e"))
        setting = istio_upgrade._other_default(handle, istio_release.Release(tag))
        assert setting == f"values.pilot.env.ENABLE_NATIVE_SIDECARS={native}"

    def test_only_the_kept_connections_get_short_lived_certificates(self) -> None:
        driver, config = load("istio"), "proxy.istio.io/config"
        kept = driver.inject(POD, cell(scenario="keepalive"), "peer")["metadata"]["annotations"]
        assert json.loads(kept[config]) == {"proxyMetadata": {"SECRET_TTL": "30s"}}
        assert driver.facts(cell(scenario="keepalive"), "ns").certificate_seconds == 30
        assert config not in driver.inject(POD, cell(), "peer")["metadata"]["annotations"]
        assert not driver.facts(cell(), "ns").certificate_seconds


class TestInstallation:
    def settings(self, tag: str, revision: str = "") -> list[str]:
        return istio_control_plane._settings(istio_release.Release(tag), revision)

    def test_only_built_images_lose_extensions(self) -> None:
        assert not any("ALPN" in word for word in self.settings("1.30.5"))
        built = self.settings(istio_release.BUILT)
        assert set(istio_control_plane.WITHOUT_EXTENSIONS) <= set(built)

    def test_a_control_plane_for_each_pattern_before_1_24(self) -> None:
        release = istio_release.Release("1.22.1")
        assert istio_control_plane._revisions(release) == ("classic", "native")
        assert "values.pilot.env.ENABLE_NATIVE_SIDECARS=true" in self.settings("1.22.1", "native")

    def test_what_a_promise_could_depend_on_is_left_as_shipped(self) -> None:
        text = (istio_control_plane.MANIFESTS / "install.yaml").read_text()
        for word in ("lifecycle", "terminationDrainDuration", "holdApplication", "Probe", "retr"):
            assert word not in json.dumps(yaml.safe_load(text))

    def test_its_kinds_are_known(self) -> None:
        for name in ("namespace.yaml", "telemetry.yaml"):
            path = istio_control_plane.MANIFESTS / name
            for document in manifests.read(path, {"NAMESPACE": "ns"}):
                known = document["kind"] in istio_control_plane.PLURALS
                assert known == ("istio.io" in document["apiVersion"])
                assert document["metadata"]["namespace"] in ("ns", "istio-system")

    def test_warning(self) -> None:
        log = (
            "\nThe Kubernetes version v1.29.15 is not supported by Istio 1.31-dev. "
            "The minimum supported Kubernetes version is 1.32.\nProceeding\n"
        )
        assert "1.32" in istio_control_plane._warning(log)
        assert istio_control_plane._warning("Istiod installed") == ""

    def test_the_driver_offers_what_the_suite_asks_for(self) -> None:
        driver = load("istio")
        for more in (BringsImages, KeepsRecords, Upgrades, OwnsPlane, FlipsPattern):
            assert isinstance(driver, more)
            assert not isinstance(load("envoy"), more)

    def test_recipes_are_pinned(self) -> None:
        builds = (image_istio.server_build(), image_istio.agent_build())
        assert len({one.digest for one in builds}) == 2
        assert all(one.tags and len(one.sources) == 2 for one in builds)
        assert "==" in image_istio.envoy_wheel()


class TestExpectations:
    @pytest.mark.parametrize("pattern", ["classic", "native"])
    @pytest.mark.parametrize("behaviour", ["start.no-plaintext", "stop.no-plaintext"])
    def test_istio_refuses_and_does_not_leak(self, pattern: str, behaviour: str) -> None:
        assert expectations.expected(behaviour, cell(pattern)).expect == "holds"
        excluded = expectations.expected(behaviour, cell(pattern, "excluded"))
        hazards = ("plaintext", "plaintext-while-the-sidecar-lived")
        assert (excluded.expect, tuple(excluded.hazards)) == ("broken", hazards)

    def test_holding_the_application_helps_its_first_request(self) -> None:
        assert expectations.expected("start.first-request", cell()).expect == "broken"
        assert expectations.expected("start.first-request", cell(mode="hold")).expect == "holds"
