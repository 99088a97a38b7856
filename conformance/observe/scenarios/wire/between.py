"""The between scenario: pods of two nodes talk, in a network that has no sidecar.

    subject  under test: only the peer and the near pod may ask it anything
    peer     on the other node
    near     as the peer, on the subject's own node
    dialer   a stranger on the other node, whom no policy lets in
    task     a Job's pod

While all of them are busy, the policy is lifted for a moment (the dialer must be answered then, or
its silence shows nothing), and the agent on the subject's node is killed and comes back.
"""

from __future__ import annotations

from collections.abc import Callable

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Kind, Role, Stamp, Step
from conformance.observe.pods import condition
from conformance.observe.scenarios.lifecycle import SUBJECT, await_steady, delete
from conformance.observe.stage import Stage
from conformance.sidecars.agents import HasAgents
from conformance.sidecars.driver import Manifest

STEADY = {
    ("subject.app", "steady", "ok"): 25,
    ("peer.app", "quick", "ok"): 12,
    ("near.app", "quick", "ok"): 12,
    ("dialer.dialer", "dial", ""): 25,
}
# After the agent is back: enough to see that traffic goes on, and that strangers still wait.
SETTLED = {
    ("subject.app", "steady", "ok"): 15,
    ("peer.app", "quick", "ok"): 8,
    ("dialer.dialer", "dial", ""): 25,
}
READY_AFTER = 3  # seconds from the start of the subject's container to the first probe of readiness
ANSWERED, UNANSWERED = 3, 15  # dials in a row that show that the policy is lifted, or back
POLICY = "policy"
# In a node: the deliberate leak, in clear from one node to the other. Port 9 throws it away.
_SEND = (
    "import socket, sys; "
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), "
    "(sys.argv[1], 9))"
)


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.create(POLICY)
    stage.surround("peer", "dialer")
    stage.create(Role.NEAR)
    stage.await_ready(Role.NEAR)
    stage.step(Step.SUBJECT_CREATE)
    stage.create(SUBJECT, role=SUBJECT, alter=_is_ready_late)
    with stage.going_on():
        stage.await_ready(SUBJECT, seconds=120)
        stage.step(Step.SUBJECT_READY)
        await_steady(stage, STEADY, since=Step.SUBJECT_READY)
        _run_task(stage)
        leak_between_nodes(stage)
        lift_policy(stage)
        _kill_agent(stage)
    delete(stage)
    return SUBJECT


def _is_ready_late(document: Manifest) -> None:
    """Its start lasts long enough for what happens in it to be counted: it is ready within 0.2 s of
    its first instruction otherwise."""
    (container,) = document["spec"]["containers"]
    container["readinessProbe"]["initialDelaySeconds"] = READY_AFTER


def _run_task(stage: Stage) -> None:
    stage.step(Step.JOB_CREATE)
    stage.create(Role.TASK)

    def complete() -> bool:
        job = stage.watch.newest("Job", Role.TASK)
        return bool(job and condition(job, "Complete"))

    stage.wait("the Job's completion", complete, seconds=60, seen=lambda: stage.describe(Role.TASK))
    stage.step(Step.JOB_COMPLETE)


def leak_between_nodes(stage: Stage) -> None:
    """A token in clear from each node to the other, past every network of pods: whoever looks at
    their interfaces must find it."""
    token = f"cny.{stage.nonce}.control.{SUBJECT}.000000"
    stage.step(Step.CONTROL_ASKED, token=token)
    addresses = {
        node.metadata.name: next(
            one.address for one in node.status.addresses if one.type == "InternalIP"
        )
        for node in stage.core.list_node().items
    }
    python = ("chroot", "/opt/sidecar-conformance", "/usr/bin/python3", "-c", _SEND)
    for node, other in zip(stage.handle.nodes, reversed(stage.handle.nodes), strict=True):
        what = f"leaking on purpose from {node}"
        stage.on_node(*python, addresses[other], token, what=what, node=node)


def lift_policy(stage: Stage) -> None:
    """For as long as it takes that the stranger is answered; and back."""
    stage.step(Step.POLICY_LIFTED)
    k8s.NetworkingV1Api(stage.client).delete_namespaced_network_policy(SUBJECT, stage.namespace)
    _await_dials(stage, "answered dials", lambda last: last[-ANSWERED:].count("ok") == ANSWERED)
    stage.create(POLICY)
    stage.step(Step.POLICY_BACK)
    _await_dials(
        stage,
        "dials without an answer",
        lambda last: len(last) >= UNANSWERED and "ok" not in last[-UNANSWERED:],
    )
    stage.step(Step.POLICY_SETTLED)


def _await_dials(stage: Stage, what: str, enough: Callable[[list[str]], bool]) -> None:
    """Wait until the outcomes of the dials since now are enough. Raises Stuck."""
    already = len(_dials(stage))

    def since() -> list[str]:
        return _dials(stage)[already:]

    stage.wait(what, lambda: enough(since()), seconds=60, seen=lambda: f"{since()[-UNANSWERED:]}")


def _dials(stage: Stage) -> list[str]:
    return [
        str(one["outcome"])
        for one in stage.stamps("dialer.dialer")
        if one["event"] == Stamp.REQUEST_END and one["kind"] == Kind.DIAL
    ]


def _kill_agent(stage: Stage) -> None:
    """The agent of the subject's node, under everything that goes on there."""
    driver, node = stage.driver, stage.node_of(SUBJECT)
    assert isinstance(driver, HasAgents)
    stage.step(Step.AGENT_KILLED, node=node)
    back = driver.kill_agent(stage.handle, stage.client, node)
    stage.wait("the agent's return", back, seconds=180, seen=lambda: "it is not ready", every=0.3)
    stage.step(Step.AGENT_BACK, node=node)
    await_steady(stage, SETTLED, since=Step.AGENT_BACK)
    stage.step(Step.AGENT_SETTLED, node=node)
