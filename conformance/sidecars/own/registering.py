"""Puts a sidecar of the user's own into the registry: what its kind is asked, and what is expected.

What the pattern itself makes of any sidecar is expected of this one too. Whatever depends on what
nobody here knows (how long it drains, what its rules leave open) is measured in the control arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conformance.errors import UsageProblem
from conformance.plan.abilities import Ability
from conformance.plan.sidecars import REGISTRY, Registration
from conformance.sidecars.own import file as own_file
from conformance.sidecars.own.file import OwnSidecar

PACKAGE = "conformance.sidecars.own"
ROWS = Path(__file__).with_name("rows")

_NO_RECORDS = (
    "It needs the proxy's own records of its requests, and a file does not say how they read."
)
_OF_ITS_OWN = "It changes a setting of the shipper that a file does not name."


def register(path: Path, called: str = "") -> str:
    """Read a file and register its sidecar; its name. Raises UsageProblem: file, line, field."""
    own = own_file.read(path, called)
    require_free(own.name, path, called)
    REGISTRY[own.name] = Registration(
        name=own.name,
        package=PACKAGE,
        folder=path.parent,
        modes=("default",),
        gives=_gives(own),
        wants=(Ability.LOGS,) if own.kind == "log-shipper" else (),
        file=path.resolve(),
        rows=_rows(own),
        without=_without(own),
    )
    return own.name


def require_free(name: str, path: Path, called: str) -> None:
    """Raises UsageProblem when the name is the suite's own, or another file's."""
    have = REGISTRY.get(name)
    if have is None:
        return
    if have.file is None:
        raise UsageProblem(
            f"{called or path}: name is {name}, which is a sidecar of the suite's own; choose "
            "another name."
        )
    if have.file.read_bytes() != path.read_bytes():
        raise UsageProblem(
            f"{called or path}: name is {name}, as in {have.file}; give each file its own."
        )


def _gives(own: OwnSidecar) -> tuple[Ability, ...]:
    gives = [Ability.MESH] if own.kind == "mesh" else []
    if own.kind == "log-shipper":
        gives.append(Ability.LOGS)
    if own.quit.http and own.health:
        gives.append(Ability.QUIT_URL)
    return tuple(gives)


def _rows(own: OwnSidecar) -> tuple[Path, ...]:
    names = ["classic", own.kind]
    if "preStop" in (own.container.get("lifecycle") or {}):
        names.append("hooked")
    return tuple(file for name in names if (file := ROWS / f"{name}.toml").is_file())


def _without(own: OwnSidecar) -> Mapping[str, str]:
    """Behaviour → why it is not asked of this sidecar."""
    found: dict[str, str] = {}
    if not own.gate:
        probe = own.container.get("startupProbe")
        found["start.order"] = (
            "Its startupProbe is none that the evidence can show (httpGet, or exec without a "
            "postStart command)."
            if probe
            else "It has no startupProbe, so nothing tells the kubelet when it has started."
        )
    if own.gate != "exec" and own.health is None:
        found["crash.window"] = (
            "Nothing of it tells by HTTP, or by a command, that it is ready again."
        )
    if own.kind == "mesh":
        found["mutual.identity"] = _NO_RECORDS
    if own.kind == "log-shipper":
        for id_ in ("logs.health-gate", "logs.health-default", "logs.behind-mesh"):
            found[id_] = _OF_ITS_OWN
    return found
