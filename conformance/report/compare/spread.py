"""The two statistical tests of a comparison. Both ask whether two samples can be from one source.

Sources: E. B. Wilson, Probable inference, the law of succession, and statistical inference, J. Am.
Stat. Assoc. 22 (1927); R. G. Newcombe, Interval estimation for the difference between independent
proportions: comparison of eleven methods, Statistics in Medicine 17 (1998), method 10; H. B. Mann
and D. R. Whitney, On a test of whether one of two random variables is stochastically larger than
the other, Ann. Math. Stat. 18 (1947), here exact, with midranks for ties.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)
# All ways to deal the ranks are counted up to here (12 and 12 turns are 2.7 million); beyond, the
# test's normal approximation is good, which Mann and Whitney show from 8 and 8 on.
_MOST_DEALS = 50_000
# With fewer turns on either side not even the most extreme outcome has a probability below 5 %:
# 2 of the 20 ways to deal 3 and 3, and 2 of the 70 to deal 4 and 4.
ENOUGH = 4


def wilson(count: int, total: int) -> tuple[float, float]:
    """The interval of a share of which ``count`` of ``total`` were seen (CONFIDENCE)."""
    if not total:
        return 0.0, 1.0
    share, weight = count / total, _Z**2 / total
    middle = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / total / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(before: tuple[int, int], after: tuple[int, int]) -> tuple[float, float]:
    """The interval of the difference of two shares, after minus before; each is (count, total)."""
    one, two = (count / total if total else 0.0 for count, total in (before, after))
    (low1, high1), (low2, high2) = wilson(*before), wilson(*after)
    down = math.sqrt((two - low2) ** 2 + (high1 - one) ** 2)
    up = math.sqrt((high2 - two) ** 2 + (one - low1) ** 2)
    return two - one - down, two - one + up


def mann_whitney(before: Sequence[float], after: Sequence[float]) -> float:
    """How likely two samples of one source differ at least so much in their order (two-sided)."""
    ranks = _midranks([*before, *after])
    seen = abs(sum(ranks[: len(before)]) - _mean(len(before), len(after)))
    if math.comb(len(ranks), len(before)) > _MOST_DEALS:
        return _approximate(ranks, len(before), len(after), seen)
    middle = _mean(len(before), len(after))
    deals = [abs(sum(one) - middle) for one in itertools.combinations(ranks, len(before))]
    return sum(one >= seen - 1e-9 for one in deals) / len(deals)


def _mean(one: int, two: int) -> float:
    return one * (one + two + 1) / 2


def _midranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(one) + (ordered.count(one) + 1) / 2 for one in values]


def _approximate(ranks: Sequence[float], one: int, two: int, seen: float) -> float:
    number = one + two
    ties = sum(ranks.count(rank) ** 2 - 1 for rank in ranks)
    variance = one * two / 12 * ((number + 1) - ties / (number * (number - 1)))
    if not variance:
        return 1.0
    return 2 * (1 - NormalDist().cdf(max(seen - 0.5, 0) / math.sqrt(variance)))
