"""A world in which a native pod meets a kubelet that is too old for it."""

from __future__ import annotations

from tests.forge.bundle import Json, World, ns
from tests.worlds import lifecycle
from tests.worlds.lifecycle import spec

OLD, NEW = "worker", "control-plane"
FORBIDDEN = "InitContainerRestartPolicyForbidden"
MESSAGE = 'Pod was rejected: Init container "envoy" may not have a non-default restartPolicy'
READY: Json = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def skew(pattern: str = "native") -> World:
    """The controls are ready at 6 and 7; the subject is sent at 8 and refused at 8.3; a
    ReplicaSet makes four more from 9 to 19."""
    world = World(pattern, lifecycle.index(pattern, "skew"))
    world.index["cell"] |= {"k8s": "1.29-skew", "sidecar": "fixture", "mode": "default"}
    world.index["pods"] = {}
    kubelets = {NEW: "v1.29.14", OLD: "v1.28.15"}
    world.step(0.5, "nodes", server="v1.29.14", kubelets=kubelets)
    for role, its, node, ready in (("classic", "classic", OLD, 6), ("current", "native", NEW, 7)):
        pod(world, role, "app", "envoy")
        world.step(1.0, f"{role}.create", node=node)
        seen(world, 1.1, role, its, node, {"phase": "Pending"})
        seen(world, ready, role, its, node, READY)
        world.step(ready, f"{role}.ready")
    pod(world, "subject")
    world.step(8.0, "subject.create", node=OLD)
    seen(world, 8.1, "subject", pattern, "", {"phase": "Pending"})
    seen(world, 8.3, "subject", pattern, OLD, refusal())
    world.commands.append(
        {
            "ns": ns(8.9), "began_ns": ns(8.5), "code": 0, "out": FORBIDDEN, "err": "",
            "command": "kubectl get pods --field-selector status.phase=Failed -o jsonpath=…",
        }
    )  # fmt: skip
    world.step(9.0, "storm.begin")
    for number in range(4):
        seen(world, 9.5 + number, f"storm-{number}", pattern, OLD, refusal(), label="storm")
    world.step(19.0, "storm.end")
    world.step(19.5, "end")
    return world


def refusal() -> Json:
    return {"phase": "Failed", "reason": FORBIDDEN, "message": MESSAGE}


def pod(world: World, role: str, *ran: str) -> None:
    """A pod in the index, of whose containers some have an id."""
    containers = {
        one: {"id": f"{role}-{one}", "ids": [f"{role}-{one}"] * (one in ran)}
        for one in ("app", "envoy")
    }
    world.index["pods"][role] = {
        "uid": f"uid-{role}", "ip": "", "ips": [], "sandbox": "", "containers": containers,
    }  # fmt: skip


def seen(
    world: World, at: float, name: str, pattern: str, node: str, status: Json, *, label: str = ""
) -> None:
    """A version of a pod, which the scheduler has bound to a node, or not yet."""
    world.seen(at, "Pod", name, f"uid-{name}", spec(pattern) | {"nodeName": node}, status)
    world.watch[-1]["object"]["metadata"]["labels"] = {"app": label or name}


WORLDS = {"skew": skew}
