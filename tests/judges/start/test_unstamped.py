"""start.order and stop.order of an app that stamps nothing: what the runtime tells has to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forge import bundle as forge
from tests.forge.bundle import World
from tests.worlds import lifecycle

START, STOP = "start.order", "stop.order"


def world(pattern: str = "native") -> World:
    made = lifecycle.lifecycle(pattern)
    made.index["stamped"] = False
    for who in ("subject.app", "subject.envoy"):
        del made.stamps[who]
    return made


def shown(made: World, behaviour: str, folder: Path) -> tuple[str, str]:
    found = made.judged(behaviour, folder)
    return found.observed, found.hazard


@pytest.mark.parametrize("behaviour", [START, STOP])
def test_the_runtime_tells_both_orders(behaviour: str, tmp_path: Path) -> None:
    assert shown(world(), behaviour, tmp_path / "native") == ("holds", "")
    assert shown(world("classic"), behaviour, tmp_path / "classic") == ("broken", "wrong-order")


@pytest.mark.parametrize("behaviour", [START, STOP])
def test_a_stamped_app_without_stamps_is_no_such_app(behaviour: str, tmp_path: Path) -> None:
    made = world("classic")
    made.index["stamped"] = True
    assert shown(made, behaviour, tmp_path)[0] == "inconclusive"


def test_an_app_whose_start_was_not_told_of(tmp_path: Path) -> None:
    made = world("classic")
    made.runtime = [
        one
        for one in made.runtime
        if not (one[1] == "/tasks/start" and one[2]["container_id"] == forge.APP)
    ]
    assert shown(made, START, tmp_path)[0] == "inconclusive"


def test_a_start_within_its_uncertainty_is_not_told_from_the_gate(tmp_path: Path) -> None:
    """The probe's 200 is at 5.0 s; the runtime's word of the start comes 50 ms before it."""
    made = world("classic")
    _restart(made, forge.APP, 4.94)
    assert shown(made, START, tmp_path)[0] == "measured"


def test_an_end_within_its_uncertainty_is_not_told_from_the_signal(tmp_path: Path) -> None:
    """The sidecar is signalled half a second before the app's end is noticed."""
    made = world("classic")
    made.unexited(forge.APP)
    made.exited(lifecycle.DELETED + 0.5, forge.APP)
    assert shown(made, STOP, tmp_path)[0] == "inconclusive"


def test_a_sidecar_that_was_gone_had_its_signal_before(tmp_path: Path) -> None:
    """A signal may be sent a second after it is announced; not to a process that is no more."""
    made = world("classic")
    for ident in (forge.APP, forge.ENVOY):
        made.unexited(ident)
    made.journal = [one for one in made.journal if forge.ENVOY not in one[1]]
    made.signalled(lifecycle.DELETED + 1.8, forge.ENVOY)
    made.exited(lifecycle.DELETED + 1.9, forge.ENVOY)
    made.exited(lifecycle.DELETED + 3.2, forge.APP)
    assert shown(made, STOP, tmp_path) == ("broken", "wrong-order")


def _restart(made: World, ident: str, at: float) -> None:
    made.runtime = [
        one
        for one in made.runtime
        if one[1] not in ("/tasks/create", "/tasks/start") or one[2]["container_id"] != ident
    ]
    made.created(at, ident)
