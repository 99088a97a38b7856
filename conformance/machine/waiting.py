"""Every wait of the suite: for what, how often it asks, how long at most, and what it saw last.

What is waited for is asked again and again (tenacity), and the clock never decides: a look that
comes late because the machine is slow still counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_never,
    wait_fixed,
)

from conformance.errors import EnvironmentProblem
from conformance.machine import process

T = TypeVar("T")


class NotInTime(EnvironmentProblem):
    """Something was waited for in vain; the sentence says for what, how long, and what was seen."""


def until(
    what: str,
    look: Callable[[], T | None],
    *,
    seconds: float | None,
    every: float = 0.2,
    seen: Callable[[], str] | None = None,
    forgive: type[Exception] | tuple[type[Exception], ...] = (),
    least: int = 1,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Ask ``look`` until it gives something true, and return that.

    what: the subject of "… did not come within 5 s". seconds: the deadline; None only where the end
    is certain, and the caller says why. every: seconds between two looks. seen: what was seen last
    (default: the last error or answer of ``look``). forgive: errors of ``look`` that mean "not
    yet", unless the run is being stopped. least: so many looks, however late they are.
    Raises NotInTime.
    """
    waiting = Retrying(
        retry=retry_if_result(lambda found: not found)
        | retry_if_exception(lambda error: isinstance(error, forgive) and not process.stopping()),
        stop=stop_never
        if seconds is None
        else stop_after_delay(seconds) & stop_after_attempt(least),
        wait=wait_fixed(every),
        sleep=sleep,
    )
    try:
        found = waiting(look)
    except RetryError as late:
        last = late.last_attempt
        words = seen() if seen else str(last.exception() or last.result())
        raise NotInTime(
            f"{what} did not come within {seconds:.0f} s; last seen: {words}"
        ) from last.exception()
    assert found is not None
    return found


def within(seconds: float, look: Callable[[], object], *, every: float = 0.1) -> bool:
    """Whether ``look`` gives something true in that time; it is asked at least once.

    For callers that go on without it, and say themselves what is missing then.
    """
    try:
        until("it", lambda: bool(look()), seconds=max(0.0, seconds), every=every)
    except NotInTime:
        return False
    return True
