"""The Cilium driver: it injects nothing, and says what cannot be here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conformance.errors import Unobtainable
from conformance.images import ensure, official
from conformance.images.ensure import Image
from conformance.images.go_build import required_version
from conformance.model import Cell
from conformance.plan.catalogue import scenarios
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.agents import HasAgents, UpgradesAgents
from conformance.sidecars.cilium import images, network, records
from conformance.sidecars.cilium.driver import UPGRADE, Driver
from conformance.sidecars.cilium.release import FORMER, PRESENT, Release
from conformance.sidecars.driver import KeepsRecords, TunesPlane

POD = {
    "metadata": {"name": "subject", "labels": {"app": "subject"}},
    "spec": {"containers": [{"name": "app", "image": "app"}]},
}
CELL = Cell("1.33", "cilium", "sidecarless", "wireguard", "between")
HERE = "CONFIG_TUN=y\n# CONFIG_WIREGUARD is not set\n# CONFIG_INET_ESP is not set\n"


def test_nothing_is_injected() -> None:
    assert Driver().inject(POD, CELL, "subject") == POD
    found = Driver().admitted(POD, CELL)
    assert (found.pattern, found.sidecars) == ("none", ())
    assert found.why == "the pod's containers are app"


def test_what_it_is() -> None:
    for protocol in (HasAgents, KeepsRecords, TunesPlane, UpgradesAgents):
        assert isinstance(Driver(), protocol)


@pytest.mark.parametrize("release", images.RELEASES)
def test_a_release_is_the_one_that_its_module_pins(release: Release) -> None:
    assert required_version(images.RECIPE / release.module, images.MODULE) == release.tag
    for build in (images.agent_build(release), images.operator_build(release)):
        assert release.version in build.ldflags


@pytest.mark.parametrize("release", images.RELEASES)
def test_a_substitution_names_the_module_that_it_was_built_from(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Image("base", "sha256:0", "built", "")
    monkeypatch.setattr(ensure, "ensure_base", lambda *_: base)
    monkeypatch.setattr(official, "build", lambda *_: "sha256:1")
    for reference in (images.agent(release), images.operator(release)):
        built = images._built(None, "auto", release, reference, "no network")  # type: ignore[arg-type]
        assert f"{reference} built from {images.MODULE}@{release.tag} " in built.note


def test_the_two_releases_are_built_apart() -> None:
    assert images.agent_build(FORMER).digest != images.agent_build(PRESENT).digest
    assert len(set(Driver().official_images())) == 4


@pytest.mark.parametrize(("scenario", "release"), [("between", PRESENT), (UPGRADE, FORMER)])
def test_an_upgrade_begins_with_the_former_release(
    scenario: str, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(network, "tuned", lambda *given: asked.append(given))
    cell = Cell("1.33", "cilium", "sidecarless", "strict", scenario)
    Driver().tuned("cluster", None, cell)  # type: ignore[arg-type]
    assert asked == [("cluster", "strict", release)]
    assert UPGRADE in scenarios()


@pytest.mark.parametrize("mode", ["none", "wireguard", "strict"])
@pytest.mark.parametrize("config", [HERE, "CONFIG_WIREGUARD=m\n", ""])
def test_what_can_be_here(mode: str, config: str) -> None:
    network.require_obtainable(mode, config)


@pytest.mark.parametrize(
    ("mode", "config", "names"),
    [
        ("wireguard", "# CONFIG_TUN is not set\n", "CONFIG_WIREGUARD"),
        ("strict", "# CONFIG_TUN is not set\n", "CONFIG_TUN"),
        ("ipsec", HERE, "CONFIG_INET_ESP"),
        ("ipsec", "CONFIG_INET_ESP=y\n", "has not been tried"),
        ("ipsec", "", "CONFIG_INET_ESP"),
        ("ztunnel", HERE, "has no ztunnel"),
    ],
)
def test_what_cannot_be_here_is_named(mode: str, config: str, names: str) -> None:
    with pytest.raises(Unobtainable, match=names):
        network.require_obtainable(mode, config)


def test_every_mode_has_its_setting_or_its_reason() -> None:
    for mode in REGISTRY["cilium"].modes:
        assert mode in network.MODES or mode in ("ipsec", "ztunnel")


def test_the_values_switch_off_what_the_images_lack() -> None:
    values = yaml.safe_load(network.VALUES.read_text())
    for part in ("envoy", "hubble", "endpointHealthChecking", "ipv6"):
        assert values[part]["enabled"] is False
    assert values["l7Proxy"] is values["healthChecking"] is False
    assert values["cni"] == {"customConf": True, "exclusive": False}


def chart(folder: Path, values: str) -> Path:
    (folder / "templates").mkdir()
    (folder / "values.yaml").write_text(values)
    (folder / "templates" / "a.yaml").write_text("kind: DaemonSet\n")
    return folder


def test_a_chart_without_the_value(tmp_path: Path) -> None:
    found = records.look_into(chart(tmp_path, "sidecar: {}\nnative: true\n"))
    assert found == {"files": 2, "values_lines": 2, "found": []}


@pytest.mark.parametrize("word", ["nativeSidecar", "native-sidecars", "NATIVE_SIDECAR"])
def test_a_chart_with_the_value_under_any_spelling(tmp_path: Path, word: str) -> None:
    found = records.look_into(chart(tmp_path, f"a: 1\n{word}: true\n"))
    assert found["found"] == ["values.yaml:2"]


def test_the_chart_that_is_used_is_looked_into() -> None:
    assert records.CHARTS[:2] == (PRESENT.tag, FORMER.tag)
