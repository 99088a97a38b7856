"""Which Linkerd there is, and what is known by its release."""

from __future__ import annotations

import pytest

from conformance.errors import UsageProblem
from conformance.plan import cells as plan
from conformance.plan import selection
from conformance.sidecars.linkerd.release import PULLED, VERSIONS, Release, oldest, wanted


def test_without_a_word_it_is_the_suites_choice() -> None:
    assert wanted("") == Release(PULLED)
    assert not wanted("").asked


@pytest.mark.parametrize("name", ["edge-24.2.4", "edge-26.8.3", "stable-2.15.0", "stable-2.18.3"])
def test_a_release_is_known_by_its_name(name: str) -> None:
    assert wanted(name) == Release(name, asked=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_stands_for_its_edge_release(version: str) -> None:
    assert wanted(version).tag == VERSIONS[version]


@pytest.mark.parametrize(
    "name", ["edge-24.2.3", "stable-2.14.10", "2.14", "26.8.3", "edge-26.8", "latest", "edge-x"]
)
def test_what_cannot_be_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(UsageProblem, match=f"LINKERD_VERSION={name} is not valid; choose"):
        wanted(name)


@pytest.mark.parametrize(
    ("name", "annotation"),
    [
        ("edge-25.10.1", "config.alpha.linkerd.io"),
        ("stable-2.18.0", "config.alpha.linkerd.io"),
        ("edge-25.10.2", "config.beta.linkerd.io"),
        ("stable-2.19.1", "config.beta.linkerd.io"),
        ("edge-26.5.1", "config.beta.linkerd.io"),
        ("edge-26.5.2", "config.linkerd.io"),
        ("stable-2.20.0", "config.linkerd.io"),
    ],
)
def test_the_annotation_has_three_names(name: str, annotation: str) -> None:
    assert wanted(name).annotation == f"{annotation}/proxy-enable-native-sidecar"


def test_native_is_the_default_from_the_release_that_names_the_annotation() -> None:
    assert not wanted("edge-26.5.1").native_by_default
    assert wanted("edge-26.5.2").native_by_default
    assert wanted("").native_by_default


def test_the_images_become_fewer() -> None:
    every = {"controller", "proxy", "policy-controller", "proxy-init"}
    assert set(wanted("2.18").images) == every
    assert set(wanted("2.19").images) == every - {"policy-controller"}
    assert set(wanted("").images) == {"controller", "proxy"}


def test_the_oldest_kubernetes_is_known() -> None:
    assert oldest("edge-26.4.4") == 23
    assert oldest("edge-26.5.1") == 31
    assert oldest("") == 31


class TestKubernetes:
    def test_one_that_is_named_and_too_old_is_refused(self) -> None:
        with pytest.raises(
            UsageProblem, match=r"K8S=1\.29 is too old for linkerd, which needs 1\.31"
        ):
            selection.select({"sidecar": "linkerd", "k8s": "1.29,1.33"})

    def test_an_older_release_runs_there(self) -> None:
        given = {"sidecar": "linkerd", "k8s": "1.29", "linkerd_version": "2.19"}
        assert {cell.k8s for cell in plan.cells(selection.select(given))} == {"1.29"}

    @pytest.mark.parametrize("k8s", [None, "all"])
    def test_one_that_nobody_named_is_left_out(self, k8s: str | None) -> None:
        cells = plan.cells(selection.select({"sidecar": "envoy,linkerd", "k8s": k8s}))
        assert "1.29" in {cell.k8s for cell in cells if cell.sidecar == "envoy"}
        its = {cell.k8s for cell in cells if cell.sidecar == "linkerd"}
        assert "1.33" in its
        assert not [name for name in its if selection.minor_number(name) < 31]
