"""A client at its highest rate, in a process of its own: ``requests FIXTURES STAMPS HOST PORT``.

For each line of input (seconds) the fixture programs' own client asks as fast as it can, one
request after the other in each of some threads, and one line of JSON tells what came of it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

THREADS = 2  # Python runs one at a time; the other's request is on its way meanwhile
PATIENCE = 2.0  # seconds


def asked(client: Any, target: tuple[str, int], seconds: float) -> dict[str, Any]:
    """Ask for some seconds. latencies: ns, of each request from its first act to its end."""
    until = time.monotonic_ns() + int(seconds * 1e9)
    latencies: list[int] = []
    outcomes: dict[str, int] = {}

    def ask() -> None:
        while (began := time.monotonic_ns()) < until:
            outcome = client.send("dial", target, "echo", PATIENCE).outcome
            latencies.append(time.monotonic_ns() - began)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    began = time.monotonic_ns()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    whole = time.monotonic_ns() - began
    return {"seconds": whole / 1e9, "latencies": latencies, "outcomes": outcomes}


def main() -> None:
    """Answer every line of input."""
    fixtures, stamps, host, port = sys.argv[1:]
    sys.path.insert(0, f"{fixtures}/app")
    # The fixtures' own modules, which run alone in images.
    from client import Client  # type: ignore[import-not-found]
    from stamps import Stamps  # type: ignore[import-not-found]

    client = Client(Stamps(stamps), "0" * 12, "dialer")
    for line in sys.stdin:
        print(json.dumps(asked(client, (host, int(port)), float(line))), flush=True)


if __name__ == "__main__":
    main()
