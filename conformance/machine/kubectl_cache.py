"""What kubectl remembers of a cluster's API: for one run alone, and not in the user's home. What a
killed run left goes with the next."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from conformance.machine import scratch

VARIABLE = "KUBECACHEDIR"
"""Where kubectl keeps it (cli-runtime, config_flags.go); otherwise in ~/.kube/cache, for hours, by
the server's address, which the next cluster may have too."""


@contextmanager
def of_one_run(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Have kubectl, started by children and workers that inherit this, forget it with the block."""
    before = environment.get(VARIABLE)
    with scratch.folder("kubectl") as folder:
        environment[VARIABLE] = str(folder)
        try:
            yield
        finally:
            environment.pop(VARIABLE)
            if before is not None:
                environment[VARIABLE] = before
