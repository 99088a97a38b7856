"""Worlds of the scenarios about Jobs, as they are when all goes as expected.

Each pod has a main and a sidecar; times are seconds. In the classic pattern mains end and their
sidecars run on, until they are told to quit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tests.forge.bundle import EPOCH, Json, World, clear_request, ns, stamp_text
from tests.worlds import lifecycle

Life = tuple[float, float | None, int]  # from, to (None: for ever), exit code
_numbers = itertools.count()
BOUND = 20.0
QUIT = 20.1


def jobs(pattern: str = "native") -> World:
    """Jobs that fail, retry, run side by side or lose their sidecar (which is not held against
    them in this world)."""
    world = _world(pattern, "jobs", "fails-1")
    native = pattern == "native"
    _failing(world, "fails", [("fails-1", 4, ""), ("fails-2", 19, "")], native)
    first = [("fails-indexed-0", 4, "0"), ("fails-indexed-1", 4, "1")]
    _failing(world, "fails-indexed", [*first, ("fails-indexed-2", 19, "1")], native)
    pair = [("fails-parallel-1", 4, ""), ("fails-parallel-2", 5, "")]
    _failing(world, "fails-parallel", pair, native)
    _under_on_failure(world, native)
    if native:
        _crashed(world, "crashed-on-failure", "OnFailure")
        _crashed(world, "crashed-never", "Never")
    else:
        names = ["fails", "fails-indexed", "fails-parallel", "restarts-and-completes"]
        world.step(BOUND, "job.bound", jobs=names)
        world.step(26.0, "job.moved")
    world.step(30.0, "end")
    return world


def failed_by_its_sidecar(world: World) -> None:
    """What Kubernetes does: the sidecar's restart counts against the Job's backoffLimit."""
    drop_job(world, "crashed-on-failure")
    job(world, 0, "crashed-on-failure", {"active": 1}, policy="OnFailure", backoffLimit=1)
    pod(
        world, "crashed-on-failure", "crashed-on-failure-2", told=(8.0,),
        mains=[(2.0, 8.1, 143)], sidecars=[(0.5, 4.0, 137), (4.5, 9.5, 0)], over=None,
    )  # fmt: skip
    ends(world, 10.0, "crashed-on-failure", "Failed", "BackoffLimitExceeded", failed=1)


def cronjob(pattern: str = "native") -> World:
    """A CronJob from its first run to its second."""
    world = _world(pattern, "cronjob", "subject-1-a")
    spec = {"concurrencyPolicy": "Forbid", "schedule": "* * * * *"}
    seen(world, 0.1, "CronJob", "subject", spec=spec)
    _run(world, 1, 1.0)
    if pattern == "native":
        pod(world, "subject-1", "subject-1-a", mains=[(3.0, 5.0, 0)], sidecars=[(1.0, 6.6, 0)])
        ends(world, 8.0, "subject-1", "Complete", "CompletionsReached", succeeded=1)
        _run(world, 2, 40.0)
    else:
        _held(world, "subject-1", "subject-1-a", exited=5.0, code=0)
        world.step(BOUND - 4, "job.bound", jobs=["subject-1"])
        event(world, BOUND - 1, "JobAlreadyActive", "CronJob", "subject", "Not starting job")
        ends(world, 24.0, "subject-1", "Complete", "CompletionsReached", succeeded=1)
        _run(world, 2, 24.1)
    world.step(45.0, "end")
    return world


def quota(pattern: str = "native") -> World:
    """Two Jobs in a quota of two pods, and a third."""
    world = _world(pattern, "quota", "first-1")
    counted = [(0.1, 0), (1.1, 1), (4.1, 2)]
    for at, used in [*counted, (5.0, 1), (8.0, 0), (18.1, 1)] if pattern == "native" else counted:
        status = {"hard": {"pods": "2"}, "used": {"pods": str(used)}}
        seen(world, at, "ResourceQuota", "room", status=status)
    for number, name in enumerate(("first", "second")):
        begin = 1.0 + 3 * number
        job(world, begin, name, {"active": 1})
        if pattern == "native":
            mains, sidecars = [(begin + 1, begin + 2, 0)], [(begin, begin + 3.5, 0)]
            pod(world, name, f"{name}-1", mains=mains, sidecars=sidecars)
            ends(world, begin + 5, name, "Complete", "CompletionsReached", succeeded=1)
        else:
            _held(world, name, f"{name}-1", exited=begin + 2, code=0)
            ends(world, 24.0 + number, name, "Complete", "CompletionsReached", succeeded=1)
    came = 18.0
    if pattern == "classic":
        came = 28.0
        world.step(17.0, "job.bound", jobs=["first", "second"])
        words = "exceeded quota: room, requested: pods=1, used: pods=2, limited: pods=2"
        event(world, 18.1, "FailedCreate", "Job", "third", words)
    world.step(17.5, "job.create", job="third")
    job(world, 17.6, "third", {"active": 1})
    pod(world, "third", "third-1", mains=[(came + 1, came + 2, 0)], sidecars=[(came, None, 0)])
    world.step(32.0, "end")
    return world


def deadline(_: str = "native") -> World:
    """Two Jobs that are submitted while the mesh is down."""
    world = _world("native", "deadline", "unbounded-1")
    limits: Json = {"activeDeadlineSeconds": 8, "ttlSecondsAfterFinished": 2}
    job(world, 1.0, "unbounded", {"active": 1})
    job(world, 1.0, "bounded", {"active": 1}, **limits)
    pod(world, "unbounded", "unbounded-1", mains=[(16.0, 17.0, 0)], sidecars=[(2.0, 18.5, 0)])
    pod(world, "bounded", "bounded-1", mains=[], sidecars=[(2.0, 11.0, 0)], told=(9.5,))
    ends(world, 11.5, "bounded", "Failed", "DeadlineExceeded", failed=1)
    gone = {**next(o for o in reversed(world.watch) if o["kind"] == "Job"), "ns": ns(13.6)}
    world.watch.append({**gone, "type": "DELETED"})
    world.step(13.7, "job.gone", job="bounded")
    world.step(13.8, "mesh.up")
    ends(world, 20.0, "unbounded", "Complete", "CompletionsReached", succeeded=1)
    world.step(20.1, "end")
    return world


def workarounds(_: str = "classic") -> World:
    """Classic Jobs whose mains end their sidecars, and one whose main crashes before."""
    world = _world("classic", "workarounds", "quitpod")
    world.index["cell"] |= {"sidecar": "envoy", "mode": "sidecar-rules"}
    for way in ("quit", "marker", "kill"):
        job(world, 0, way, {"active": 1})
        pod(world, way, f"{way}pod", mains=[(1.0, 8.0, 0)], sidecars=[(1.5, 5.5, 0)])
        world.stamp(5.0, f"{way}pod.app", "workaround.begin", how=way)
        for seq, outcome in enumerate(("ok", "reset", "reset")):
            world.attempt(5.2 + seq, f"{way}pod.app", "late", seq, outcome)
        ends(world, 10.0, way, "Complete", "CompletionsReached", succeeded=1)
    its = world.attempt(7.0, "quitpod.app", "late", 9, "closed", target="10.96.0.80:9000")
    world.witnessed(7.1, 9000, clear_request(its))
    job(world, 0, "crash", {"active": 1})
    _held(world, "crash", "crashpod", exited=6.0, code=137)
    world.step(BOUND, "job.bound", jobs=["crash"])
    ends(world, 24.0, "crash", "Failed", "BackoffLimitExceeded", failed=1)
    world.step(24.1, "job.moved")
    return world


def webhook(pattern: str = "native", *, refuses: bool = True) -> World:
    """A native pod meets a webhook that takes its pattern; it is refused altogether, or only with
    its probes."""
    world = lifecycle.outdated(pattern, refuses=refuses)
    world.index["cell"]["scenario"] = "webhook"
    for at, when, policy in (
        (0.3, "before", "Always"),
        (0.9, "with", ""),
        (14.9, "after", "Always"),
    ):
        world.step(at, "dry-run", when=when, restart_policy=policy)
    for at, dry_run in ((0.85, True), (0.95, False), (1.05, False)):
        removed = ["/spec/initContainers/1/restartPolicy"]
        world.stamp(
            at, "webhook.webhook", "webhook.asked", pod="subject", dry_run=dry_run, removed=removed
        )
    return world


# --- saying what happened -------------------------------------------------------------------------


def seen(
    world: World, at: float, kind: str, name: str, spec: Json | None = None,
    status: Json | None = None, **more: Any,
) -> None:  # fmt: skip
    """A watch event of an object; more: of its metadata."""
    meta = {"name": name, "uid": f"uid-{name}", **more}
    body = {"metadata": meta, "spec": spec or {}, "status": status or {}}
    world.watch.append({"ns": ns(at), "type": "MODIFIED", "kind": kind, "object": body})


def event(world: World, at: float, reason: str, kind: str, name: str, message: str) -> None:
    involved = {"kind": kind, "name": name}
    body = {
        "metadata": {"name": f"{name}.{reason}", "uid": f"uid-{reason}"},
        "reason": reason, "message": message, "involvedObject": involved, "count": 1,
    }  # fmt: skip
    world.watch.append({"ns": ns(at), "type": "ADDED", "kind": "Event", "object": body})


def job(
    world: World, at: float, name: str, status: Json, *, policy: str = "Never",
    main: dict[str, str] | None = None, owner: str = "", note: str = "", **spec: Any,
) -> None:  # fmt: skip
    """A version of a Job. main: its main's environment; owner: its CronJob."""
    environment = [{"name": key, "value": value} for key, value in (main or {}).items()]
    template = {"restartPolicy": policy, "containers": [{"name": "app", "env": environment}]}
    whole = {"backoffLimit": 0, "template": {"spec": template}, **spec}
    more: Json = {"annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": note}}
    if owner:
        more["ownerReferences"] = [{"kind": "CronJob", "name": owner}]
    seen(world, at, "Job", name, whole, {"startTime": whole_second(at), **status}, **more)


def ends(world: World, at: float, name: str, kind: str, reason: str, **status: Any) -> None:
    """The Job has a last condition."""
    last = next(
        one["object"] for one in reversed(world.watch)
        if one["kind"] == "Job" and one["object"]["metadata"]["name"] == name
    )  # fmt: skip
    then = whole_second(at)
    conditions = [{"type": kind, "status": "True", "reason": reason, "lastTransitionTime": then}]
    its = {"startTime": last["status"]["startTime"], **status, "conditions": conditions}
    world.watch.append(
        {"ns": ns(at), "type": "MODIFIED", "kind": "Job", "object": {**last, "status": its}}
    )


def pod(
    world: World, owner: str, name: str, *, mains: Sequence[Life], sidecars: Sequence[Life],
    told: Sequence[float] = (), over: float | None = None, index: str = "",
) -> None:  # fmt: skip
    """A pod of a Job. told: when the kubelet tells the mains to stop; a sidecar that ends behind
    a main is told by the kubelet, too, in the native pattern. over: when the pod has ended."""
    lives = {"app": mains, "sidecar": sidecars}
    ids = {which: [f"{next(_numbers):064x}" for _ in its] for which, its in lives.items()}
    world.index["pods"][name] = {
        "uid": f"uid-{name}", "name": name, "ip": "", "ips": [], "sandbox": "",
        "containers": {
            which: {"id": (its or [""])[-1], "ids": its, "image": "i", "image_id": "i"}
            for which, its in ids.items()
        },
    }  # fmt: skip
    for which, its in lives.items():
        for ident, (begin, end, code) in zip(ids[which], its, strict=True):
            world.created(begin, ident)
            if end is not None:
                world.exited(end, ident, code)
    for moment in told:
        world.signalled(moment, ids["app"][-1] if mains else ids["sidecar"][-1])
    last = max((end for _, end, _ in mains if end), default=None)
    if world.pattern == "native" and last is not None and sidecars[-1][1]:
        world.signalled(last + 0.1, ids["sidecar"][-1])
    _versions(world, owner, name, lives, over, index)


def whole_second(at: float) -> str:
    """A time as the API tells it."""
    return stamp_text(EPOCH + int(at) * 1_000_000_000, "T")[:19] + "Z"


def drop_job(world: World, name: str) -> None:
    """Forget a Job and its pods."""
    world.watch = [
        one for one in world.watch
        if not one["object"]["metadata"]["name"].startswith(name)
    ]  # fmt: skip


def _versions(
    world: World, owner: str, name: str, lives: dict[str, Sequence[Life]], over: float | None,
    index: str,
) -> None:  # fmt: skip
    sidecar: Json = {"name": "sidecar"}
    spec: Json = {"containers": [{"name": "app"}]}
    if world.pattern == "native":
        spec["initContainers"] = [{**sidecar, "restartPolicy": "Always"}]
    else:
        spec["containers"].append(sidecar)
    more: Json = {"ownerReferences": [{"kind": "Job", "name": owner}]}
    if index:
        more["annotations"] = {"batch.kubernetes.io/job-completion-index": index}
    begins = [begin for its in lives.values() for begin, _, _ in its]
    ends_ = [end for its in lives.values() for _, end, _ in its if end is not None]
    for at in sorted({*begins, *ends_}):
        init, main = (_state(which, lives[which], at) for which in ("sidecar", "app"))
        status: Json = {"phase": "Running", "containerStatuses": [main]}
        if world.pattern == "native":
            status["initContainerStatuses"] = [init]
        else:
            status["containerStatuses"].append(init)
        seen(world, at + 0.05, "Pod", name, spec, status, **more)
    if over is not None:
        seen(world, over, "Pod", name, spec, {**status, "phase": "Failed"}, **more)


def _state(name: str, its: Sequence[Life], at: float) -> Json:
    begun = [life for life in its if life[0] <= at]
    state: Json = {"waiting": {}}
    if begun:
        _, end, code = begun[-1]
        ended = end is not None and end <= at
        state = {"terminated": {"exitCode": code}} if ended else {"running": {}}
    return {"name": name, "restartCount": max(0, len(begun) - 1), "state": state}


# --- the courses of events ------------------------------------------------------------------------


def _world(pattern: str, scenario: str, subject: str) -> World:
    world = World(pattern, lifecycle.index(pattern, scenario, subject))
    world.index["cell"] |= {"sidecar": "fixture", "mode": "default"}
    world.index |= {"sidecars": ["sidecar"], "pods": {}}
    world.stamp(0.2, f"{subject}.app", "app.started")
    return world


def _failing(world: World, name: str, pods: Sequence[tuple[str, float, str]], native: bool) -> None:
    """A Job whose mains fail under Never. pods: name, when its main exits, its index."""
    spec: Json = {"backoffLimit": 1, "main": {"SC_EXIT_CODE": "42"}}
    if len(pods) > 1 and pods[1][1] < 10:
        spec |= {"parallelism": 2, "completions": 2}
    if pods[0][2]:
        spec["main"] = {"SC_EXIT_CODE": "42", "SC_FAIL_INDEX": "1"}
    job(world, 0, name, {"active": 2}, **spec)
    for its, exited, index in pods:
        code = 0 if index == "0" else 42
        if native:
            begin = exited - 3
            pod(
                world, name, its, mains=[(begin + 2, exited, code)],
                sidecars=[(begin, exited + 1.6, 0)], over=exited + 3, index=index,
            )  # fmt: skip
        elif exited < 10:
            _held(world, name, its, exited=exited, code=code, index=index)
    if native:
        ends(world, 24.0, name, "Failed", "BackoffLimitExceeded", failed=2)
    else:
        job(world, 24.0, name, {"failed": 1}, **spec)


def _under_on_failure(world: World, native: bool) -> None:
    same: Json = {"policy": "OnFailure", "main": {"SC_EXIT_CODE": "42"}}
    fails, completes = "restarts-and-fails", "restarts-and-completes"
    job(world, 0, fails, {"active": 1}, backoffLimit=1, **same)
    twice: list[Life] = [(2.0, 3.0, 42), (3.5, 4.5, 42)]
    pod(world, fails, f"{fails}-1", mains=twice, sidecars=[(1.0, 7.0, 0)])
    ends(world, 9.0, fails, "Failed", "BackoffLimitExceeded", failed=1)
    job(world, 0, completes, {"active": 1}, backoffLimit=3, **same)
    tries: list[Life] = [(2.0, 3.0, 42), (3.5, 4.5, 0)]
    if native:
        pod(world, completes, f"{completes}-1", mains=tries, sidecars=[(1.0, 6.1, 0)])
    else:
        _held(world, completes, f"{completes}-1", exited=4.5, code=0, mains=tries)
    ends(world, 8.0 if native else 24.0, completes, "Complete", "CompletionsReached", succeeded=1)


def _crashed(world: World, name: str, policy: str) -> None:
    job(world, 0, name, {"active": 1}, policy=policy, backoffLimit=1)
    pod(
        world, name, f"{name}-1",
        mains=[(2.0, 12.0, 0)], sidecars=[(0.5, 4.0, 137), (4.5, 13.6, 0)],
    )  # fmt: skip
    ends(world, 15.0, name, "Complete", "CompletionsReached", succeeded=1)


def _held(
    world: World, owner: str, name: str, *, exited: float, code: int, index: str = "",
    mains: Sequence[Life] = (),
) -> None:  # fmt: skip
    """A classic pod whose sidecar runs on, until it is told to quit."""
    its = mains or [(exited - 1, exited, code)]
    pod(world, owner, name, mains=its, sidecars=[(2.0, QUIT + 0.5, 0)], over=23.0, index=index)
    world.step(QUIT, "sidecar.quit-asked", pod=name, container="sidecar")


def _run(world: World, number: int, at: float) -> None:
    note = f"2026-11-22T21:0{number}:00Z"
    job(world, at, f"subject-{number}", {"active": 1}, owner="subject", note=note)


WORLDS = {
    "jobs": jobs, "cronjob": cronjob, "quota": quota, "deadline": deadline,
    "workarounds": workarounds, "webhook": webhook,
}  # fmt: skip
