"""The sidecar conformance suite: plan → cluster → deploy → observe → evidence → judge → report."""

__version__ = "0.1.0"
