"""The logs-crash scenario: a log shipper is killed while its sink takes nothing.

So what it had read and not delivered is not left to chance: the sink refuses until some lines were
refused, then the shipper is killed from the node, the sink takes again, and the shipper, restarted
by the kubelet, goes on.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Stamp, Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.scenarios.logs.logs import (
    arrived,
    await_steady,
    container_status,
    have_sink,
    settle,
    tell_sink,
    with_variables,
    written,
)
from conformance.observe.stage import Stage, Stuck

RATE = "1000"  # lines a second
# Seconds for what was read before the crash to arrive after it: the shippers try again every
# second or two.
BOUND_SECONDS = 10.0


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    have_sink(stage)
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role=SUBJECT, alter=with_variables({"SC_RATE": RATE}))
    stage.await_ready(SUBJECT, seconds=120)
    stage.step(Step.SUBJECT_READY)
    await_steady(stage, SUBJECT)

    tell_sink(stage, "refuse")
    stage.wait(
        "lines that the sink refuses",
        lambda: arrived(stage, SUBJECT, Stamp.SINK_REFUSED),
        seconds=30,
        seen=lambda: "none",
    )
    (shipper,) = stage.sidecars(SUBJECT)
    stage.step(Step.SIDECAR_KILL_ASKED, container=shipper)
    stage.signal(SUBJECT, shipper, "KILL")
    stage.wait(
        "the shipper's restart",
        lambda: _restarted(stage, shipper),
        seconds=60,
        seen=lambda: stage.describe(SUBJECT),
    )
    before = written(stage, SUBJECT)
    stage.step(Step.SIDECAR_RESTARTED, lines=before)
    tell_sink(stage, "open")
    stage.wait(
        "lines from after the crash",
        lambda: _newest(stage) >= before,
        seconds=60,
        seen=lambda: f"line {_newest(stage)} of {before}",
    )
    stage.step(Step.SIDECAR_RESUMED)
    try:
        stage.wait(
            "the lines from before the crash",
            lambda: _held(stage) >= before,
            seconds=BOUND_SECONDS,
            seen=lambda: "some are missing",
        )
    except Stuck:
        stage.step(Step.CRASH_BOUND)
    settle(stage)
    return SUBJECT


def _restarted(stage: Stage, shipper: str) -> bool:
    status = container_status(stage, SUBJECT, shipper)
    return status.get("restartCount", 0) > 0 and "running" in status.get("state", {})


def _newest(stage: Stage) -> int:
    """The highest line that the sink has received."""
    runs = [
        last
        for one in stage.stamps("sink.sink")
        if one["event"] == Stamp.SINK_RECEIVED
        for _, last in one["runs"].get(SUBJECT, ())
    ]
    return max(runs, default=-1)


def _held(stage: Stage) -> int:
    """How many lines the sink holds without a hole, from the first on."""
    end = 0
    runs = sorted(
        (first, last)
        for one in stage.stamps("sink.sink")
        if one["event"] == Stamp.SINK_RECEIVED
        for first, last in one["runs"].get(SUBJECT, ())
    )
    for first, last in runs:
        if first > end:
            break
        end = max(end, last + 1)
    return end
