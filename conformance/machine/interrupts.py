"""Ctrl-C and its kin: ask once, clean up in peace.

SIGINT, SIGTERM and SIGHUP all mean the same to a run: stop, and leave nothing behind.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from conformance.machine.progress import board

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """How often the run was asked to stop, and by what."""

    def __init__(self) -> None:
        self.count = 0
        self.first: signal.Signals | None = None
        self._cleaning = False
        self._answered = False

    @property
    def asked(self) -> bool:
        """True from the first signal on."""
        return self.count > 0

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """The handler. The first signal raises, unless the clean-up has begun. The first signal
        during the clean-up is answered, the next raises."""
        del frame
        self.count += 1
        if self.first is None:
            self.first = signal.Signals(signum)
        if self.count == 1 and not self._cleaning:
            raise KeyboardInterrupt(self.first.name)
        if not self._answered:
            self._answered = True
            board.say("Cleaning up; once more stops the clean-up (the next run would finish it).")
            return
        raise KeyboardInterrupt(signal.Signals(signum).name)

    def cleaning_up(self) -> None:
        """The run is over and only the clean-up is left: nothing is to be interrupted any more."""
        self._cleaning = True

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Let the block end; a first signal that comes meanwhile raises after it."""
        if self._cleaning or self.asked:
            yield  # it cannot be interrupted by one signal anyway
            return
        self._cleaning = True
        try:
            yield
        finally:
            self._cleaning = False
        if self.asked and self.first is not None:
            raise KeyboardInterrupt(self.first.name)


_current: Interrupts | None = None


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt in the main thread.

    A second one, which comes during the clean-up, is answered with a line; a third raises again.
    Only the main thread may enter. The former handlers come back at the end.
    """
    global _current
    state, outer = Interrupts(), _current
    former = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    for signum in _SIGNALS:
        if signum == signal.SIGHUP and former[signum] is signal.SIG_IGN:
            continue  # nohup was asked for
        signal.signal(signum, state.receive)
    _current = state
    try:
        yield state
    finally:
        _current = outer
        for signum, handler in former.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)


@contextmanager
def shielded() -> Iterator[None]:
    """Let the block end before a first signal raises (see ``Interrupts.shield``).

    For removing things: half removed is worse than late. Outside ``interrupts`` and in other
    threads, where no signal raises, it does nothing.
    """
    if _current is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    with _current.shield():
        yield


def cleaning_up() -> None:
    """Say that only the clean-up is left of this run (see ``Interrupts.cleaning_up``)."""
    if _current is not None:
        _current.cleaning_up()
