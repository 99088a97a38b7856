"""What sidecars count for: quotas, and the quality of service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conformance.audit import account, patch
from conformance.audit.document import Document, mapping
from conformance.audit.rule import Hit, Rule, rule, whole_rule
from conformance.audit.subject import Container, Subject
from conformance.audit.world import Need, Tally, World

NEAR = 0.9  # of a quota
_STORAGE = 37  # the minor from which a sidecar's limit counts (kubernetes#138462)
ROOM = 0.75  # of a mended quota is used
# The names that a quota may have for what is counted.
_HARD: Mapping[str, str] = {
    "requests.cpu": "cpu",
    "cpu": "cpu",
    "requests.memory": "memory",
    "memory": "memory",
    "pods": "pods",
    "count/pods": "pods",
}


@whole_rule(
    Rule(
        id="quota-near-the-spillover",
        title="A quota is nearly used up, native sidecars counted",
        level="warning",
        behaviour="account.requests",
        see="kubectl describe quota -n NAMESPACE: a pod counts with the sum of its containers and "
        "sidecars; the next one is refused (exceeded quota).",
        repair="Raise the quota, or lower the sidecars' requests.",
    )
)
def near(tally: Tally, world: World) -> Iterator[Hit]:
    """Only where sidecars are part of it; else it is not this audit's."""
    for space, need in tally.needs.items():
        if not need.sidecars:
            continue
        for quota in world.quotas.get(space, ()):
            for name, hard, used in _used(quota, need, live=world.live):
                if used < NEAR * hard:
                    continue
                without = need.naive[_HARD[name]]
                hidden = not world.live and used > hard >= without
                path = ("spec", "hard", name)
                yield Hit(
                    path,
                    f"{name}: {_plain(name, used)} of {_plain(name, hard)} are asked for"
                    + (
                        f", and only {_plain(name, without)} by a count that leaves native "
                        "sidecars out: the last pods are refused."
                        if hidden
                        else f" ({used / hard:.0%})."
                    ),
                    patch=patch.put(quota, path, _plain(name, used / ROOM)),
                    level="error" if used > hard else None,
                    document=quota,
                )


@whole_rule(
    Rule(
        id="jobs-fill-the-quota",
        title="Jobs with classic sidecars fill a quota: the next Job is refused",
        level="error",
        behaviour="job.spillover",
        see="kubectl describe quota: pods are used up by Jobs whose main containers have ended "
        "(kubectl get pods shows NotReady, 1/2).",
        repair="Make the sidecars native; until then set activeDeadlineSeconds on every Job.",
    )
)
def spillover(tally: Tally, world: World) -> Iterator[Hit]:
    """Each run stays, and counts."""
    for space, need in tally.needs.items():
        for quota in world.quotas.get(space, ()):
            hard = mapping(mapping(quota.content.get("spec")).get("hard"))
            counted = [name for name in hard if name in _HARD]
            for subject in need.classic_jobs if counted else ():
                sidecar = subject.classics[0]
                yield Hit(
                    sidecar.path,
                    f"Each run leaves a pod that never ends, because of {sidecar.name}; quota "
                    f"{quota.name} ({counted[0]}: {hard[counted[0]]}) is full one day.",
                    sidecar.name,
                    patch.native(subject, sidecar),
                    document=subject.document,
                )


@rule(
    Rule(
        id="sidecar-lowers-quality-of-service",
        title="A sidecar without limits equal to its requests makes a Guaranteed pod Burstable",
        level="note",
        behaviour="account.qos",
        see="kubectl get pod POD -o jsonpath='{.status.qosClass}' says Burstable.",
        repair="Give the sidecar limits that equal its requests, for CPU and memory.",
    )
)
def quality(subject: Subject, world: World) -> Iterator[Hit]:
    """Only where the app by itself is Guaranteed."""
    del world
    if not subject.apps or not all(_guaranteed(one) for one in subject.apps):
        return
    for one in (*subject.natives, *subject.classics):
        if _guaranteed(one):
            continue
        resources = mapping(one.spec.get("resources"))
        asked = {**mapping(resources.get("limits")), **mapping(resources.get("requests"))}
        equal = {"cpu": asked.get("cpu", "100m"), "memory": asked.get("memory", "128Mi")}
        path = (*one.path, "resources")
        mended = {**resources, "requests": equal, "limits": equal}
        yield Hit(
            path,
            f"The app asks to be Guaranteed, and {one.name} makes its pod Burstable.",
            one.name,
            patch.owned(subject, patch.put(subject.document, path, mended)),
        )


@rule(
    Rule(
        id="storage-limit-of-a-sidecar",
        title="A native sidecar's ephemeral-storage limit is not enforced",
        level="note",
        behaviour="",
        source="kubernetes/kubernetes#138371",
        see="A node under disk pressure, and no eviction that names the sidecar.",
        repair="Upgrade to Kubernetes 1.37, or let it write to an emptyDir with a sizeLimit.",
    )
)
def storage(subject: Subject, world: World) -> Iterator[Hit]:
    """Before 1.37 the kubelet builds its limits from regular containers alone."""
    if not world.older_than(_STORAGE):
        return
    for one in subject.natives:
        limits = mapping(mapping(one.spec.get("resources")).get("limits"))
        if "ephemeral-storage" in limits:
            yield Hit(
                (*one.path, "resources", "limits", "ephemeral-storage"),
                f"{one.name} may write more than {limits['ephemeral-storage']} and is not evicted.",
                one.name,
            )


def _guaranteed(container: Container) -> bool:
    resources = mapping(container.spec.get("resources"))
    limits, asked = mapping(resources.get("limits")), mapping(resources.get("requests"))
    return all(
        name in limits
        and account.quantity(asked.get(name, limits[name])) == account.quantity(limits[name])
        for name in ("cpu", "memory")
    )


def _used(quota: Document, need: Need, *, live: bool) -> Iterator[tuple[str, float, float]]:
    """What a quota names that is counted here: the name, what it allows, and what is used."""
    hard = mapping(mapping(quota.content.get("spec")).get("hard"))
    told = mapping(mapping(quota.content.get("status")).get("used"))
    for name, value in hard.items():
        if name not in _HARD or (_HARD[name] == "pods" and not live):
            continue
        allowed = account.quantity(value)
        if allowed:
            used = account.quantity(told.get(name, 0)) if live else need.right[_HARD[name]]
            yield name, allowed, used


def _plain(name: str, value: float) -> str:
    """A quantity as it is written: milli-CPUs, Mi, a number."""
    resource = _HARD[name]
    if resource == "cpu":
        return f"{value * 1000:.0f}m"
    return f"{value / 2**20:.0f}Mi" if resource == "memory" else f"{value:.0f}"
