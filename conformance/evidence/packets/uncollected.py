"""Keeps the collector of cycles out of work that makes many objects at once, and keeps them all.

It would look through all of them several times over, for nothing: a third of a judge's time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Only for what is bounded by itself, such as a small capture: cycles stay until the end."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
