"""What a view shows, counted for one window: at once, or later from a transcript for any window."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, Protocol

from conformance.judges.sights import Sight, Survey, family, pair
from conformance.model import Window

_KNOWN = 100_000  # tokens and connections that are remembered, to compare two views


class Told(Protocol):
    """Who is told what a view shows."""

    def packet(self, ns: int, payload: int) -> None:
        """A packet passed. payload: bytes of it, of TCP and UDP."""

    def tell(self, method: Callable[..., None], *about: Any) -> None:
        """Anything else: one of Tally's methods, and what it takes."""


class Tally:
    """Counts for one window. What is told in the order of the frames adds up to ``survey``."""

    def __init__(self, window: Window) -> None:
        self.survey = Survey()
        self._window = window
        self._told_clear: set[int] = set()  # connections
        self._counted: set[int] = set()

    def tell(self, method: Callable[..., None], *about: Any) -> None:
        """Count it now."""
        method(self, *about)

    def packet(self, ns: int, payload: int) -> None:
        """Count a packet."""
        if ns in self._window:
            self.survey.packets += 1
            self.survey.payload_bytes += payload

    def doubt(self, sight: Sight) -> None:
        """Payload could not be judged."""
        if sight.ns in self._window:
            self.survey.doubts.add(sight)

    def explained(self, name: str, ns: int) -> None:
        """Payload under an exception."""
        if ns in self._window:
            known = self.survey.explained
            known[name] = known.get(name, 0) + 1

    def control(self, sight: Sight) -> None:
        """The deliberate leak is seen. It counts outside of the window."""
        if sight.ns not in self._window:
            self.survey.controls.add(sight)

    def leaked(self, ns: int, size: int) -> None:
        """Bytes in clear."""
        if ns in self._window:
            self.survey.leaked_bytes += size

    def leak(self, sight: Sight) -> None:
        """Something is in clear."""
        survey = self.survey
        if sight.ns not in self._window:
            survey.outside.add(sight)
            return
        if sight.token:
            if sight.token in survey.tokens:
                return
            if len(survey.tokens) < _KNOWN:
                survey.tokens.add(sight.token)
        if len(survey.clear) < _KNOWN:
            survey.clear.add(pair(sight.source, sight.target))
        survey.leaks.add(sight)
        survey.leaks_by[family(sight.target)] += 1

    def clear(self, connection: int, ns: int, sight: Sight | None) -> None:
        """A connection is in clear. sight: None where a token in it has been told."""
        inside = ns in self._window
        if inside and connection in self._told_clear:
            return
        if sight is not None:
            self.leak(sight)
        if inside:
            self._told_clear.add(connection)
            self.survey.leaked_streams += 1

    def tls(self, connection: int, ns: int, size: int, its_family: str) -> None:
        """TLS in a connection."""
        if ns not in self._window:
            return
        if connection not in self._counted:
            self._counted.add(connection)
            self.survey.tls_streams += 1
        self.survey.tls_bytes += size
        self.survey.tls_bytes_by[its_family] += size


class Transcript:
    """All that is told of one view: 16 bytes a packet, and some 200 more for one with payload."""

    def __init__(self) -> None:
        self._told: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        # By themselves, for they are most of it, and their order among the others is of no account.
        self._times = array("q")
        self._payloads = array("q")

    def packet(self, ns: int, payload: int) -> None:
        """Keep a packet."""
        self._times.append(ns)
        self._payloads.append(payload)

    def tell(self, method: Callable[..., None], *about: Any) -> None:
        """Keep it."""
        self._told.append((method, about))

    def within(self, window: Window) -> Survey:
        """What was seen in a window, as if it had been counted at once."""
        tally = Tally(window)
        for method, about in self._told:
            method(tally, *about)
        start, end = window.start, window.end
        payloads = [
            payload
            for ns, payload in zip(self._times, self._payloads, strict=True)
            if start <= ns <= end
        ]
        tally.survey.packets = len(payloads)
        tally.survey.payload_bytes = sum(payloads)
        return tally.survey
