"""Waits end with what was waited for, or with a sentence that says what was seen last."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from conformance.machine import process, waiting


def test_what_comes_is_returned() -> None:
    answers = iter([None, 0, "", "there"])
    assert waiting.until("the answer", lambda: next(answers), seconds=5, every=0.001) == "there"


def test_what_does_not_come_is_told_with_what_was_seen() -> None:
    with pytest.raises(waiting.NotInTime, match=r"^the answer did not come within 0 s; last seen:"):
        waiting.until("the answer", lambda: False, seconds=0.05, every=0.01)
    with pytest.raises(waiting.NotInTime, match=r"last seen: a door that is shut$"):
        waiting.until("it", lambda: None, seconds=0, seen=lambda: "a door that is shut")


def test_the_last_error_is_seen_and_kept() -> None:
    def look() -> bool:
        raise OSError("nobody listens")

    with pytest.raises(waiting.NotInTime, match="last seen: nobody listens") as failed:
        waiting.until("the server", look, seconds=0.05, every=0.01, forgive=OSError)
    assert isinstance(failed.value.__cause__, OSError)


def test_other_errors_are_not_forgiven() -> None:
    def look() -> bool:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        waiting.until("the server", look, seconds=5, forgive=OSError)


@pytest.fixture
def stopping() -> Iterator[None]:
    process.stop_all()
    yield
    process.resume()


@pytest.mark.usefixtures("stopping")
def test_a_run_that_is_being_stopped_forgives_nothing() -> None:
    def look() -> bool:
        raise OSError("not started")

    began = time.monotonic()
    with pytest.raises(OSError, match="not started"):
        waiting.until("the server", look, seconds=60, forgive=OSError)
    assert time.monotonic() - began < 5


def test_so_many_looks_are_had_however_late() -> None:
    looks: list[int] = []

    def look() -> bool:
        time.sleep(0.02)
        looks.append(1)
        return len(looks) == 4

    assert waiting.until("the fourth", look, seconds=0, every=0, least=4)


def test_whether_it_comes_is_told_to_who_goes_on_without() -> None:
    answers = iter([0, 1])
    assert waiting.within(5, lambda: next(answers))
    assert not waiting.within(0.01, lambda: 0, every=0.005)
    assert waiting.within(-1, lambda: 1)
