"""A sidecar of the user's own, as its one file says it (docs/own.md): read, and checked.

Placeholders stand for what differs between cells: ${NAMESPACE}, the cell's namespace, and ${ROLE},
the pod's part in it (subject, or peer in a mesh).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic
from kubernetes import client as k8s

from conformance.plan.spelling import did_you_mean
from conformance.sidecars.driver import Manifest
from conformance.sidecars.manifests import in_every_text
from conformance.sidecars.written import document as written
from conformance.sidecars.written import shape
from conformance.sidecars.written.document import Document

Kind = Literal["plain", "mesh", "log-shipper"]
Port = pydantic.conint(strict=True, ge=1, le=65535)
_STRICT = pydantic.ConfigDict(extra="forbid")

NAME = re.compile(r"[a-z]([-a-z0-9]{0,18}[a-z0-9])?")
"""A cell's namespace is <sidecar>-<pattern>-<mode>-<scenario>, and may have 63 characters."""
TAKEN = ("app", "rules")
PLACEHOLDER = re.compile(r"\$\{(NAMESPACE|ROLE)\}")
SIGNALS = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"]
# What a namespace can hold without a word of the cluster's administrator.
SETUP_KINDS = {
    "ConfigMap": k8s.V1ConfigMap,
    "Secret": k8s.V1Secret,
    "Service": k8s.V1Service,
    "ServiceAccount": k8s.V1ServiceAccount,
    "PersistentVolumeClaim": k8s.V1PersistentVolumeClaim,
    "Role": k8s.V1Role,
    "RoleBinding": k8s.V1RoleBinding,
    "NetworkPolicy": k8s.V1NetworkPolicy,
    "Pod": k8s.V1Pod,
    "Deployment": k8s.V1Deployment,
    "StatefulSet": k8s.V1StatefulSet,
}


class Http(pydantic.BaseModel):
    """A POST from within the pod."""

    model_config = _STRICT
    port: Port  # type: ignore[valid-type]
    path: str = "/"


class Quit(pydantic.BaseModel):
    """What makes the sidecar end by itself: one of the three."""

    model_config = _STRICT
    http: Http | None = None
    signal: SIGNALS | None = None
    exec: list[str] | None = None


class Health(pydantic.BaseModel):
    """Where the sidecar tells of its readiness, when that is not where its startupProbe asks."""

    model_config = _STRICT
    port: Port  # type: ignore[valid-type]
    path: str = "/"


class Redirection(pydantic.BaseModel):
    """The suite redirects the pod's TCP to these ports, and leaves this user's traffic alone."""

    model_config = _STRICT
    inbound: Port  # type: ignore[valid-type]
    outbound: Port  # type: ignore[valid-type]
    user: pydantic.conint(strict=True, ge=0) = 1337  # type: ignore[valid-type]


class Sink(pydantic.BaseModel):
    """The Service to which the shipper delivers: the suite's sink is put under its name."""

    model_config = _STRICT
    service: str = "sink"
    port: Port = 8080  # type: ignore[valid-type]


class Logs(pydantic.BaseModel):
    """mountPath: where the app's log folder is in the shipper's container (the file: app.log)."""

    model_config = _STRICT
    mountPath: str
    deliversTo: Sink = Sink()


class Written(pydantic.BaseModel):
    """The file as it is written."""

    model_config = _STRICT
    name: str
    kind: Kind
    container: k8s.V1Container
    about: str = ""
    initContainers: list[k8s.V1Container] = []
    volumes: list[k8s.V1Volume] = []
    setup: list[dict[str, Any]] = []
    quit: Quit | None = None
    health: Health | None = None
    redirection: Redirection | None = None
    certificates: str | None = None
    drainSeconds: pydantic.confloat(ge=0, le=300) = 0  # type: ignore[valid-type]
    logs: Logs | None = None


@dataclass(frozen=True)
class OwnSidecar:
    """A checked file. All parts are as the user wrote them, placeholders too.

    health: port and path of what tells of its readiness by HTTP; None where nothing does.
    gate: by what the kubelet learns that it has started: "http", "exec", or "" for nothing that
    the evidence can show.
    """

    name: str
    kind: Kind
    container: Manifest
    about: str
    init_containers: Sequence[Manifest]
    volumes: Sequence[Manifest]
    setup: Sequence[Manifest]
    quit: Quit
    health: tuple[int, str] | None
    gate: str
    redirection: Redirection | None
    certificates: str
    drain_seconds: float
    logs: Logs | None

    def filled(self, part: Any, namespace: str, role: str) -> Any:
        """A part with its placeholders filled in."""
        values = {"NAMESPACE": namespace, "ROLE": role}
        return in_every_text(part, lambda text: PLACEHOLDER.sub(lambda one: values[one[1]], text))

    @property
    def images(self) -> Sequence[str]:
        """Every image that its pods and its set-up name, once each."""
        pods = [one for one in self.setup if one["kind"] in ("Pod", "Deployment", "StatefulSet")]
        return tuple(dict.fromkeys(_images([self.container, *self.init_containers, *pods])))


def read(path: Path, called: str = "") -> OwnSidecar:
    """Read a file. called: as the user named it. Raises UsageProblem: file, line, field."""
    first, *others = written.read(path, called)
    if others:
        raise others[0].problem((), "is a second document; a sidecar's file has one")
    if not isinstance(first.content, dict):
        raise first.problem((), "is no mapping; docs/own.md has an example")
    content = dict(first.content)
    container = content.get("container")
    if isinstance(container, dict) and "name" not in container and "name" in content:
        content["container"] = {"name": content["name"], **container}
    shape.hold(first, Written, content)
    _check(first, content)
    return _made(content)


def _made(content: Mapping[str, Any]) -> OwnSidecar:
    of_kubernetes = {"container": {"name": "-"}, "initContainers": [], "volumes": [], "setup": []}
    said = Written.model_validate({**content, **of_kubernetes})
    container = content["container"]
    health, gate = _health(said.health, container)
    return OwnSidecar(
        name=said.name,
        kind=said.kind,
        container=container,
        about=said.about,
        init_containers=tuple(content.get("initContainers") or ()),
        volumes=tuple(content.get("volumes") or ()),
        setup=tuple(content.get("setup") or ()),
        quit=said.quit or Quit(),
        health=health,
        gate=gate,
        redirection=said.redirection,
        certificates=said.certificates or "",
        drain_seconds=float(said.drainSeconds),
        logs=said.logs,
    )


def _health(said: Health | None, container: Manifest) -> tuple[tuple[int, str] | None, str]:
    """Where it is asked for its readiness, and by what the kubelet is."""
    startup = container.get("startupProbe") or {}
    hooked = "exec" in ((container.get("lifecycle") or {}).get("postStart") or {})
    gate = "http" if "httpGet" in startup else "exec" if "exec" in startup and not hooked else ""
    if said is not None:
        return (said.port, said.path), gate
    for probe in (startup, container.get("readinessProbe") or {}):
        if asked := probe.get("httpGet"):
            return (port_number(container, asked["port"]), asked.get("path", "/")), gate
    return None, gate


def port_number(container: Manifest, port: int | str) -> int:
    """A probe's port as a number; 0 for a name that no port of the container has."""
    if isinstance(port, int):
        return port
    named = {one.get("name"): one["containerPort"] for one in container.get("ports") or ()}
    return int(named.get(port, 0))


def _check(document: Document, content: Mapping[str, Any]) -> None:
    """What no field says by itself. Raises UsageProblem."""
    name, kind = content["name"], content["kind"]
    if not NAME.fullmatch(name):
        raise document.problem(
            ("name",),
            f"is {name!r}, and must be lower-case letters, digits and -, 20 at most",
        )
    _check_container(document, content["container"], ("container",))
    for place, one in enumerate(content.get("initContainers") or ()):
        _check_container(document, one, ("initContainers", place))
    _check_quit(document, content)
    _check_kind(document, content, kind)
    for place, one in enumerate(content.get("setup") or ()):
        _check_setup(document, one, ("setup", place))


def _check_container(document: Document, container: Manifest, place: tuple[str | int, ...]) -> None:
    if not container.get("image"):
        raise document.problem((*place, "image"), "is missing")
    if container["name"] in TAKEN:
        raise document.problem(
            (*place, "name"), f"is {container['name']}, a container of the suite's"
        )
    if "restartPolicy" in container:
        raise document.problem(
            (*place, "restartPolicy"), "is what the suite sets: it places the sidecar both ways"
        )
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = (container.get(name) or {}).get("httpGet")
        if asked and not port_number(container, asked["port"]):
            raise document.problem(
                (*place, name, "httpGet", "port"),
                f"is {asked['port']!r}, and no port of the container is called so",
            )


def _check_quit(document: Document, content: Mapping[str, Any]) -> None:
    ways = [name for name, way in (content.get("quit") or {}).items() if way is not None]
    if "quit" in content and len(ways) != 1:
        raise document.problem(("quit",), "names one of http, signal and exec")


def _check_kind(document: Document, content: Mapping[str, Any], kind: str) -> None:
    probe = content["container"].get("startupProbe") or {}
    if kind == "mesh" and "health" not in content and "httpGet" not in probe:
        raise document.problem(
            ("health",),
            "is missing: a mesh says by HTTP that it is ready (here, or startupProbe)",
        )
    if kind == "log-shipper" and "logs" not in content:
        raise document.problem(("logs",), "is missing: a log shipper reads the app's logs")
    meanings = {"redirection": "mesh", "certificates": "mesh", "logs": "log-shipper"}
    for word, wanted in meanings.items():
        if word in content and kind != wanted:
            raise document.problem((word,), f"means nothing for kind {kind}, but for {wanted}")


def _check_setup(document: Document, thing: Manifest, place: tuple[str | int, ...]) -> None:
    kind = thing.get("kind")
    if not isinstance(kind, str) or kind not in SETUP_KINDS:
        near = did_you_mean(str(kind), SETUP_KINDS).rstrip("?")
        raise document.problem(
            (*place, "kind"),
            f"is {kind!r}{near or ', and may be ' + ', '.join(SETUP_KINDS)}",
        )
    shape.hold(document, SETUP_KINDS[kind], thing, place)
    if (thing.get("metadata") or {}).get("namespace"):
        raise document.problem(
            (*place, "metadata", "namespace"), "is what the suite sets: each cell has its own"
        )
    if not thing.get("apiVersion"):
        raise document.problem((*place, "apiVersion"), "is missing")
    if not (thing.get("metadata") or {}).get("name"):
        raise document.problem((*place, "metadata"), "has no name")


def _images(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["image"]] if isinstance(value.get("image"), str) else []
        return own + [one for item in value.values() for one in _images(item)]
    if isinstance(value, list):
        return [one for item in value for one in _images(item)]
    return []
