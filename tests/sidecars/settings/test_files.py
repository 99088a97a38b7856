"""Files of a mesh's settings: refused in one sentence, kept with the run, put under the suite's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conformance.cluster.state import ClusterHandle
from conformance.errors import UsageProblem
from conformance.model import Cell
from conformance.plan import check
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY
from conformance.run import kept
from conformance.sidecars.istio import values as istio
from conformance.sidecars.settings import files
from conformance.verdicts.expectations import expected

OPERATOR = """\
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: default
  tag: 1.2.3
  meshConfig:
    accessLogFile: /dev/stdout
    extensionProviders: [{name: mine, zipkin: {service: z, port: 9411}}]
    defaultConfig: {proxyMetadata: {CLOUD_PLATFORM: gcp, MINE: "1"}}
  values:
    global: {proxy: {resources: {requests: {cpu: 1}}}}
"""
HELM = "pilot: {env: {MINE: x}}\nmeshConfig: {defaultConfig: {terminationDrainDuration: 30s}}\n"


def file(folder: Path, text: str, name: str = "values.yaml") -> Path:
    found = folder / name
    found.write_text(text)
    return found


def cluster(run: Path) -> ClusterHandle:
    folder = run / "clusters" / "1.33"
    folder.mkdir(parents=True, exist_ok=True)
    return ClusterHandle("1.33", "sc", folder / "kubeconfig", "node", run / "evidence" / "1.33")


def chosen(**given: str) -> Options:
    return Options.check({"k8s": "1.33", "sidecar": "istio", **given})


def test_an_operator_is_put_under_the_suites_own(tmp_path: Path) -> None:
    chosen(istio_values=str(file(tmp_path, OPERATOR)))
    kept.keep(tmp_path)
    made = yaml.safe_load(istio.overlay(cluster(tmp_path), "istio").read_text())
    spec = made["spec"]
    assert spec["profile"] == "minimal"
    assert "tag" not in spec
    assert spec["meshConfig"]["accessLogFile"] == "/dev/stdout"
    names = [one["name"] for one in spec["meshConfig"]["extensionProviders"]]
    assert names == ["mine", "conformance-inbound", "conformance-outbound"]
    assert spec["meshConfig"]["defaultConfig"]["proxyMetadata"] == {
        "CLOUD_PLATFORM": "none", "MINE": "1",
    }  # fmt: skip
    found = files.of(cluster(tmp_path), "istio")
    assert found is not None
    told = files.told(found, istio.suites(["tag=9", "values.a.b=false"]), {})
    assert told["overridden_by_the_suite"] == (
        "meshConfig.defaultConfig.proxyMetadata.CLOUD_PLATFORM (gcp → none); "
        "values.global.proxy.resources.requests.cpu (1 → 40m); profile; tag"
    )
    assert told["seen_in_the_admitted_pod"] == "nothing"


def test_helms_values_are_the_same(tmp_path: Path) -> None:
    chosen(istio_values=str(file(tmp_path, HELM)))
    kept.keep(tmp_path)
    spec = yaml.safe_load(istio.overlay(cluster(tmp_path), "istio").read_text())["spec"]
    assert spec["values"]["pilot"]["env"] == {"MINE": "x"}
    assert spec["meshConfig"]["defaultConfig"]["terminationDrainDuration"] == "30s"
    assert "meshConfig" not in spec["values"]


def test_without_a_file_istioctl_is_given_the_suites_own(tmp_path: Path) -> None:
    chosen()
    kept.keep(tmp_path)
    assert istio.overlay(cluster(tmp_path), "istio") == istio.INSTALL
    assert files.of(cluster(tmp_path), "istio") is None


def test_settings_that_decide_the_classic_arm_are_measured_there(tmp_path: Path) -> None:
    def expect(pattern: str, mode: str = "default") -> str:
        cell = Cell("1.33", "istio", pattern, mode, "lifecycle")  # type: ignore[arg-type]
        return expected("stop.in-flight", cell).expect

    chosen(istio_values=str(file(tmp_path, "pilot: {env: {A: b}}\n")))
    assert expect("classic") == "broken"
    chosen(istio_values=str(file(tmp_path, HELM)))
    assert (expect("classic"), expect("native")) == ("measured", "holds")
    kept.keep(tmp_path)
    chosen()
    assert expect("classic") == "broken"
    kept.restore(tmp_path)
    assert expect("classic") == "measured"
    kept.restore(tmp_path / "another")
    assert REGISTRY["istio"].values is None


WRONG = [
    ("- 1\n", "the document is no mapping"),
    ("a: 1\n---\nb: 1\n", "a second document"),
    ("kind: Deployment\nspec: {}\n", "line 1: kind is 'Deployment'"),
    ("kind: IstioOperator\nspec: [1]\n", "line 2: spec is no mapping"),
    ("kind: IstioOperator\nspec: {values: 1}\n", "line 2: spec.values is no mapping"),
    ("a: [\n", "no YAML"),
    ("a: 1\na: 2\n", "line 2: a stands there twice"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_file_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem) as problem:
        chosen(istio_values=str(file(tmp_path, text)))
    assert said in str(problem.value)
    assert "values.yaml" in str(problem.value)


def test_a_file_for_a_mesh_that_is_not_played_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = f"--istio-values={file(tmp_path, HELM)}"
    assert check.main(["--sidecar=envoy", given]) == 2
    assert "which is not part of this run; add it (SIDECAR=istio)" in capsys.readouterr().err
    assert check.main(["--sidecar=istio", "--istio-values="]) == 2
    assert check.main(["--sidecar=linkerd", "--linkerd-values=/nowhere.yaml"]) == 2
    assert "LINKERD_VALUES=/nowhere.yaml cannot be read" in capsys.readouterr().err
    monkeypatch.setenv("ISTIO_VALUES", "/nowhere.yaml")
    assert check.main(["--sidecar=envoy"]) == 0
    assert check.main(["--sidecar=istio"]) == 2


def test_linkerds_images_and_identity_stay_the_suites(tmp_path: Path) -> None:
    text = "proxy: {image: {version: x}, logLevel: debug}\nidentityTrustAnchorsPEM: secret\n"
    text += "disableHeartBeat: false\n"
    found = files.given(file(tmp_path, text), "linkerd")
    assert found.settings == {"proxy": {"logLevel": "debug"}, "disableHeartBeat": False}
    assert found.dropped == ["proxy.image", "identityTrustAnchorsPEM"]
    from conformance.sidecars.linkerd import values as linkerd

    pod = {"spec": {"containers": [{"name": "linkerd-proxy"}]}}
    told = files.told(found, linkerd.suites(), pod)
    assert told["overridden_by_the_suite"] == (
        "disableHeartBeat (false → true); proxy.image; identityTrustAnchorsPEM"
    )


@pytest.mark.parametrize(
    ("said", "seconds"), [("30s", 30), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), ("soon", 5)]
)
def test_istios_drain_is_the_users(said: str, seconds: float, tmp_path: Path) -> None:
    text = f"meshConfig: {{defaultConfig: {{terminationDrainDuration: {said}}}}}\n"
    chosen(istio_values=str(file(tmp_path, text)))
    assert istio.drain(5.0) == seconds
    chosen()
    assert istio.drain(5.0) == 5.0


def test_the_app_outlasts_a_longer_drain_where_it_can() -> None:
    from conformance.sidecars.istio.driver import APP_DRAIN, SLOW, outlasting

    usual = (APP_DRAIN, SLOW)
    assert [outlasting(one) for one in (2.0, 5.0)] == [usual, usual]
    assert outlasting(7.5) == (APP_DRAIN + 3, SLOW + 3)
    assert outlasting(11.0) == (15, 13)
    assert outlasting(12.0) == usual
