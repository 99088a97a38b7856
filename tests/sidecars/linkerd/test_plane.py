"""Linkerd's one control plane: what a cell has it set to, and that nobody else is there then."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from conformance.model import Cell
from conformance.plan import cells as plan
from conformance.plan import selection
from conformance.plan.catalogue import scenarios
from conformance.sidecars.linkerd import control_plane, plane
from conformance.sidecars.linkerd.release import Release, wanted

IDENTITY = """
POD subject (1 of 1)

Certificate:
    Data:
        Version: 3 (0x2)
        Serial Number: {serial}
    Signature Algorithm: ECDSA-SHA256
"""


def cell(scenario: str = "lifecycle", mode: str = "default") -> Cell:
    return Cell("1.33", "linkerd", "native", mode, scenario)


def every_cell() -> list[Cell]:
    """Of one cluster after the other."""
    return [
        one
        for k8s in ("1.33", "1.33-dual")
        for one in plan.cells(selection.select({"sidecar": "linkerd", "k8s": k8s}))
    ]


def test_a_cell_that_needs_another_setting_is_alone() -> None:
    for one in every_cell():
        tuned = any(plane.settings(one, wanted("")))
        assert not tuned or plan.alone(one), one.slug
        assert plan.alone(one) == (tuned or scenarios()[one.scenario].alone), one.slug


def test_cells_that_want_their_cluster_for_themselves_come_last() -> None:
    for k8s in ("1.33", "1.33-dual"):
        alone = [plan.alone(one) for one in every_cell() if one.k8s == k8s]
        assert alone == sorted(alone) and {*alone} == {True, False}


@pytest.mark.parametrize(("tag", "native"), [("edge-26.8.3", "true"), ("edge-25.10.7", "false")])
def test_the_default_is_classic_before_the_flip_and_the_releases_own_after_it(
    tag: str, native: str
) -> None:
    during, otherwise = plane.settings(cell("flip"), Release(tag))
    assert (during, otherwise) == ("proxy.nativeSidecar=false", f"proxy.nativeSidecar={native}")


class TestTuned:
    @pytest.fixture
    def changes(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        found: list[str] = []
        monkeypatch.setattr(plane, "change", lambda _, __, setting: found.append(setting))
        monkeypatch.setattr(plane, "loaded_release", lambda _: wanted(""))
        return found

    def tuned(self, one: Cell) -> Any:
        return plane.tuned(None, None, one)  # type: ignore[arg-type]

    def test_it_is_set_inside_the_block_and_set_back_after_it(self, changes: list[str]) -> None:
        with self.tuned(cell("outage")):
            assert changes == ["webhookFailurePolicy=Fail"]
        assert changes[1:] == ["webhookFailurePolicy=Ignore"]

    def test_it_is_set_back_whatever_happens(self, changes: list[str]) -> None:
        with contextlib.suppress(ValueError), self.tuned(cell("keepalive")):
            raise ValueError
        assert changes[-1] == "identity.issuer.issuanceLifetime=24h0m0s"

    def test_most_cells_take_it_as_it_is(self, changes: list[str]) -> None:
        with self.tuned(cell()):
            pass
        assert changes == []


class TestSerial:
    @pytest.mark.parametrize(
        ("printed", "serial"), [("11 (0xb)", "b"), ("\n            0a:1b:ff", "0a1bff")]
    )
    def test_it_is_read_from_what_the_cli_prints(
        self, printed: str, serial: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = IDENTITY.format(serial=printed)
        monkeypatch.setattr(control_plane, "_linkerd", lambda *_, **__: said)
        monkeypatch.setattr(control_plane, "loaded_release", lambda _: wanted(""))
        found = control_plane.serial_of(None, "ns", "subject")  # type: ignore[arg-type]
        assert found == serial
