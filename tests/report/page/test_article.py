"""The article against verdicts: every mark is computed, and a wrong file is refused."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from conformance import cli
from conformance.cluster.versions import gate_stage
from conformance.model import Cell, Finding
from conformance.plan import article
from conformance.plan.article import Claim, Row, Table
from conformance.plan.catalogue import behaviours
from conformance.report import document, table
from conformance.report.page import article as held
from conformance.verdicts import expectations

Json = dict[str, Any]
NEVER = Claim(
    "native", "cannot happen", ("stop.order",), contradicted_by="broken", pattern="native",
    k8s=">=1.29",
)  # fmt: skip
MAY = Claim("classic", "can happen", ("stop.order",), shown_by="broken", pattern="classic")
OF_CONTROL = Claim("native", "what this mode does", ("stop.order",), mode="excluded")
GATE = Claim("native", "1.29 has it for good", k8s="1.29", stage="ga")


def entry(
    observed: str,
    *,
    k8s: str = "1.33",
    pattern: str = "native",
    sidecar: str = "envoy",
    mode: str = "fallback",
) -> Json:
    cell = Cell(k8s, sidecar, pattern, mode, "lifecycle")  # type: ignore[arg-type]
    hazard = "wrong-order" if observed == "broken" else ""
    finding = Finding("stop.order", observed, f"{k8s}: {observed}.", hazard)  # type: ignore[arg-type]
    expected = expectations.expected("stop.order", cell)
    return document.entry(expectations.hold(cell, finding, expected), None)


def compared(claim: Claim, *entries: Json, gates: dict[str, str] | None = None) -> Json:
    """What becomes of one claim."""
    clusters = {k8s: {"versions": {"sidecar_gate": said}} for k8s, said in (gates or {}).items()}
    tables = [Table("T", ("classic", "native"), [Row("a row", [claim])])]
    found: Json = held.compare(entries, clusters, tables)[0]["rows"][0]["claims"][0]
    return found


@pytest.mark.parametrize(
    ("claim", "entries", "mark"),
    [
        (NEVER, [entry("holds")], held.AGREES),
        (NEVER, [entry("holds"), entry("broken", mode="init-rules")], held.CONTRADICTS),
        (NEVER, [entry("inconclusive")], held.UNDECIDED),
        (NEVER, [entry("inconclusive"), entry("holds", k8s="1.37")], held.AGREES),
        (NEVER, [entry("measured")], held.MEASURED),
        (NEVER, [], held.ABSENT),
        (NEVER, [entry("broken", pattern="classic")], held.ABSENT),
        (NEVER, [entry("broken", k8s="1.28")], held.ABSENT),
        (NEVER, [entry("broken", sidecar="istio", mode="excluded")], held.ABSENT),
        (OF_CONTROL, [entry("broken", sidecar="istio", mode="excluded")], held.MEASURED),
        (OF_CONTROL, [entry("broken", sidecar="istio", mode="default")], held.ABSENT),
        (MAY, [entry("broken", pattern="classic")], held.AGREES),
        (MAY, [entry("holds", pattern="classic")], held.UNSEEN),
        (Claim("native", "goes on", ("stop.order",)), [entry("holds")], held.MEASURED),
        (Claim("native", "not to be measured"), [entry("holds")], held.REMARK),
    ],
)
def test_marks_follow_from_verdicts(claim: Claim, entries: list[Json], mark: str) -> None:
    assert compared(claim, *entries)["mark"] == mark


@pytest.mark.parametrize(
    ("classic", "mark"),
    [
        ({"milli": 500}, held.CONTRADICTS),
        ({"milli": 600}, held.AGREES),
        (None, held.UNDECIDED),
    ],
)
def test_values_are_compared_with_those_of_the_other_pattern(
    classic: Json | None, mark: str
) -> None:
    claim = Claim("native", "just as much", ("stop.order",), pattern="native", same_as="classic")
    entries = [entry("holds") | {"measured": {"milli": 600}}]
    if classic:
        entries.append(entry("holds", pattern="classic") | {"measured": classic})
        entries.append(entry("holds", pattern="classic", k8s="1.29") | {"measured": {"milli": 1}})
    assert compared(claim, *entries)["mark"] == mark
    assert compared(claim)["mark"] == held.ABSENT


def test_the_measurement_that_contradicts_is_the_one_that_is_told() -> None:
    found = compared(NEVER, entry("holds"), entry("broken", k8s="1.29"))
    assert found["reason"].startswith("1.29: broken.")
    assert found["seen"][0]["observed"] == {"1.29": "broken", "1.33": "holds"}


@pytest.mark.parametrize(
    ("gates", "mark"),
    [
        ({"1.29": "beta, on"}, held.CONTRADICTS),
        ({"1.29": "ga, on"}, held.AGREES),
        ({"1.29": "gone"}, held.CONTRADICTS),
        ({"1.33": "ga, on"}, held.ABSENT),
        ({}, held.ABSENT),
    ],
)
def test_a_stage_is_what_the_api_server_says(gates: dict[str, str], mark: str) -> None:
    assert compared(GATE, gates=gates)["mark"] == mark


def test_a_cluster_that_never_came_up_says_nothing() -> None:
    tables = [Table("T", ("native",), [Row("a row", [GATE])])]
    (told,) = held.compare([], {"1.29": {"versions": None}}, tables)
    assert told["rows"][0]["claims"][0]["mark"] == held.ABSENT


METRICS = """# HELP kubernetes_feature_enabled [BETA] This metric records the data about the stage
kubernetes_feature_enabled{name="SidecarContainers",stage="BETA"} 1
kubernetes_feature_enabled{name="Off",stage="ALPHA"} 0
kubernetes_feature_enabled{name="Old",stage=""} 1
"""


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("SidecarContainers", "beta, on"),
        ("Off", "alpha, off"),
        ("Old", "ga, on"),
        ("Sidecar", "gone"),
    ],
)
def test_the_stage_of_a_gate(gate: str, said: str) -> None:
    assert gate_stage(METRICS, gate) == said


def test_contradictions_are_told_in_the_terminal() -> None:
    tables = [Table("T", ("native",), [Row("a row", [NEVER, MAY])])]
    told = held.compare([entry("broken")], {}, tables)
    said = [line.plain for line in table.contradictions(told)]
    assert len(said) == 2 and "a row (native): “cannot happen”. 1.33: broken." in said[1]
    assert list(table.contradictions(held.compare([entry("holds")], {}, tables))) == []


def test_the_article_has_all_of_its_tables() -> None:
    rows = {one.title: len(one.rows) for one in article.tables()}
    assert rows["Expected behaviour"] == 6
    assert rows["Failure modes"] == 7
    assert rows["Adversaries"] == 4


def test_every_failure_mode_says_how_to_detect_and_recover() -> None:
    rows = [row for one in article.tables() if one.title == "Failure modes" for row in one.rows]
    about = {id_ for row in rows for claim in row.claims for id_ in claim.about or ()}
    assert [id_ for id_ in about if not behaviours()[id_].detect] == []
    for behaviour in behaviours().values():
        said = " ".join(CliRunner().invoke(cli.main, ["list", behaviour.id]).output.split())
        assert behaviour.promise in said and " ".join(behaviour.detect.split()) in said


def test_no_mark_is_written_in_the_file() -> None:
    text = article.ARTICLE.read_text()
    assert not any(mark in text for mark in (held.CONTRADICTS, held.AGREES))


ONE = """
[[tables]]
title = "T"
columns = ["native"]
[[tables.rows]]
name = "a row"
[[tables.rows.claims]]
column = "native"
says = "so"
"""


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ('about = ["stop.everything"]', "unknown stop.everything"),
        ('contradicted_by = "measured"', "contradicted_by"),
        ('contradicted_by = "broken"\nshown_by = "holds"', "test"),
        ('same_as = "others"', "same_as"),
        ('pattern = "mixed"', "pattern"),
        ('stage = "ga"', "stage"),
    ],
)
def test_a_wrong_claim_is_refused(more: str, complaint: str) -> None:
    assert article.load(ONE, behaviours())[0].rows[0].claims[0].says == "so"
    with pytest.raises(ValueError, match=complaint):
        article.load(f"{ONE}{more}\n", behaviours())
    with pytest.raises(ValueError, match="column"):
        article.load(ONE.replace('column = "native"', 'column = "other"'), behaviours())
