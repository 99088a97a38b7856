"""How a pod ends: hooks, and the grace period."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from conformance.audit import hooks, known, patch
from conformance.audit.document import mapping
from conformance.audit.rule import Hit, Level, Rule, rule
from conformance.audit.subject import Container, Subject
from conformance.audit.world import World

SPARE = 15  # seconds that a mended grace period leaves beside what is known to be needed
DRAINS_ONE_SIDE = (1, 26)  # Istio: from here on its Envoy (1.34) drains the inbound side alone


@rule(
    Rule(
        id="pre-stop-takes-the-proxy",
        title="A native sidecar's preStop hook ends it when the deletion starts",
        level="error",
        behaviour="stop.stale-prestop-quit",
        see='kubectl get pod POD -o jsonpath=\'{range .spec.initContainers[*]}{.name}{" "}'
        '{.lifecycle.preStop}{"\\n"}{end}\' shows the hook; while the pod is Terminating its '
        "sidecar is already terminated, and the app's requests are refused.",
        repair="Take the hook out: the kubelet ends a native sidecar after the app.",
    )
)
def takes_proxy(subject: Subject, world: World) -> Iterator[Hit]:
    """Hooks run when the deletion starts, all at once; a hook that waits for the app is fine."""
    del world
    for one in subject.natives:
        quits = hooks.quits(one)
        if quits:
            sleeps = hooks.quits_then_sleeps(one)
            yield Hit(
                (*one.path, "lifecycle", "preStop"),
                f"{one.name} is told to end ({quits}) as soon as the pod is deleted, while the app "
                "still drains"
                + (": the sleep beside it does not bring it back." if sleeps else "."),
                one.name,
                _hookless(subject, one),
                "stop.stale-prestop-sleep" if sleeps else "",
            )


@rule(
    Rule(
        id="old-proxy-drains-both-sides",
        title="Istio's own preStop hook drains an Envoy that closes the app's connections too",
        level="warning",
        behaviour="stop.stale-prestop",
        source="istio/istio#51855",
        see="Answers with Connection: close to an app that goes on sending after its deletion "
        "(kubectl logs POD -c istio-proxy shows the response flags DC, UC or UF).",
        repair="Upgrade Istio to 1.26 or later (Envoy 1.34), or replace the hook: "
        "values.global.proxy.lifecycle.",
    )
)
def drains_both(subject: Subject, world: World) -> Iterator[Hit]:
    """Envoy before 1.34 (envoyproxy/envoy#35020), which Istio has before 1.26."""
    del world
    for one in subject.natives:
        release = known.minor(one.image)
        if hooks.drains(one) and release is not None and release < DRAINS_ONE_SIDE:
            yield Hit(
                (*one.path, "lifecycle", "preStop"),
                f"{one.name} of Istio {release[0]}.{release[1]} drains when the deletion starts, "
                "the app's own connections included.",
                one.name,
                _hookless(subject, one),
            )


@rule(
    Rule(
        id="grace-period-too-short",
        title="The grace period is shorter than what the pod's containers take to end",
        level="warning",
        behaviour="stop.short-grace",
        see="kubectl get events --field-selector reason=FailedPreStopHook; exit code 137 of app or "
        "sidecar while the pod ends.",
        repair="Raise terminationGracePeriodSeconds above the app's longest hook, plus its drain, "
        "plus the sidecars' own drains.",
    )
)
def short_grace(subject: Subject, world: World) -> Iterator[Hit]:
    """All hooks begin at once; a native sidecar's own drain begins when the app has ended."""
    del world
    if not subject.has_sidecar:
        return
    apps = [(one, hooks.ending(one)) for one in subject.regular]
    natives = [(one, hooks.ending(one)) for one in subject.natives]
    sure = max((end.sure for _, end in (*apps, *natives)), default=0.0)
    drain = max((end.sure + end.most for _, end in apps), default=0.0)
    after = sum(max(end.most, _default(one)) for one, end in natives)
    likely = max(drain + after, sure, *_asked(subject))
    needed, level = _judged(subject.grace, sure, likely)
    if level is None:
        return
    starved = drain < subject.grace and after > 0 and sure < subject.grace
    yield Hit(
        _where(subject, [*apps, *natives]),
        f"{_told(subject, [*apps, *natives])}: some {needed:g} s in all, and the grace period is "
        f"{subject.grace:g} s. What is left then is killed 2 s later.",
        patch=patch.owned(
            subject,
            patch.put(
                subject.document,
                (*subject.spec_path, "terminationGracePeriodSeconds"),
                math.ceil(max(needed, likely)) + SPARE,
            ),
        ),
        behaviour="logs.starved" if starved and _ships(subject) else "",
        level=level,
    )


def _judged(grace: float, sure: float, likely: float) -> tuple[float, Level | None]:
    if sure >= grace:
        return sure, "error"
    return likely, "warning" if likely > grace else None


def _default(container: Container) -> float:
    return container.known.drain if container.known else 0.0


def _asked(subject: Subject) -> list[float]:
    """What annotations ask for, where the pattern is not known to be native: there they are not
    heeded."""
    if any(one.known and one.known.kind == "mesh" for one in subject.natives):
        return []
    return [seconds for seconds, _ in hooks.asked_drains(subject)]


def _ships(subject: Subject) -> bool:
    return any(one.known and one.known.kind == "shipper" for one in subject.natives)


def _where(
    subject: Subject, ends: Sequence[tuple[Container, hooks.Ending]]
) -> tuple[str | int, ...]:
    if "terminationGracePeriodSeconds" in subject.spec:
        return (*subject.spec_path, "terminationGracePeriodSeconds")
    _, longest = max(ends, key=lambda end: end[1].sure + end[1].most)
    return longest.path


def _told(subject: Subject, ends: Sequence[tuple[Container, hooks.Ending]]) -> str:
    said = [f"{one.name}: {end.what}" for one, end in ends if end.what]
    said += [f"{name} asks for {seconds:g} s" for seconds, name in hooks.asked_drains(subject)]
    said += [
        f"{one.name} takes up to {one.known.drain:g} s to send what it has"
        for one in subject.natives
        if one.known and one.known.drain
    ]
    return "; ".join(said) or "Hooks and drains"


def _hookless(subject: Subject, container: Container) -> patch.Patch | None:
    lifecycle = mapping(container.spec.get("lifecycle"))
    path = (*container.path, "lifecycle")
    whole = path if len(lifecycle) == 1 else (*path, "preStop")
    return patch.owned(subject, patch.without(subject.document, whole))
