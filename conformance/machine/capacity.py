"""When the next cell may begin: when the machine has capacity for it, or observes none.

Waiting is most of a cell, so cells overlap; but a pod's first seconds want every processor. Six
cells that began at once on two processors were all late, and nobody can tell a late answer from a
lost one. So cells begin one after the other, each when the machine is quick enough. A machine that
others keep busy observes fewer cells at once, down to one.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.machine import locks, waiting

# How many times longer than on an idle machine a little work may take. A compiler that stands last
# in line is hardly felt, and the processes that want to run are too many to be a measure.
CROWDED = 2.5
# How long the machine is looked at: a cell that has just begun is felt within a second. The looks
# are work themselves, which a busy machine lacks: one that is crowded is left alone for a while.
_LOOKS, _EVERY, _LEFT_ALONE = 5, 0.25, 1.0
_WORK = 0.005  # processor seconds


def memory() -> int:
    """The machine's memory (bytes)."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def stretched() -> float:
    """How many times longer than its processor time a little work takes just now: 1 and more."""
    began, worked = time.perf_counter(), time.thread_time()
    while time.thread_time() - worked < _WORK:
        pass
    return (time.perf_counter() - began) / (time.thread_time() - worked)


@contextmanager
def capacity(results: Path, measure: Callable[[], float] = stretched) -> Iterator[None]:
    """Wait for capacity, and hold a place inside the block. Any process of the run may call it."""
    observed = results / "clusters" / ".observed.lock"
    looks: deque[float] = deque(maxlen=_LOOKS)
    looked = [0.0]  # when

    def free() -> bool:
        if (alone := locks.try_exclusive(observed)) is not None:
            alone.release()
            return True
        if looks and looks[-1] > CROWDED and time.monotonic() < looked[0] + _LEFT_ALONE:
            return False
        looks.append(measure())
        looked[0] = time.monotonic()
        return len(looks) == _LOOKS and sum(looks) / _LOOKS <= CROWDED

    with locks.exclusive(results / "clusters" / ".capacity.lock"):
        # No deadline: every observation ends, and the kernel frees the lock of a dead process.
        waiting.until("capacity", free, seconds=None, every=_EVERY)
        place = locks.shared(observed)
    with place:
        yield
