"""The logs-job scenario: a Job whose main writes lines and ends by itself, beside a log shipper."""

from __future__ import annotations

from conformance.observe.scenarios.job.job import run_job
from conformance.observe.scenarios.logs.logs import have_sink, settle
from conformance.observe.stage import Stage


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    have_sink(stage)
    pod = run_job(stage)
    settle(stage)
    return pod
