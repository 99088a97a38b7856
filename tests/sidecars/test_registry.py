"""The registry, and that what a sidecar gives is what its driver implements."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from conformance.plan import cells as plan
from conformance.plan import selection
from conformance.plan.abilities import Ability
from conformance.plan.catalogue import Behaviour, Scenario, behaviours, scenarios
from conformance.plan.sidecars import FOLDER, PACKAGE, REGISTRATION, REGISTRY, own, read
from conformance.plan.unasked import unasked
from conformance.sidecars.driver import PROTOCOLS, load
from conformance.verdicts.expectations import table


def test_every_folder_with_a_driver_is_registered() -> None:
    """But for those that play users' own files: each is registered when it is named."""
    drivers = {file.parent.name for file in FOLDER.glob("*/driver.py")} - {"own", "pods"}
    assert drivers == {entry.folder.name for entry in own()}


@pytest.mark.parametrize("name", REGISTRY)
def test_a_driver_has_the_name_of_its_folder(name: str) -> None:
    assert load(name).name == name


@pytest.mark.parametrize("name", REGISTRY)
def test_a_driver_implements_what_it_gives_and_nothing_else(name: str) -> None:
    driver = load(name)
    implemented = {ability for ability in PROTOCOLS if isinstance(driver, PROTOCOLS[ability])}
    assert implemented == set(REGISTRY[name].gives) & set(PROTOCOLS)


def test_every_ability_is_needed_by_the_catalogue_and_given_by_a_sidecar() -> None:
    entries: list[Scenario | Behaviour] = [*scenarios().values(), *behaviours().values()]
    needed = {word for entry in entries for word in entry.needs.split()}
    assert needed == set(Ability)
    assert {ability for entry in REGISTRY.values() for ability in entry.gives} == set(Ability)


def test_every_ability_has_a_sentence() -> None:
    for ability in Ability:
        assert ability.sentence.endswith(".") and Ability(str(ability)) is ability


@pytest.mark.parametrize("name", REGISTRY)
def test_a_check_is_there(name: str) -> None:
    module, _, function = REGISTRY[name].check.partition(":")
    assert not function or callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", REGISTRY)
def test_a_scenario_is_either_played_or_there_is_a_reason(name: str) -> None:
    """Over all versions: a scenario that no cell of the sidecar plays has a sentence that says why,
    and one that is played has none."""
    cells = plan.cells(selection.select({"k8s": "all", "sidecar": name}))
    played = {cell.scenario for cell in cells}
    reasons = unasked(name)
    assert played | set(reasons) == set(scenarios())
    assert not played & set(reasons)
    assert all(why.rstrip(")").endswith(".") for why in reasons.values())


def test_a_reason_names_what_a_sidecar_lacks() -> None:
    assert Ability.UPGRADE.sentence in unasked("envoy")["upgrade"]
    assert "logs" in unasked("fluent-bit")["lifecycle"]


@pytest.mark.parametrize(
    "wrong",
    [
        'modes = ["a"]\ngives = ["wings"]',
        'modes = ["a"]\ncontrols = ["b"]',
        'modes = ["a"]\npatterns = ["both"]',
        'modes = ["a"]\n[only]\nb = ["classic"]',
        'modes = ["a"]\nname = "x"',
        "modes = []",
        "",
    ],
)
def test_a_registration_that_is_wrong_is_refused(wrong: str, tmp_path: Path) -> None:
    (tmp_path / REGISTRATION).write_text(wrong)
    with pytest.raises((ValueError, TypeError)):
        read("toy", f"{PACKAGE}.toy", tmp_path)


def test_a_driver_of_the_suites_own_speaks_of_no_other_sidecar_in_its_rows() -> None:
    for row in table():
        named = row.conditions.get("sidecar", ())
        assert len(named) <= 1 and set(named) <= set(REGISTRY)
