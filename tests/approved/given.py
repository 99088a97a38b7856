"""What a test is given, while it runs, and how it is held against what is approved."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Sequence
from difflib import unified_diff
from pathlib import Path

import pytest

from conformance.evidence.contradiction import Contradiction
from conformance.model import Finding
from tests.approved import words
from tests.approved.files import HERE, approved, file_of

WRITING = "ANSWERS_TO_APPROVE"
"""The folder that answers are put into, in place of being held against the approved ones."""

_given: list[Sequence[str]] = []
_evidence: list[str] = []


def finding(found: Finding, *, full: int = 0) -> None:
    """A judge's answer. full: so many pieces of its evidence are kept in full, not in a sum."""
    _given.append(words.of_finding(found, full))
    _evidence.extend(map(words.in_full, found.evidence))


def contradictions(found: Iterable[Contradiction]) -> None:
    """What a bundle says against itself."""
    for one in found:
        _given.append(words.of_contradiction(one))
        _evidence.extend(map(words.in_full, one.evidence))


def lines(read: Iterable[str]) -> None:
    """What a reader made of a file, or whatever else."""
    _given.append(list(read))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """Each test begins with nothing. What its fixtures are given is its own."""
    _given.clear()
    _evidence.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Hold what a test was given against what is approved, once the test itself has passed."""
    result = yield
    if not _cannot_be_approved(pyfuncitem):
        tests, _, name = pyfuncitem.nodeid.partition("::")
        name, came = name.encode("unicode_escape").decode(), words.joined(_given)
        if folder := os.environ.get(WRITING):
            with (Path(folder) / f"{os.getpid()}").open("a") as out:
                out.write(json.dumps([tests, name, came]) + "\n")
        else:
            require_approved(tests, name, came)
    return result


@pytest.fixture
def unapproved() -> None:
    """A test that asks for this draws its worlds, or is told an interpreter's own words for an
    error, which change with its version: nobody can approve those beforehand."""


def _cannot_be_approved(item: pytest.Function) -> bool:
    return "unapproved" in item.fixturenames or hasattr(item.obj, "hypothesis")


def require_approved(tests: str, name: str, came: str) -> None:
    """Fail, and show the difference, unless this is what is approved of a test."""
    known = approved(tests).get(name)
    if came == (known or ""):
        return
    where = file_of(tests).relative_to(HERE)
    pytest.fail(
        "\n".join((
            f"{tests}::{name}: its answers are not the approved ones (tests/approved/{where})"
            if known is not None
            else f"{tests}::{name}: no answers of this test are approved yet",
            *unified_diff((known or "").splitlines(), came.splitlines(), "approved", "came", n=9),
            "The evidence that came:",
            *_evidence[:40],
            f"Where it is meant: python -m tests.approved {tests}; then read git diff",
        )),
        pytrace=False,
    )  # fmt: skip
