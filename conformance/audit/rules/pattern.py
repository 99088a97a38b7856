"""Which pattern a sidecar has: classic, mixed, or one that its cluster cannot run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from conformance.audit import patch
from conformance.audit.document import mapping
from conformance.audit.rule import Hit, Rule, rule
from conformance.audit.subject import Subject
from conformance.audit.world import World

# What proves the hazard of a classic sidecar, by its kind: what the app loses first.
_PROOF: Mapping[str, str] = {
    "mesh": "stop.in-flight",
    "runtime": "stop.app-egress",
    "database": "stop.app-egress",
    "shipper": "logs.last",
    "telemetry": "stop.order",
}
_LOSES: Mapping[str, str] = {
    "mesh": "first requests and those in flight at the end are refused, or cross in clear",
    "runtime": "the app's first and last calls through it are refused",
    "database": "the app's first and last queries are refused",
    "secrets": "the app may start before what it is to read is there",
    "shipper": "the app's last lines are lost",
    "telemetry": "the app's last batch is lost",
    "storage": "the app may start before its files are there, and lose what it writes last",
}


@rule(
    Rule(
        id="classic-sidecar",
        title="A sidecar is a regular container: it starts and ends beside the app",
        level="warning",
        behaviour="start.order",
        see="kubectl get pod POD -o jsonpath='{.spec.initContainers[*].name} "
        "{.spec.containers[*].name}': a sidecar among the latter races the app at both ends.",
        repair="Make it an init container with restartPolicy: Always and a startupProbe.",
    )
)
def classic(subject: Subject, world: World) -> Iterator[Hit]:
    """Known sidecars among containers; Jobs and mixed pods have rules of their own."""
    if subject.is_job or subject.natives or not world_can(world):
        return
    for one in subject.classics:
        assert one.known is not None
        yield Hit(
            one.path,
            f"{one.name} ({one.known.id}) starts beside the app and is signalled with it: "
            f"{_LOSES[one.known.kind]}.",
            one.name,
            patch.native(subject, one),
            _PROOF.get(one.known.kind, ""),
        )


@rule(
    Rule(
        id="mixed-patterns",
        title="A native and a classic sidecar share a pod",
        level="warning",
        behaviour="mixed.order",
        see='kubectl get pod POD -o jsonpath=\'{.spec.initContainers[?(@.restartPolicy=="Always")]'
        ".name} | {.spec.containers[*].name}' tells them apart.",
        repair="Move the classic one into initContainers too, with restartPolicy: Always.",
    )
)
def mixed(subject: Subject, world: World) -> Iterator[Hit]:
    """A known classic sidecar beside any native one."""
    del world
    if subject.is_job:
        return
    for one in subject.classics if subject.natives else ():
        others = ", ".join(other.name for other in subject.natives)
        yield Hit(
            one.path,
            f"{one.name} is classic beside {others}: it is signalled with the app, and has no "
            "place in the order of the native ones.",
            one.name,
            patch.native(subject, one),
        )


@rule(
    Rule(
        id="native-on-an-old-cluster",
        title="A native sidecar is to run on a cluster that is too old for it",
        level="error",
        behaviour="move.old-cluster",
        see="kubectl get pod POD -o jsonpath='{.spec.initContainers[*].restartPolicy}' prints "
        "nothing although Always was sent, and the pod stays in Init.",
        repair="Upgrade the cluster to 1.29 or later, its kubelets too, or keep the classic "
        "pattern there.",
    )
)
def too_old(subject: Subject, world: World) -> Iterator[Hit]:
    """Below 1.29: the field is dropped (or alpha in 1.28, behind a gate that is off)."""
    if world_can(world):
        return
    for one in subject.natives:
        yield Hit(
            (*one.path, "restartPolicy"),
            f"{one.name} becomes an init container that never ends on 1.{world.k8s}, or the "
            "kubelet refuses the pod: native sidecars are on from 1.29.",
            one.name,
        )


@rule(
    Rule(
        id="restart-policy-on-a-container",
        title="restartPolicy: Always stands on a regular container, which makes it no sidecar",
        level="error",
        behaviour="see.any-restart-policy",
        see="kubectl get pods -o jsonpath='{range .items[*]}{.metadata.name}: "
        '{.spec.containers[?(@.restartPolicy)].name}{"\\n"}{end}\' lists them.',
        repair="Move the container into initContainers.",
    )
)
def not_a_sidecar(subject: Subject, world: World) -> Iterator[Hit]:
    """Before 1.35 the API refuses or drops it, from 1.35 on it is a container that restarts."""
    del world
    for one in subject.regular:
        if one.spec.get("restartPolicy") == "Always" and len(subject.regular) > 1:
            # What the patch says of a known sidecar holds for one that is declared as such.
            yield Hit(
                (*one.path, "restartPolicy"),
                f"{one.name} has restartPolicy: Always among containers: it starts and ends beside "
                "the others, and a Job's pod never completes.",
                one.name,
                patch.owned(subject, patch.to_init(subject, one)),
            )


@rule(
    Rule(
        id="asks-for-classic",
        title="A workload asks its injector for the classic pattern",
        level="warning",
        behaviour="stop.in-flight",
        see="kubectl get pod POD -o jsonpath='{.metadata.annotations}' shows the annotation, and "
        "{.spec.containers[*].name} the proxy among the app's containers.",
        repair="Ask for the native pattern, or take the annotation out.",
    )
)
def asks(subject: Subject, world: World) -> Iterator[Hit]:
    """The annotation says no in so many words, and the sidecar is still to come."""
    if subject.is_job or not world_can(world):
        return
    for injector in subject.asked:
        for classic in injector.classic:
            for name, value in classic.items():
                if subject.marks.get(name) == value:
                    metadata = mapping(subject.pod.get("metadata"))
                    where = "annotations" if name in mapping(metadata.get("annotations")) else ""
                    yield Hit(
                        (*subject.path, "metadata", where or "labels", name),
                        f"{name}: {value!r} asks for a classic {injector.sidecar} sidecar.",
                        patch=patch.annotated(subject, {name: "true"}),
                    )


def world_can(world: World) -> bool:
    """Whether the cluster can run native sidecars in their order (or nobody knows its version)."""
    return world.k8s is None or world.k8s >= 29
