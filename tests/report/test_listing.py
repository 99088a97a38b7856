"""What the suite can judge, listed: short, whole, as a page, for programs."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.errors import UsageProblem
from conformance.machine.paths import CHECKOUT
from conformance.plan.catalogue import behaviours, groups
from conformance.report import listing


def test_the_page_is_up_to_date() -> None:
    printed = "\n".join(listing.markdown(listing.chosen(()))) + "\n"
    assert (CHECKOUT / "docs" / "behaviours.md").read_text() == printed, (
        "python -m conformance list --markdown > docs/behaviours.md"
    )


def test_every_behaviour_is_of_one_group() -> None:
    for id_ in behaviours():
        assert sum(group.holds(id_) for group in groups().values()) == 1, id_
    assert {one.id for one in listing.chosen(())} == set(behaviours())


def test_a_short_line_fits_the_terminal() -> None:
    lines = list(listing.short(listing.chosen(()), 80))
    assert len(lines) == len(behaviours())
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("…") for line in lines)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("stop.order",), ["stop.order"]),
        (
            ("*.no-plaintext",),
            ["start.no-plaintext", "stop.no-plaintext", "crash.no-plaintext", "wire.no-plaintext"],
        ),
        (("node.",), ["node.kubelet-restart", "node.runtime-restart"]),
        (("inbound", "start.order"), ["start.order", "inbound.bypass"]),
    ],
)
def test_filters(filters: tuple[str, ...], found: list[str]) -> None:
    assert [one.id for one in listing.chosen(filters)] == found


@pytest.mark.parametrize("filter_", ["stpo.order", "", "nothing.*"])
def test_a_filter_that_names_nothing_is_refused(filter_: str) -> None:
    with pytest.raises(UsageProblem, match="No behaviour is called"):
        listing.chosen((filter_,))


def test_one_behaviour_is_told_whole() -> None:
    said = "\n".join(listing.whole(behaviours()["stop.no-plaintext"]))
    for word in (
        *("No plaintext", "A2", "mesh", "expected, classic", "expected, native", "lifecycle"),
        *("conformance/judges/plaintext.py", "conformance/observe/scenarios/lifecycle.py"),
        "tests/judges/test_plaintext.py",
    ):
        assert word in said


def test_every_file_that_is_named_is_there() -> None:
    for one in behaviours().values():
        for path in listing.files(one).values():
            assert (CHECKOUT / path.partition(" ")[0]).is_file(), (one.id, path)


def test_the_command() -> None:
    def told(*arguments: str) -> str:
        answer = CliRunner().invoke(main, ["list", *arguments])
        assert answer.exit_code == 0, answer.output
        return answer.output

    assert "not asked" in told("--sidecar", "istio")
    assert told("stop.order").startswith("stop.order  (core)")
    assert [one["id"] for one in json.loads(told("--json", "stop.order"))] == ["stop.order"]
    assert told("--markdown").startswith("# Behaviours")
