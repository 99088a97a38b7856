"""What sidecars and clusters give, and what scenarios and behaviours need: the same words for both.

Standard library only (see sidecars).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Word(StrEnum):
    """A word with its sentence."""

    sentence: str

    def __new__(cls, word: str, sentence: str = "") -> Self:
        """A member with its sentence."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        return member


class Ability(_Word):
    """A word of a registration's ``gives`` and ``wants``, and of ``needs`` in the catalogue.

    sentence: what a sidecar that gives it does; its subject is the sidecar.
    conformance.sidecars.driver.PROTOCOLS names what its driver implements for it.
    """

    MESH = "mesh", "It carries the app's traffic, with mutual TLS."
    DISCOVERY = (
        "discovery",
        "It knows a Service's endpoints by itself, and does not wait for kube-proxy.",
    )
    UPGRADE = "upgrade", "A second control plane can stand beside the first."
    FLIP = "flip", "An upgrade can change its default pattern."
    OUTAGE = "outage", "A cell can have a control plane and an injector for itself, to lose them."
    ROTATION = "rotation", "Its certificates can be replaced while a cell is watched."
    DRAIN_HOOK = (
        "drain-hook",
        "It has a preStop hook of its own in the native pattern, and stamps it (sidecar.drain).",
    )
    QUIT_URL = "quit-url", "It ends by itself when a process of the pod asks it to by HTTP."
    CNI = "cni", "A CNI plugin can set its redirection, in place of an init container."
    DUAL = "dual", "It can carry IPv6 as it carries IPv4, and can be had without that."
    SPEC = "spec", "The suite writes its place in a pod, and can leave its probes out."
    AILS = "ails", "It can be made to fail its liveness probe."
    PLAIN = "plain", "It carries nothing, costs little, and fails in any way it is asked to."
    NETWORK = (
        "network",
        "It is the pods' network: no sidecar is in them, and it protects the way between nodes.",
    )
    LOGS = "logs", "It ships what the app writes to a file to a sink."


class Ground(_Word):
    """A word of a scenario's ``ground`` in the catalogue: what its cluster must give.

    A cluster that a run makes gives all of it. sentence: what one that does not give it lacks.
    """

    NODE = "node", "nothing can be done on its node"
    FILES = "files", "its pods share no folder with the run"
    CONTROLS = (
        "controls",
        "nodes and cluster-wide objects are left alone (--with-controls)",
    )
    PLANE = "plane", "the mesh that is installed there stays as it is"
    MADE = "made", "it takes a cluster that the run makes for it"
