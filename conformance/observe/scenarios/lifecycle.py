"""The lifecycle scenario: a meshed pod is started, watched while it works, and deleted while busy.

What happens is driven by events only: the pod is deleted once enough has been seen of its steady
life, never after a set time.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Stamp, Step
from conformance.observe.stage import Stage

SUBJECT = "subject"
# What must have been seen of the steady life before the pod is deleted. Enough of each kind for
# the judges' own minima, no more: every second here is a second for each cell.
STEADY = {
    ("subject.app", "steady", "ok"): 10,
    ("peer.app", "inflight", "ok"): 2,
    ("dialer.dialer", "dial-probe", "ok"): 1,
    ("dialer.dialer", "dial-tls", ""): 2,
}


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.surround("witness", "peer", "dialer")

    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject")
    with stage.going_on():
        stage.await_ready(SUBJECT, seconds=120)
        stage.step(Step.SUBJECT_READY)
        if stage.take_away == "capture":
            _kill_capture(stage)
        if stage.facts.stamped:
            await_steady(stage, STEADY, since=Step.SUBJECT_READY)
            leak_on_purpose(stage)
    delete(stage)
    return SUBJECT


def await_steady(stage: Stage, least: Mapping[tuple[str, str, str], int], since: str) -> None:
    """Wait until so many requests, by (whose stamps, kind, outcome or ""), have ended since a step.

    Raises Stuck.
    """
    wanted = {
        # Where the app is turned away by design, its requests only have to end.
        (name, kind, outcome if stage.facts.egress_answered or name != "subject.app" else ""): count
        for (name, kind, outcome), count in least.items()
    }
    begin = [int(one["ns"]) for one in stage.diary() if one["step"] == since][-1]

    found = dict.fromkeys(wanted, 0)
    looked = dict.fromkeys((name for name, _, _ in wanted), 0)  # stamps of each file, so far

    def counts() -> dict[tuple[str, str, str], int]:
        for file in looked:
            fresh = stage.stamps(file)[looked[file] :]
            looked[file] += len(fresh)
            for stamp in fresh:
                if stamp["event"] == Stamp.REQUEST_END and stamp["ns"] > begin:
                    for outcome in ("", stamp["outcome"]):
                        if (key := (file, stamp["kind"], outcome)) in found:
                            found[key] += 1
        return found

    stage.wait(
        "a steady life (requests answered in both directions)",
        lambda: all(count >= wanted[key] for key, count in counts().items()),
        seconds=60,
        seen=lambda: ", ".join(f"{count} {key[1]}" for key, count in counts().items()),
    )


def leak_on_purpose(stage: Stage, pod: str = SUBJECT, role: str = SUBJECT) -> None:
    """Have the app send the control canary in clear: the judges must find it, or they are blind.

    It is asked for through the API server's pod proxy, at the app's probe port, which no mesh
    redirects.
    """
    stage.step(Step.CONTROL_ASKED, pod=pod)
    stage.core.connect_get_namespaced_pod_proxy_with_path(
        f"{pod}:{stage.facts.ports['probe']}", stage.namespace, "control"
    )
    stage.wait(
        "the control canary",
        lambda: any(one["event"] == Stamp.CONTROL_END for one in stage.stamps(f"{role}.app")),
        seconds=20,
        seen=lambda: f"no control.end in stamps/{role}.app.jsonl",
    )


def delete(stage: Stage) -> None:
    """Delete the pod under test, and see it and its network namespace end. Raises Stuck."""
    pod = stage.watch.newest("Pod", SUBJECT)
    grace = int(pod["spec"]["terminationGracePeriodSeconds"]) if pod else 30
    stage.step(Step.DELETE_ASKED)
    try:
        stage.core.delete_namespaced_pod(SUBJECT, stage.namespace)
    except k8s.ApiException as error:
        if error.status != 404:
            raise
    stage.step(Step.DELETE_ACCEPTED)
    stage.wait(
        "the end of the deleted pod",
        lambda: stage.watch.gone("Pod", SUBJECT),
        seconds=grace + 60,
        seen=lambda: stage.describe(SUBJECT),
    )
    stage.step(Step.SUBJECT_GONE)
    stage.wait(
        "the end of the pod's network namespace",
        lambda: stage.capture_ended(SUBJECT),
        seconds=30,
        seen=lambda: "the capture agent still runs",
    )
    stage.step(Step.SANDBOX_GONE)


def _kill_capture(stage: Stage) -> None:
    """The self-test of the judges: the capture dies in the middle of the pod's life."""
    mine = f"tcpdump .*{stage.namespace}/capture/{SUBJECT}/eth0.pcap"
    what = "ending the capture on purpose"
    stage.on_node("pkill", "-KILL", "-f", mine, what=what, node=stage.node_of(SUBJECT))
