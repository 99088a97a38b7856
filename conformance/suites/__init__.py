"""The suites: pytest tests that are made from the catalogue. Run them with ``sidecar-conformance
run``, ``python -m pytest -s conformance/suites`` or ``pytest -s --pyargs conformance.suites``."""

HOOKS = "sidecar-conformance-suites"
"""The name under which pytest knows their hooks, once they are registered."""
