"""From facts to lines: what can be pulled, what would be built, what this machine can have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

from conformance.doctor.facts import LATE, Facts, Wanted
from conformance.doctor.line import Line
from conformance.doctor.packages import recent_go
from conformance.images.pull import classify, pulled_as, registry_of

Way = Literal["there", "pulled", "built", "refused", "unknown", "no"]
HUB = "Docker Hub"
_BASE_MINUTES = 2.0  # debootstrap, and the packages of each fixture


def lines(facts: Facts) -> Sequence[Line]:
    """Registries, versions of Kubernetes, sidecars, and how long building takes."""
    return [
        *_registries(facts),
        _kinds("Kubernetes", facts, facts.versions),
        _kinds("sidecars", facts, facts.sidecars),
        _building(facts),
    ]


def way(facts: Facts, wanted: Wanted) -> Way:
    """How this machine would get it."""
    if wanted.have:
        return "there"
    said = [_said(facts, reference) for reference in wanted.official]
    if wanted.official and all(one == "" for one in said):
        return "pulled"
    kinds = {classify(one) for one in said if one and one != LATE}
    if kinds & {"refused", "other"}:
        return "refused"
    if wanted.buildable and _can_build(facts, wanted):
        return "built"
    # No registry was asked, for no engine runs; or it was too slow for this look.
    return "unknown" if wanted.official and not kinds else "no"


def builds(facts: Facts) -> bool:
    """Whether a run would build a root file system from packages."""
    return any(way(facts, one) == "built" and one.official for one in (facts.base, *facts.versions))


def _said(facts: Facts, reference: str) -> str | None:
    return facts.registries.get(registry_of(pulled_as(reference)))


def _can_build(facts: Facts, wanted: Wanted) -> bool:
    """Whether what it takes is here: Go where something is compiled, root where a root file system
    is made, a base where it stands on one."""
    if wanted.compiled and not recent_go(facts.machine):
        return False
    if wanted == facts.base or wanted in facts.versions:
        return facts.machine.root
    return way(facts, facts.base) in ("there", "pulled", "built", "unknown")


def _registries(facts: Facts) -> Iterable[Line]:
    for registry, said in facts.registries.items():
        name = registry or HUB
        if not said:
            yield Line("registry", f"{name} answers")
            continue
        if said == LATE:
            do = "a run waits 20 s for it; pull one image by hand to see what it says"
            yield Line("registry", f"{name} was too slow for this look", "note", do)
            continue
        match classify(said):
            case "refused":
                do = (
                    "a run will stop at it: docker login, wait until its limit allows more, name a "
                    "mirror in the engine's settings, or IMAGES=build"
                )
                yield Line("registry", f"{name} refuses: {said}", "bad", do)
            case "absent":
                yield Line("registry", f"{name} has not what is wanted: {said}", "note")
            case "unreachable":
                yield Line("registry", f"{name} cannot be reached: {said}", "note", _instead(facts))
            case _:
                do = "set right what it complains about (docs/machines.md), or IMAGES=build"
                yield Line("registry", f"{name}: {said}", "bad", do)
    if not facts.registries and not facts.engine.answers:
        yield Line("registry", "not asked: it is the engine that pulls, and none runs")


def _instead(facts: Facts) -> str:
    if facts.machine.root and recent_go(facts.machine):
        return "what is missing is built from packages, or comes by images --load"
    return (
        "building needs root and Go: bring images by images --load, or name a mirror in the "
        "engine's settings"
    )


_WORDS: dict[Way, str] = {
    "there": "there",
    "pulled": "can be pulled",
    "built": "can be built here",
    "refused": "refused by the registry",
    "unknown": "not known",
    "no": "cannot be had",
}


def _kinds(what: str, facts: Facts, wanted: Sequence[Wanted]) -> Line:
    found = {one.name: way(facts, one) for one in wanted}
    told = [
        f"{word}: {', '.join(names)}"
        for kind, word in _WORDS.items()
        if (names := [name for name, which in found.items() if which == kind])
    ]
    seen = "; ".join(told)
    none = [one for one in wanted if found[one.name] in ("no", "refused")]
    if len(none) == len(wanted):
        do = "pull by hand, bring images by images --load, or be root with Go on PATH"
        return Line(what, seen, "bad", do)
    if none:
        images = ", ".join(dict.fromkeys(one.official[0] for one in none if one.official))
        return Line(what, seen, "note", f"their cells would be not-verified without {images}")
    if "unknown" in found.values():
        return Line(what, seen, "note", "ask again when an engine and its registry answer")
    return Line(what, seen)


def _building(facts: Facts) -> Line:
    built = [one for one in (facts.base, *facts.versions, *facts.sidecars) if _is_built(facts, one)]
    compiled = {what: minutes for one in built for what, minutes in one.compiled.items()}
    if any(one in facts.versions for one in built):
        compiled = {**facts.shared, **compiled}
    if facts.base in built:
        compiled = {"the base and the fixtures": _BASE_MINUTES, **compiled}
    if not compiled:
        return Line("to build", "nothing but fixtures, from Debian packages, where they changed")
    parts = []
    for minutes, group in groupby(compiled, lambda what: math.ceil(compiled[what])):
        names = list(group)
        parts.append(f"{', '.join(names)} ({minutes} min{' each' if len(names) > 1 else ''})")
    whole = math.ceil(sum(compiled.values()))
    return Line(
        "to build",
        f"{', '.join(parts)}; {whole} min in all, on idle processors; a run builds what it is "
        "asked for",
    )


def _is_built(facts: Facts, wanted: Wanted) -> bool:
    return way(facts, wanted) == "built"
