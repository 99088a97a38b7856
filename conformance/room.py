"""When the next cell may begin: when the machine has room for it, or observes none.

Waiting is most of a cell, so cells overlap; but a pod's first seconds want every processor. Six
cells that began at once on two processors were late all around, and a late answer cannot be told
from a lost one. So they begin one after the other, each when few processes wait for a processor,
and a machine that others keep busy observes fewer at once, down to one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tenacity import Retrying, retry_if_result, wait_fixed

from conformance import locks

# Processes that run or could, for each processor. A kind cluster at rest has less than one, and a
# compiler as many as there are processors.
CROWDED = 4.0
# How long the machine is looked at: a cell that has just begun is felt within a second.
_LOOKS, _EVERY = 15, 0.1


def runnable() -> float:
    """Processes that run or wait for a processor just now, for each processor; 0 when unknown."""
    with suppress(OSError, ValueError, IndexError):  # no Linux here
        told = Path("/proc/stat").read_text().partition("\nprocs_running ")[2]
        return int(told.split()[0]) / (os.cpu_count() or 1)
    return 0.0


@contextmanager
def room(results: Path, measure: Callable[[], float] = runnable) -> Iterator[None]:
    """Wait for room, and hold a place inside the block. Any process of the run may call it."""
    observed = results / "clusters" / ".observed.lock"
    looks: deque[float] = deque(maxlen=_LOOKS)

    def free() -> bool:
        if (alone := locks.try_exclusive(observed)) is not None:
            alone.release()
            return True
        looks.append(measure())
        return len(looks) == _LOOKS and sum(looks) / _LOOKS <= CROWDED

    with locks.exclusive(results / "clusters" / ".room.lock"):
        # No deadline: whoever is observed comes to an end, and the kernel frees a dead one's lock.
        Retrying(retry=retry_if_result(lambda found: not found), wait=wait_fixed(_EVERY))(free)
        place = locks.shared(observed)
    with place:
        yield
