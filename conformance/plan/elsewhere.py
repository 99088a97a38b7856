"""What a run asks of a cluster that the suite did not make, and what it leaves alone there.

Standard library only (see check).
"""

from __future__ import annotations

from collections.abc import Mapping

from conformance.errors import UsageProblem
from conformance.model import Cell
from conformance.plan import selection as choices
from conformance.plan.abilities import Ground
from conformance.plan.catalogue import scenarios
from conformance.plan.sidecars import REGISTRY

AGENTS = ("auto", "none")
SIDECARS = ("fixture", "istio", "linkerd")
"""Those of a run that names none: what needs no mesh, and the meshes that may be there."""


def defaults(text: Mapping[str, str | None], *, controls: bool) -> Mapping[str, str]:
    """What the options mean there that were left out.

    The classic pattern is the control arm, and a control mode leaks by design: without ``controls``
    only who asks for them by name gets them.
    """
    made = {}
    if all(text.get(name) is None for name in choices.ABOUT):
        made = {"sidecar": ",".join(SIDECARS), "level": text.get("level") or choices.DEFAULT_LEVEL}
    if not controls:
        made["without_controls"] = "yes"
        if text.get("pattern") is None:
            made["pattern"] = "native"
    return made


def lacking(cell: Cell, lacks: Mapping[str, str]) -> str:
    """Why a cell cannot be played on a cluster that lacks these things; "" where it can.

    lacks: word of Ground → what the cluster said of it, or "".
    """
    words = scenarios()[cell.scenario].ground.split()
    if {cell.scenario, cell.mode} & set(REGISTRY[cell.sidecar].alone):
        words.append(Ground.PLANE)  # its one control plane would be set otherwise
    for word in words:
        if word in lacks:
            return f"not verified on this cluster: {lacks[word] or Ground(word).sentence}"
    return ""


def only(minor: str, asked: str | None) -> str:
    """The version of a cluster that is there. Raises UsageProblem where another one is asked for.

    minor: "1.33".
    """
    if asked is not None and asked != minor:
        raise UsageProblem(
            f"K8S={asked} is not what the cluster has, Kubernetes {minor}; leave K8S out."
        )
    return minor
