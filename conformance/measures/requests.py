"""The fixtures' client in a process of its own: ``requests FIXTURES STAMPS HOST PORT``.

For each line of input (seconds, requests a second) it asks by the fixtures' own timetable, or where
that rate is 0 as fast as it can; one line of JSON tells what came of it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

THREADS = 2  # Python runs one at a time; the other's request is on its way meanwhile
AT_ONCE = 24  # as many of the dialer's requests may be under way
PATIENCE = 2.0  # seconds


class Asked:
    """Requests of one turn. latencies: ns, of each from its first act to its end."""

    def __init__(self, client: Any, target: tuple[str, int]) -> None:
        self._client = client
        self._target = target
        self.latencies: list[int] = []
        self.outcomes: dict[str, int] = {}

    def once(self) -> None:
        """Ask, and wait for the answer. Any thread may."""
        began = time.monotonic_ns()
        outcome = self._client.send("dial", self._target, "echo", PATIENCE).outcome
        self.latencies.append(time.monotonic_ns() - began)
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def without_pause(self, seconds: float) -> None:
        """One after the other, in each of the threads."""
        until = time.monotonic() + seconds

        def go_on() -> None:
            while time.monotonic() < until:
                self.once()

        threads = [threading.Thread(target=go_on) for _ in range(THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()


def main() -> None:
    """Answer every line of input."""
    fixtures, stamps, host, port = sys.argv[1:]
    sys.path.insert(0, f"{fixtures}/app")
    # The fixtures' own modules, which run alone in images.
    from client import Client  # type: ignore[import-not-found]
    from rhythm import Timetable, Workers  # type: ignore[import-not-found]
    from stamps import Stamps  # type: ignore[import-not-found]

    client = Client(Stamps(stamps), "0" * 12, "dialer")
    for line in sys.stdin:
        seconds, rate = map(float, line.split())
        asked = Asked(client, (host, int(port)))
        began = time.monotonic()
        if rate:
            workers, timetable = Workers(AT_ONCE), Timetable()
            timetable.every(1 / rate, workers.later(asked.once))
            timetable.run(lambda: True, until=began + seconds)
            workers.wait_idle(PATIENCE)
        else:
            asked.without_pause(seconds)
        whole = time.monotonic() - began
        told = {"seconds": whole, "latencies": asked.latencies, "outcomes": asked.outcomes}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
