"""Ctrl-C and its kin: ask once, clean up in peace.

SIGINT, SIGTERM and SIGHUP all mean the same to a run: stop, and leave nothing behind.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from conformance.progress import board

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """How often the run was asked to stop, and by what."""

    def __init__(self) -> None:
        self.count = 0
        self.first: signal.Signals | None = None

    @property
    def asked(self) -> bool:
        """True from the first signal on."""
        return self.count > 0

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """The handler: the first and the third signal raise, the second is answered."""
        del frame
        self.count += 1
        if self.count == 1:
            self.first = signal.Signals(signum)
            raise KeyboardInterrupt(self.first.name)
        if self.count == 2:
            board.say("Cleaning up; once more stops the clean-up (the next run would finish it).")
            return
        raise KeyboardInterrupt(signal.Signals(signum).name)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into KeyboardInterrupt in the main thread.

    A second one, which comes during the clean-up, is answered with a line; a third raises again.
    Only the main thread may enter. The former handlers come back at the end.
    """
    state = Interrupts()
    former = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    for signum in _SIGNALS:
        if signum == signal.SIGHUP and former[signum] is signal.SIG_IGN:
            continue  # nohup was asked for
        signal.signal(signum, state.receive)
    try:
        yield state
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler if handler is not None else signal.SIG_DFL)
