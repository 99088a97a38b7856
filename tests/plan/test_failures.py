"""The article's failure modes: each has its cells, its behaviours and its names."""

from __future__ import annotations

import pytest

from conformance.errors import UsageProblem
from conformance.plan import failures
from conformance.plan.catalogue import behaviours, scenarios
from conformance.plan.cells import judged_in
from conformance.plan.failures import Failure
from conformance.plan.sidecars import REGISTRY
from conformance.verdicts.expectations import expected

ALL = [*failures.failures().values()]


def _named(failure: Failure) -> str:
    return failure.name


@pytest.mark.parametrize("failure", ALL, ids=_named)
def test_a_failure_names_what_exists(failure: Failure) -> None:
    assert failure.scenario in scenarios()
    assert {*failure.seen_by, *failure.healed_by} <= {*behaviours()}
    assert failure.shown_with()
    assert {*failure.modes} <= {*REGISTRY}


@pytest.mark.parametrize(
    ("failure", "sidecar"),
    [(failure, sidecar) for failure in ALL for sidecar in failure.shown_with()],
    ids=str,
)
def test_a_failure_is_expected_where_it_is_said_to_be(failure: Failure, sidecar: str) -> None:
    """With every sidecar that it can be shown with: the hazard first, and then none."""
    cell = failure.cell("1.33", sidecar)
    asked = judged_in(cell, failure.seen_by)
    broken = [id_ for id_ in asked if expected(id_, cell).expect == "broken"]
    assert broken or not failure.seen_by
    healed = failure.healed_cell("1.33", sidecar) or cell
    for one in (cell, healed):
        assert REGISTRY[sidecar].has(one.mode, one.pattern)
    healing = judged_in(healed, failure.healed_by)
    assert healing, "nothing would tell that it is healed"
    assert [expected(id_, healed).expect for id_ in healing] == ["holds"] * len(healing)


@pytest.mark.parametrize("failure", ALL, ids=_named)
def test_its_commands_have_their_names_filled_in(failure: Failure) -> None:
    assert failure.watch
    for look in failure.watch:
        command = look.command("pod-1", "proxy")
        assert "{pod}" not in command and "{sidecar}" not in command


def test_every_adversary_of_the_article_can_be_asked_for() -> None:
    for number in range(1, 5):
        assert failures.named(f"adversary-{number}")


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageProblem, match="did you mean startup-race"):
        failures.named("startup-rase")
    with pytest.raises(UsageProblem, match="choose from startup-race, shutdown-race"):
        failures.named("?")


def test_a_sidecar_that_cannot_show_it_is_refused() -> None:
    failure = failures.named("mixed-patterns")
    with pytest.raises(UsageProblem, match="SIDECAR=envoy; choose from fixture"):
        failures.sidecar_for(failure, "envoy")
