"""Puts pods of the user's own into the registry: what they are asked, and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conformance.plan.catalogue import behaviours
from conformance.plan.sidecars import REGISTRY, Registration
from conformance.sidecars.own.registering import ROWS, require_free
from conformance.sidecars.pods import file as pods_file
from conformance.sidecars.pods.file import Workload
from conformance.sidecars.pods.gates import gate_of

PACKAGE = "conformance.sidecars.pods"
# What each kind of workload is played as.
SCENARIOS: Mapping[str, tuple[str, ...]] = {
    "Pod": ("lifecycle", "crash"),
    "Deployment": ("lifecycle", "crash"),
    "Job": ("job", "cronjob", "quota"),
}


def register(path: Path, called: str = "") -> str:
    """Read a file and register its pods; their name. Raises UsageProblem: file, line, field."""
    workload = pods_file.read(path, called)
    require_free(workload.name, path, called)
    REGISTRY[workload.name] = Registration(
        name=workload.name,
        package=PACKAGE,
        folder=path.parent,
        modes=("default",),
        file=path.resolve(),
        rows=_rows(workload),
        without=_without(workload),
    )
    return workload.name


def _rows(workload: Workload) -> tuple[Path, ...]:
    names = ["classic"]
    its = workload.sidecar_containers
    if any("preStop" in (one.get("lifecycle") or {}) for one in its):
        names.append("hooked")
    regular = [one["name"] for one in workload.pod["spec"]["containers"]]
    if regular[0] != workload.app:
        names.append("before")
    return tuple(ROWS / f"{name}.toml" for name in names)


def _without(workload: Workload) -> Mapping[str, str]:
    """Behaviour → why it is not asked of these pods."""
    played = SCENARIOS[workload.kind]
    found = {
        id_: f"It is not about a {workload.kind}."
        for id_, one in behaviours().items()
        if not set(one.scenarios) & set(played)
    }
    if workload.own_image:
        for id_ in ("crash.window", "job.cronjob", "job.spillover"):
            found[id_] = "It needs an app that says what it does, or Jobs of the suite's own."
    if not gate_of(workload)[0]:
        found["start.order"] = (
            "No startupProbe of its sidecars is one that the evidence can show (httpGet, or exec "
            "of a single one without a postStart command)."
        )
        found["crash.window"] = "Nothing tells by HTTP, or by a command, that it is ready again."
    if len(workload.sidecars) > 1:
        for id_ in ("crash.window", "job.completes", "job.cronjob", "job.spillover"):
            found[id_] = "It is about one sidecar, which alone is made to end; there are several."
    return found
