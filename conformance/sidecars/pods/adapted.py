"""What becomes of a pod's spec where the cluster is another one, and the app another program.

Kept: every container in its place, its hooks, the timing of its probes, its resources and rights,
the grace period, the sidecars as a whole, and volumes that can be given. Whatever is changed is
named. Data in, data out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.sidecars.driver import Manifest, place
from conformance.sidecars.pods.file import APP, Workload

# Of the pod's spec: where it is to run, and as whom, is another cluster's business.
LEFT_OUT = (
    "affinity", "nodeName", "nodeSelector", "tolerations", "topologySpreadConstraints",
    "priorityClassName", "priority", "runtimeClassName", "schedulerName", "schedulingGates",
    "serviceAccount", "serviceAccountName", "imagePullSecrets", "preemptionPolicy", "hostIPC",
    "resourceClaims", "activeDeadlineSeconds", "readinessGates", "hostUsers",
)  # fmt: skip
GIVEN = ("emptyDir", "downwardAPI", "projected")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
ASKS = ("httpGet", "tcpSocket", "exec", "grpc")
READY = {"path": "/ready", "port": 8081}  # fixtures/app/subject.py
# The drain that the suite's app is told, in seconds: its own, or what a short grace period allows.
DRAIN, LEAST_DRAIN = 5.0, 1.5


@dataclass
class Changes:
    """What was changed, in words, once each."""

    said: list[str] = field(default_factory=list)

    def say(self, what: str) -> None:
        if what not in self.said:
            self.said.append(what)


def adapted(pod: Manifest, workload: Workload, pattern: str) -> tuple[Manifest, Sequence[str]]:
    """The suite's own pod (or template) as the workload's: its spec around the suite's app.

    pattern: as it is written, or the other one, to which its sidecars are moved. Returns the pod,
    and what was changed of the spec as it is written.
    """
    changes = Changes()
    spec = copy.deepcopy(workload.pod["spec"])
    (ours,) = (one for one in pod["spec"]["containers"] if one["name"] == APP)
    for name in LEFT_OUT:
        if spec.pop(name, None) is not None:
            changes.say(f"{name} left out")
    spec["initContainers"] = [
        _as_written(one, workload, changes)
        if one["name"] in workload.sidecars or workload.own_image
        else _nothing(one, changes)
        for one in spec.get("initContainers") or ()
    ]
    spec["containers"] = [
        _app(one, ours, workload, changes)
        if one["name"] == workload.app
        else _as_written(one, workload, changes)
        for one in spec["containers"]
    ]
    spec["volumes"] = [
        *(_volume(one, workload, changes) for one in spec.get("volumes") or ()),
        *pod["spec"]["volumes"],
    ]
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30  # Kubernetes' own default
    _shorten_drain(spec)
    for name in ("restartPolicy", "automountServiceAccountToken"):
        if name in pod["spec"]:
            spec[name] = pod["spec"][name]
    made = {**pod, "metadata": _metadata(pod, workload), "spec": _without_empty(spec)}
    if pattern != workload.pattern:
        made = _moved(made, workload, native=pattern == "native")
    return made, changes.said


def _moved(pod: Manifest, workload: Workload, *, native: bool) -> Manifest:
    """The pod with its sidecars in the other pattern: the control arm of what is written."""
    spec = dict(pod["spec"])
    found: dict[str, Manifest] = {}
    for group in ("initContainers", "containers"):
        mine = [one for one in spec.get(group) or () if one["name"] in workload.sidecars]
        found |= {one["name"]: one for one in mine}
        rest = [one for one in spec.get(group) or () if one not in mine]
        if group in spec:
            spec[group] = rest
    names = reversed(workload.sidecars) if native else workload.sidecars
    made: Manifest = {**pod, "spec": spec}
    for name in names:
        plain = {key: one for key, one in found[name].items() if key != "restartPolicy"}
        made = place(made, plain, native=native)
    return {**made, "spec": _without_empty(made["spec"])}


def _without_empty(spec: Manifest) -> Manifest:
    return {key: one for key, one in spec.items() if one != []}


def _metadata(pod: Manifest, workload: Workload) -> Manifest:
    """The workload's labels and annotations, and the suite's own above them."""
    theirs = workload.pod.get("metadata") or {}
    made = dict(pod.get("metadata") or {})
    for key in ("labels", "annotations"):
        if both := {**(theirs.get(key) or {}), **(made.get(key) or {})}:
            made[key] = both
    return made


def _app(theirs: Manifest, ours: Manifest, workload: Workload, changes: Changes) -> Manifest:
    """The suite's program where the app was: hooks, probes' timing, resources, rights stay."""
    if workload.own_image:
        changes.say(f"{theirs['name']}: called {APP}")
        return {**_as_written(theirs, workload, changes), "name": APP}
    changes.say(f"{theirs['name']}: the suite's program in the place of {theirs.get('image')}")
    kept: Manifest = {
        key: theirs[key]
        for key in ("lifecycle", "resources", "securityContext", "terminationMessagePolicy")
        if key in theirs
    }
    made = {**copy.deepcopy(ours), **copy.deepcopy(kept)}
    for name in PROBES:
        if name in theirs:
            made[name] = _asking_us(theirs[name], f"{theirs['name']}.{name}", changes)
    hook = (made.get("lifecycle") or {}).get("preStop") or {}
    if "httpGet" in hook:
        hook["httpGet"] = dict(READY)
        changes.say(f"{theirs['name']}.lifecycle.preStop asks the suite's program")
    mounts = [
        one for one in theirs.get("volumeMounts") or () if one.get("mountPath") != "/evidence"
    ]
    made["volumeMounts"] = [*made.get("volumeMounts", ()), *mounts]
    return made


def _asking_us(probe: Manifest, name: str, changes: Changes) -> Manifest:
    """The probe with its own timing, that asks what the suite's program answers."""
    changes.say(f"{name} asks the suite's program")
    timing = {key: value for key, value in probe.items() if key not in ASKS}
    return {**timing, "httpGet": dict(READY)}


def _as_written(theirs: Manifest, workload: Workload, changes: Changes) -> Manifest:
    """A container as it is written; what it reads from objects beyond the file is optional."""
    made = {**copy.deepcopy(theirs), "imagePullPolicy": "IfNotPresent"}
    for source in made.get("envFrom") or ():
        _optional(source, ("configMapRef", "secretRef"), workload, theirs["name"], changes)
    for variable in made.get("env") or ():
        refs = ("configMapKeyRef", "secretKeyRef")
        _optional(variable.get("valueFrom") or {}, refs, workload, theirs["name"], changes)
    return made


def _optional(
    source: Manifest, refs: Sequence[str], workload: Workload, name: str, changes: Changes
) -> None:
    for ref in refs:
        its = source.get(ref)
        if its and not _there(workload, its.get("name", "")):
            its["optional"] = True
            changes.say(f"{name}: {its.get('name')} is not in the file, and empty")


def _nothing(theirs: Manifest, changes: Changes) -> Manifest:
    """An init container that ends: what it prepares is for the app's own program."""
    changes.say(f"init container {theirs['name']}: ends at once")
    kept: Manifest = {key: theirs[key] for key in ("resources", "securityContext") if key in theirs}
    return {
        **copy.deepcopy(kept),
        "name": theirs["name"],
        "image": APP,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "exit 0"],
    }


def _volume(theirs: Manifest, workload: Workload, changes: Changes) -> Manifest:
    """A volume that can be given, or an empty one."""
    kind = next((key for key in theirs if key != "name"), "emptyDir")
    source: Any = theirs.get(kind) or {}
    name = {"configMap": source.get("name"), "secret": source.get("secretName")}.get(kind)
    if kind in GIVEN or (name and _there(workload, name)):
        return copy.deepcopy(theirs)
    changes.say(f"volume {theirs['name']} ({kind}): an empty folder")
    return {"name": theirs["name"], "emptyDir": {}}


def _there(workload: Workload, name: str) -> bool:
    """Whether an object of that name is in the file."""
    return any(one["metadata"]["name"] == name for one in workload.setup)


def _shorten_drain(spec: Manifest) -> None:
    """Tell the suite's app to drain for no longer than half of a short grace period."""
    drain = max(LEAST_DRAIN, min(DRAIN, spec["terminationGracePeriodSeconds"] / 2))
    for container in spec["containers"]:
        for variable in container.get("env") or ():
            if variable["name"] == "SC_DRAIN_SECONDS":
                variable["value"] = f"{drain:g}"
