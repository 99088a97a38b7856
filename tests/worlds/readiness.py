"""The world of the readiness scenario: a pod is deleted at 10, and its containers withdraw their
readiness at 10.1; the app goes on until 30, its sidecar until 35. A twin withdraws its own at 11.
"""

from __future__ import annotations

from tests.forge.bundle import World
from tests.worlds import lifecycle
from tests.worlds.stop import Pod, ident, world

PROBE = {"exec": {"command": ["sh", "-c", "test ! -e /dev/shm/withdrawn"]}, "periodSeconds": 1}


def seen(made: World, at: float, role: str, *ready: str, ended: tuple[str, ...] = ()) -> None:
    """A version of a pod: which of its containers are ready, and which have ended."""
    spec = lifecycle.spec(made.pattern)
    for group in ("initContainers", "containers"):
        for one in spec[group]:
            if one["name"] != "rules":
                one["readinessProbe"] = PROBE
    status = lifecycle.status(made.pattern, *ready)
    for its in status.values():
        for one in its:
            one["containerID"] = f"containerd://{ident(role, one['name'])}"
            gone = one["name"] in ended
            one["state"] = {"terminated": {"exitCode": 0}} if gone else {"running": {}}
    made.seen(at, "Pod", role, f"uid-{role}", spec, {"phase": "Running", **status})


def readiness(pattern: str = "native") -> World:
    """A fresh world that a test may break."""
    made = world(pattern, "readiness")
    pod, twin = Pod(made, "subject", "envoy"), Pod(made, "twin", "envoy")
    made.watch.clear()
    for one in (pod, twin):
        seen(made, 1.0, one.role)
        seen(made, 6.0, one.role, "app", "envoy")
    pod.deleted(grace=40)
    for one, at in ((pod, 10.1), (twin, 11.0)):
        for name in ("app", "envoy"):
            one.hook(at, at + 0.01, name)
    pod.told(10.2, "app")
    seen(made, 10.9, "subject", "envoy")
    seen(made, 11.2, "subject")
    seen(made, 12.1, "twin")
    pod.ended(30.1, "app")
    seen(made, 30.3, "subject", ended=("app",))
    pod.told(30.2, "envoy")
    pod.ended(35.2, "envoy")
    pod.removed(35.9)
    made.watch[-1]["object"]["spec"] = made.watch[-2]["object"]["spec"]
    made.step(36.0, "end")
    return made


WORLDS = {"readiness": readiness}
