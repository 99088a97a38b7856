"""What kubectl remembers of a cluster's API: for one run alone, and not in the user's home."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

VARIABLE = "KUBECACHEDIR"
"""Where kubectl keeps it (cli-runtime, config_flags.go); otherwise in ~/.kube/cache, for hours, by
the server's address, which the next cluster may have too."""


@contextmanager
def of_one_run(environment: MutableMapping[str, str]) -> Iterator[None]:
    """Have kubectl, started by children and workers that inherit this, forget it with the block."""
    before = environment.get(VARIABLE)
    with tempfile.TemporaryDirectory(
        prefix="sidecar-conformance-kubectl-", ignore_cleanup_errors=True
    ) as folder:
        environment[VARIABLE] = folder
        try:
            yield
        finally:
            environment.pop(VARIABLE)
            if before is not None:
                environment[VARIABLE] = before
