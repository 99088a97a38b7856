"""Which scenarios a sidecar is not asked to play, and why. Data in, data out."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.plan.abilities import Ability
from conformance.plan.catalogue import Scenario, behaviours, scenarios
from conformance.plan.sidecars import REGISTRY, Registration


def unasked(sidecar: str) -> Mapping[str, str]:
    """Scenario → why no cell of the sidecar plays it; a whole sentence each."""
    driver = REGISTRY[sidecar]
    found = {scenario.name: _why(driver, scenario) for scenario in scenarios().values()}
    return {name: why for name, why in found.items() if why}


def _why(driver: Registration, scenario: Scenario) -> str:
    """Why a scenario is not for a sidecar; "" when it is."""
    needs = scenario.needs.split()
    beside = [word for word in driver.wants if word not in needs]
    if Ability.NETWORK in beside:
        return (
            f"It is about a sidecar, and {driver.name} has none: there is no order to keep, no Job "
            "to block, no probe to wait for, and nobody to crash beside the app."
        )
    if beside:
        return f"It asks nothing of what {driver.name} is there for ({', '.join(beside)})."
    lacks = [Ability(word) for word in needs if word not in driver.gives]
    if lacks:
        words = " ".join(f"{word}: {word.sentence}" for word in lacks)
        return f"It needs what {driver.name} does not give ({words})"
    if scenario.modes not in ("all", "first") and not set(scenario.modes.split()) & set(
        driver.modes
    ):
        return f"It is about the modes {', '.join(scenario.modes.split())}."
    judged = [
        entry
        for entry in behaviours().values()
        if scenario.name in entry.scenarios and driver.can(entry.needs)
    ]
    if not judged:
        return f"None of the behaviours that are judged in it means anything for {driver.name}."
    left = [entry for entry in judged if entry.id not in driver.without]
    if not left:
        return " ".join(dict.fromkeys(driver.without[entry.id] for entry in judged))
    patterns = {word for entry in judged for word in entry.pattern.split() or driver.patterns}
    if not patterns & set(driver.patterns):
        return f"It is judged in the pattern {' or '.join(sorted(patterns))} alone."
    return ""
