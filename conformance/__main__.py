"""``python -m conformance`` is ``sidecar-conformance``."""

from conformance.cli import main

main()
