"""The suites take part only where they are named; their hooks are registered by then."""

from __future__ import annotations

import pytest

from conformance.suites import HOOKS


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """A run of a folder above them is about other tests."""
    return None if config.pluginmanager.has_plugin(HOOKS) else True
