"""The sidecar conformance suite: plan → cluster → deploy → observe → evidence → judge → report."""
