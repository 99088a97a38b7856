"""What a test registers is gone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.plan.sidecars import REGISTRY


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)
