"""The registry of sidecar drivers: one line for each. Standard library only, so that options can be
checked before anything is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Registration:
    """What the plan must know of a driver without importing it.

    module: holds a class ``Driver`` (see conformance.sidecars.driver).
    modes: its variants, the default first. patterns: those it has. only: mode → the patterns in
    which it means anything, where that is not all of them. controls: modes that break promises by
    design, to prove that the judges can see. check: "module:function" that raises
    UsageProblem when the environment asks for what cannot be; standard library only, too.
    gives: what some scenarios need: "mesh" (it carries the app's traffic, with mutual TLS),
    "discovery" (it knows a Service's endpoints by itself, and does
    not wait for kube-proxy), "upgrade" (a second control plane beside the first), "drain-hook" (a
    preStop hook of its own in the native pattern, of which it tells by a stamp sidecar.drain),
    "rotation" (certificates that are replaced while a cell is watched), "outage" (a control plane
    and an injector of the cell's own, to be taken down), "flip" (a next control plane with another
    default pattern),
    "spec" (the suite writes its place in a pod itself, and can leave its probes out), "plain" (it
    carries nothing and costs little, and does wrong what it is asked to: fixtures/app/sidecar.py),
    "quit-url" (a request from inside the pod makes it end: Facts.quit_url),
    "logs" (it ships what the app writes to a file to the sink), "ails" (it can be made to fail its
    liveness probe), "cni" (a CNI plugin can set its redirection, in place of an init container).
    wants: what a scenario must need to mean anything for it.
    """

    name: str
    module: str
    modes: tuple[str, ...]
    patterns: tuple[str, ...] = ("classic", "native")
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    check: str = ""
    gives: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()

    def can(self, needs: str) -> bool:
        """Whether it gives all that is needed (words)."""
        return set(needs.split()) <= set(self.gives)

    def meant_by(self, needs: str) -> bool:
        """Whether a scenario with these needs (words) can be for it."""
        return self.can(needs) and set(self.wants) <= set(needs.split())

    def has(self, mode: str, pattern: str) -> bool:
        """Whether the sidecar can be had like this."""
        return pattern in self.only.get(mode, self.patterns) and pattern in self.patterns


REGISTRY = {
    entry.name: entry
    for entry in (
        Registration(
            "envoy",
            "conformance.sidecars.envoy.driver",
            ("init-rules", "sidecar-rules", "fallback"),
            gives=("mesh", "spec", "quit-url", "ails", "cni"),
        ),
        Registration(
            "fixture",
            "conformance.sidecars.fixture",
            ("default",),
            gives=("spec", "plain", "quit-url", "ails"),
        ),
        Registration(
            "otel-collector",
            "conformance.sidecars.shippers.otel_collector",
            ("default", "busy", "durable", "lazy"),
            gives=("logs",),
            wants=("logs",),
        ),
        Registration(
            "fluent-bit",
            "conformance.sidecars.shippers.fluent_bit",
            ("default", "busy", "durable", "lazy"),
            gives=("logs",),
            wants=("logs",),
        ),
        Registration(
            "istio",
            "conformance.sidecars.istio.driver",
            ("default", "hold", "exit-on-zero", "excluded", "excluded-user"),
            only={"hold": ("classic",), "exit-on-zero": ("classic",)},
            controls=("excluded", "excluded-user"),
            check="conformance.sidecars.istio.release:check",
            gives=(
                "mesh",
                "discovery",
                "upgrade",
                "drain-hook",
                "rotation",
                "outage",
                "flip",
                "quit-url",
            ),
        ),
    )
}
