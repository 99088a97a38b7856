"""What a word that nobody knows was probably meant to be. Standard library only."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """ ", did you mean stop.order?" for the nearest of the valid words, or "" if none is near."""
    by_lower = {one.lower(): one for one in valid}
    near = difflib.get_close_matches(word.lower(), by_lower, 1, cutoff=0.6)
    return f", did you mean {by_lower[near[0]]}?" if near else ""


def is_glob(word: str) -> bool:
    """Whether a word stands for any number of others (*, ?, [])."""
    return any(letter in word for letter in "*?[")


def matching(word: str, valid: Iterable[str]) -> Sequence[str]:
    """The valid words that a word names: itself, or those that fit it as a glob."""
    if is_glob(word):
        return [one for one in valid if fnmatch.fnmatchcase(one, word)]
    return [one for one in valid if one == word]
