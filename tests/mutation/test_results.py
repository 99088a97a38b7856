"""What is told apart as a change of words alone: it is left out of the second score."""

from __future__ import annotations

import pytest

from tests.mutation.results import _is_wording

SAME = "    raise Unjudgeable("


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('x("the app never ended")', 'x("XXthe app never endedXX")', True),
        ('x(f"{one} of {all_}")', 'x(f"{one} OF {all_}")', True),
        ('x(f"{one[0]} of all")', 'x(f"{one[1]} of all")', False),
        ('x("the app never ended")', "x(None)", False),
        ('"lost"', '"XXlostXX"', False),
        ('a == "x" and b["y"] in c', 'a == "x" or b["y"] in c', False),
        ('return {"a": False}, "its own end", b', 'return {"a": True}, "its own end", b', False),
    ],
)
def test_words_are_told_from_what_they_say(before: str, after: str, words: bool) -> None:
    diff = "\n".join(["--- a.py", "+++ a.py", "@@ -1,2 +1,2 @@", SAME, f"-{before}", f"+{after}"])
    assert _is_wording(diff) == words
