"""Which differences count: beyond the threshold, and beyond chance."""

from __future__ import annotations

import pytest

from conformance.report.compare import spread
from conformance.report.compare.sizes import Size, attempts, differences


def only(before: dict[str, object], after: dict[str, object]) -> list[Size]:
    return list(differences([before], [after]))


def test_wilson_and_newcombe_are_those_of_the_papers() -> None:
    # Newcombe 1998 (Statistics in Medicine 17, 857 and 873), table II, example (a) of each.
    assert spread.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert spread.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert spread.newcombe((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert spread.newcombe((0, 10), (0, 20)) == pytest.approx((-0.2775, 0.1611), abs=1e-4)


def test_mann_whitney_is_exact_for_few_and_close_for_many() -> None:
    assert spread.mann_whitney([1, 2, 3, 4], [5, 6, 7, 8]) == pytest.approx(2 / 70)
    assert spread.mann_whitney([1, 2, 3], [4, 5, 6]) == pytest.approx(2 / 20)
    assert spread.mann_whitney([1, 1, 1, 1], [1, 1, 1, 1]) == 1
    low, high = [float(n) for n in range(20)], [n + 10.5 for n in range(20)]
    assert spread.mann_whitney(low, high) < 0.001
    assert spread.mann_whitney(low, low) > 0.9


def test_a_loss_that_grew_is_told_as_a_share() -> None:
    (grown,) = only({"lost": 1, "requests": 50}, {"lost": 20, "requests": 50})
    assert (grown.way, grown.before, grown.after) == ("worse", "1 of 50 (2.0%)", "20 of 50 (40.0%)")
    assert "Newcombe" in grown.how and grown.tested
    assert not only({"lost": 1, "requests": 9}, {"lost": 3, "requests": 9})  # chance
    assert not only({"lost": 100, "requests": 9000}, {"lost": 300, "requests": 9000})  # too little
    (back,) = only(
        {"crash_leaked_requests": 40, "crash_requests_tried": 60},
        {"crash_leaked_requests": 0, "crash_requests_tried": 60},
    )
    assert back.way == "better"


def test_a_gap_that_grew_is_told_and_is_neither_good_nor_bad() -> None:
    (gap,) = only({"smallest_ordered_gap_ms": 85.0}, {"smallest_ordered_gap_ms": 5000.0})
    assert (gap.way, gap.before, gap.after) == ("other", "85 ms", "5000 ms")
    (turned,) = only({"smallest_ordered_gap_ms": -5000.0}, {"smallest_ordered_gap_ms": 90.0})
    assert turned.after == "90 ms"
    assert not only({"smallest_ordered_gap_ms": 17.0}, {"smallest_ordered_gap_ms": 120.0})


def test_with_turns_enough_chance_is_known_and_the_threshold_asked_for_once() -> None:
    slow = [{"subject_gone_seconds": s} for s in (5.0, 5.2, 5.4, 5.1)]
    slower = [{"subject_gone_seconds": s} for s in (12.0, 11.0, 12.5, 13.0)]
    mixed = [{"subject_gone_seconds": s} for s in (4.0, 12.0, 3.0, 13.0)]
    (told,) = differences(slow, slower)
    assert told.tested and told.way == "worse" and "Mann-Whitney p = 0.029" in told.how
    assert not list(differences(slow[:1], slower[:1]))  # 2.4 times, and no spread is known
    assert not list(differences(slow, mixed))
    with pytest.raises(ValueError, match="above 1"):
        list(differences(slow, slower, threshold=1))


def test_settings_and_what_is_no_number_are_no_sizes() -> None:
    before = {"grace_seconds": 6, "watched_seconds": 2.0, "told": True, "how": "x", "turns": None}
    after = {"grace_seconds": 60, "watched_seconds": 90.0, "told": False, "how": "y", "turns": 3}
    assert not only(before, after)
    (size,) = only({"x": {"gone_after_seconds": 2.0}}, {"x": {"gone_after_seconds": 40.0}})
    assert size.name == "x.gone_after_seconds"


def test_attempts_are_added_up_over_turns() -> None:
    assert attempts([{"rate_bound_95": 0.06}, {"rate_bound_95": 0.3}, {}]) == 60
