"""What the tests of faults share: an engine that stays up between their runs, and a word about what
this machine cannot do.

``make test-faults``. Each test starts real runs and injects one fault at an event. What the machine
cannot do is skipped with its reason; where nothing at all could be tried the exit code says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.engine import engine as engines
from conformance.engine.engine import Engine
from conformance.errors import EnvironmentProblem

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)
            item.add_marker(pytest.mark.cluster)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """All skipped is no success."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    ours = any(item.get_closest_marker("faults") for item in session.items)
    if exitstatus == pytest.ExitCode.OK and ours and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(scope="session", autouse=True)
def engine() -> Iterator[Engine]:
    """Held as by a run, so that what a run leaves on it can be looked for when it has ended."""
    if not sys.platform.startswith("linux"):
        pytest.skip("leftovers are looked for in /proc: only Linux has one")
    with _held() as its:
        yield its


class _held:
    """The engine, or a skip that says why there is none."""

    def __init__(self) -> None:
        self._context = engines.engine()

    def __enter__(self) -> Engine:
        try:
            return self._context.__enter__()
        except EnvironmentProblem as problem:
            pytest.skip(f"no run can be started here: {problem}")

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)
