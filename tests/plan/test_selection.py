"""What the user may ask for, and what is said when it cannot be."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conformance.errors import UsageProblem
from conformance.machine.paths import CHECKOUT
from conformance.plan import cells as plan
from conformance.plan import selection as choices
from conformance.plan.catalogue import scenarios
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY
from conformance.verdicts.expectations import expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"k8s": "9.99"}, "1.33"),
        ({"sidecar": "nope"}, "envoy"),
        ({"pattern": "x"}, "classic, native"),
        ({"mode": "x"}, "fallback"),
        ({"scenario": "x"}, "lifecycle"),
        ({"behaviour": "x"}, "start.order"),
        ({"level": "x"}, "core, extended"),
        ({"pattern": ","}, "classic, native"),
    ],
)
def test_a_wrong_value_is_named_with_the_valid_ones(given: dict[str, str], named: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        choices.select(given)
    assert next(iter(given.values())) in str(raised.value)
    assert named in str(raised.value)


def test_options_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(UsageProblem, match="Nothing to run"):
        choices.select({"scenario": "job", "behaviour": "start.order"})
    with pytest.raises(UsageProblem, match="Nothing to run"):
        plan.cells(choices.select({"scenario": "job", "mode": "fallback"}))


def test_a_level_narrows_the_behaviours() -> None:
    core, both = (choices.select({"level": level}).behaviours for level in ("core", "all"))
    assert set(core) < set(both) and "move.rollout" not in core
    with pytest.raises(UsageProblem, match="is core"):
        choices.select({"level": "core", "behaviour": "move.rollout"})


def test_a_run_that_names_nothing_is_the_core_of_every_sidecar() -> None:
    usual = choices.select({})
    assert usual.whatever and set(usual.sidecars) == {*REGISTRY} - {"fixture", "cilium"}
    assert usual.behaviours == choices.select({"level": "core"}).behaviours
    assert choices.select({"k8s": "1.33"}).behaviours == usual.behaviours
    assert plan.left_out(usual, choices.known_k8s()).endswith(
        "(K8S=all); fixture (SIDECAR=fixture); cilium (SIDECAR=cilium, by itself); the extended "
        "promises (LEVEL=all)"
    )
    assert plan.left_out(choices.select({"k8s": "all", "sidecar": "*"}), choices.known_k8s()) == ""


@pytest.mark.parametrize("about", [{"sidecar": "envoy"}, {"scenario": "job"}, {"mode": "fallback"}])
def test_what_is_named_is_run_whole(about: dict[str, str]) -> None:
    found = choices.select(about)
    assert found.behaviours == choices.select({**about, "level": "all"}).behaviours
    assert found.whatever == ("sidecar" not in about)


def test_a_version_is_refused_for_its_age_to_a_sidecar_that_was_named_alone() -> None:
    with pytest.raises(UsageProblem, match="too old for linkerd"):
        choices.select({"k8s": "1.28", "sidecar": "linkerd"})
    cells = plan.cells(choices.select({"k8s": "1.28"}))
    assert "envoy" in {cell.sidecar for cell in cells}


def test_a_selection_narrows_the_plan() -> None:
    selection = choices.select(
        {"k8s": "1.33", "sidecar": "envoy", "pattern": "native", "mode": "fallback"}
    )
    items = plan.items(selection)
    assert {item.cell.id for item in items} == {
        "1.33-envoy-native-fallback-lifecycle",
        "1.33-envoy-native-fallback-crash",
    }
    assert "job.completes" not in {item.behaviour for item in items}


def test_behaviour_alone_brings_its_scenario() -> None:
    items = plan.items(
        choices.select({"k8s": "1.33", "sidecar": "envoy", "behaviour": "job.completes"})
    )
    assert {item.cell.scenario for item in items} == {"job"}


def test_each_cell_is_played_as_often_as_asked() -> None:
    given = {"k8s": "1.29,1.33", "sidecar": "envoy", "scenario": "job", "repeat": "3"}
    cells = plan.cells(choices.select(given))
    assert len(cells) == len(set(cells)) == len({(one.k8s, one.slug) for one in cells}) == 12
    assert [cell.turn for cell in cells if cell.k8s == "1.33"] == [1, 1, 2, 2, 3, 3]
    assert [cell.slug for cell in cells][:2] == [
        "envoy-classic-init-rules-job",
        "envoy-native-init-rules-job",
    ]


def test_slugs_are_valid_namespaces() -> None:
    for cell in plan.cells(choices.select({"k8s": "all"})):
        assert len(cell.slug) + len("-t99-2") <= 63
        assert cell.slug == cell.slug.lower()


def test_who_wants_a_cluster_alone_comes_last_of_its_version() -> None:
    found = plan.cells(choices.select({"k8s": "1.29,1.33", "sidecar": "fixture,envoy"}))
    for k8s in ("1.29", "1.33"):
        alone = [scenarios()[cell.scenario].alone for cell in found if cell.k8s == k8s]
        assert alone == sorted(alone) and any(alone)
    versions = [cell.k8s for cell in found]
    assert versions == sorted(versions, reverse=True)


def test_the_check_needs_nothing_installed() -> None:
    """-I -S: no site-packages at all, as on a fresh machine."""
    answer = subprocess.run(
        [sys.executable, "-S", "-m", "conformance.plan.check", "--k8s", "9.99"],
        cwd=CHECKOUT,
        env={"PYTHONPATH": str(CHECKOUT), "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert "K8S=9.99" in answer.stderr and "1.33" in answer.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--k8s", "9.99"],
        ["--sidecar", "nope"],
        ["--pattern", "x"],
        ["--workers", "0"],
        ["--repeat", "x"],
    ],
)
def test_the_command_line_refuses_likewise(arguments: list[str], tmp_path: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "conformance", "run", "--results", f"{tmp_path}/r", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert "is not valid" in answer.stderr
    assert not (CHECKOUT / f"{tmp_path}/r").exists()


def test_nodes_are_counted() -> None:
    assert choices.select({}).nodes == 1
    assert choices.select({"nodes": "2"}).nodes == 2
    for wrong in ("0", "5", "two", ""):
        with pytest.raises(UsageProblem, match=r"NODES=.*from 1 to 4|NODES is empty"):
            choices.select({"nodes": wrong})
    with pytest.raises(UsageProblem, match="NODES=1 is too few for cilium"):
        choices.select({"sidecar": "cilium", "nodes": "1"})


def test_what_changes_the_cluster_for_everybody_is_run_by_itself() -> None:
    assert Options.check({"sidecar": "cilium"}).selection.nodes == 2
    with pytest.raises(UsageProblem, match="run it by itself"):
        Options.check({"sidecar": "cilium,envoy"})


def test_a_network_without_sidecars_has_one_pattern() -> None:
    cells = plan.cells(choices.select({"sidecar": "cilium", "k8s": "1.33"}))
    assert {cell.pattern for cell in cells} == {"sidecarless"}
    assert all(plan.alone(cell) for cell in cells)
    assert {cell.mode for cell in cells} == set(REGISTRY["cilium"].modes)


def test_a_patch_is_a_version_like_any_other() -> None:
    chosen = choices.select({"k8s": "1.33.10,1.28-nogate,1.33.4,1.28,1.99.0-beta.0"}).k8s
    assert chosen == ("1.28", "1.28-nogate", "1.33.4", "1.33.10", "1.99.0-beta.0")
    assert "1.33.4" not in choices.select({"k8s": "all"}).k8s


@pytest.mark.parametrize("k8s", ["1.99.0", "1.33.x", "1.33.4-nogate", "1.33.4.5", "v1.33.4"])
def test_what_is_no_patch_of_a_known_minor_is_refused(k8s: str) -> None:
    with pytest.raises(UsageProblem, match="K8S="):
        choices.select({"k8s": k8s})


def test_a_patch_is_expected_to_behave_as_its_minor() -> None:
    asked = {"sidecar": "envoy", "scenario": "job"}
    minor, patch = (choices.select({"k8s": k8s, **asked}) for k8s in ("1.28", "1.28.9"))
    for one, other in zip(plan.items(minor), plan.items(patch), strict=True):
        assert expected(other.behaviour, other.cell) == expected(one.behaviour, one.cell)
