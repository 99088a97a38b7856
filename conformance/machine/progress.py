"""Tells the user what is going on: a live line for each running phase, or plain lines.

On a terminal, rich draws one line for each running phase, with its elapsed time. Elsewhere (CI, a
pipe) a phase prints a line when it starts, when its note changes (at most every 15 s), and when it
ends. Any thread may open phases.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from conformance.machine import terminal

_PLAIN_NOTE_EVERY = 15.0  # seconds; a CI log wants a sign of life, not a film


class Phase:
    """One running piece of work. ``note`` replaces the few words that say how far it is."""

    def __init__(self, board: ProgressBoard, name: str) -> None:
        self._board = board
        self.name = name
        self.started = time.monotonic()
        self.task: TaskID | None = None
        self._last_plain = self.started

    @property
    def elapsed(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self.started

    def note(self, text: str) -> None:
        """Say how far the phase is, in a few words."""
        self._board.noted(self, text)

    def due(self) -> bool:
        """True when a plain line may be printed again; remembers that it was."""
        now = time.monotonic()
        if now - self._last_plain < _PLAIN_NOTE_EVERY:
            return False
        self._last_plain = now
        return True


class ProgressBoard:
    """All running phases of this process, on standard error."""

    def __init__(self) -> None:
        self.console = terminal.console(stderr=True, highlight=False, soft_wrap=True)
        self._lock = threading.RLock()
        self._live: Progress | None = None
        self._open = 0
        self._began = time.monotonic()

    @property
    def fancy(self) -> bool:
        """Whether a live display makes sense here."""
        return self.console.is_terminal and os.environ.get("TERM") != "dumb"

    def say(self, text: str) -> None:
        """Print one lasting line, above the live ones."""
        with self._lock:
            self.console.print(text, markup=False)

    @contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Show ``name`` as running until the block ends; then say how long it took."""
        phase = Phase(self, name)
        self._enter(phase)
        try:
            yield phase
        except BaseException:
            self._leave(phase, "failed after")
            raise
        self._leave(phase, "done in")

    def noted(self, phase: Phase, text: str) -> None:
        with self._lock:
            if self._live is not None and phase.task is not None:
                self._live.update(phase.task, note=text)
            elif phase.due():
                self._plain(f"{phase.name}: {text} ({phase.elapsed:.0f} s)")

    def _enter(self, phase: Phase) -> None:
        with self._lock:
            self._open += 1
            if not self.fancy:
                self._plain(f"{phase.name} …")
                return
            if self._live is None:
                self._live = Progress(
                    SpinnerColumn(),
                    TextColumn("{task.description}"),
                    TimeElapsedColumn(),
                    TextColumn("[dim]{task.fields[note]}", markup=True),
                    console=self.console,
                    transient=True,
                )
                self._live.start()
            phase.task = self._live.add_task(phase.name, total=None, note="")

    def _leave(self, phase: Phase, how: str) -> None:
        with self._lock:
            self._open -= 1
            if self._live is not None and phase.task is not None:
                self._live.remove_task(phase.task)
                if self._open == 0:
                    self._live.stop()
                    self._live = None
            if phase.elapsed >= 1 or not self.fancy:
                self._plain(f"{phase.name}: {how} {phase.elapsed:.1f} s")

    def _plain(self, text: str) -> None:
        elapsed = time.monotonic() - self._began
        self.console.print(f"[{elapsed:6.1f}s] {text}", markup=False)
        sys.stderr.flush()


board = ProgressBoard()
