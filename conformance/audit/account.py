"""What a pod counts for: its effective request, and what a tool counts that knows no sidecars.

The rule is Kubernetes' own (resource.PodRequests, 1.29 and later): containers and sidecars
together, or the largest init step on top of the sidecars before it, whichever is more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from kubernetes.utils import parse_quantity

from conformance.audit.document import mapping
from conformance.audit.subject import Container, Subject

RESOURCES = ("cpu", "memory", "pods")
Request = dict[str, float]


def quantity(value: object) -> float:
    """A Kubernetes quantity ("100m", "64Mi") as a number; 0 for what is none."""
    try:
        return float(parse_quantity(Decimal(str(value)) if isinstance(value, float) else value))
    except (ValueError, ArithmeticError, TypeError):
        return 0.0


def requests(container: Container) -> Mapping[str, float]:
    """What a container asks for; a limit without a request is one (the API server's default)."""
    resources = mapping(container.spec.get("resources"))
    limits, asked = mapping(resources.get("limits")), mapping(resources.get("requests"))
    return {name: quantity(asked.get(name, limits.get(name, 0))) for name in ("cpu", "memory")}


def effective(subject: Subject) -> Request:
    """What one pod of it counts for."""
    running = _sum(subject.regular)
    sidecars: Request = _sum(())
    most = _sum(())
    for one in subject.inits:
        step = requests(one)
        for name, value in step.items():
            most[name] = max(most[name], sidecars[name] + value)
            if one.native:
                sidecars[name] += value
    return {name: max(running[name] + sidecars[name], most[name]) for name in running} | {"pods": 1}


def naive(subject: Subject) -> Request:
    """What one pod of it counts for to whoever takes native sidecars for init containers."""
    running = _sum(subject.regular)
    most = {
        name: max((requests(one)[name] for one in subject.inits), default=0.0) for name in running
    }
    return {name: max(running[name], most[name]) for name in running} | {"pods": 1}


def pods(subject: Subject) -> int:
    """How many pods a workload has at once; 0 where only the cluster knows (DaemonSet)."""
    spec = mapping(subject.document.content.get("spec"))
    if subject.kind == "DaemonSet" or subject.kind == "PodTemplate":
        return 0
    if subject.is_job:
        job = subject.job
        parallel = _whole(job.get("parallelism"), 1)
        return min(parallel, _whole(job.get("completions"), parallel))
    return 1 if subject.kind == "Pod" else _whole(spec.get("replicas"), 1)


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _sum(containers: Iterable[Container]) -> Request:
    total = {"cpu": 0.0, "memory": 0.0}
    for one in containers:
        for name, value in requests(one).items():
            total[name] += value
    return total
