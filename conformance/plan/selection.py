"""Checks what the user asked for, before anything is installed or created.

Standard library only: see plan/check, which make runs before there is an environment.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.errors import UsageProblem
from conformance.machine.paths import KIND_CONFIGS, is_patch, kind_config
from conformance.plan import own
from conformance.plan.catalogue import behaviours, scenarios
from conformance.plan.sidecars import REFUSED, REGISTRY, SIDECARLESS, WITH_SIDECAR, Registration
from conformance.plan.spelling import did_you_mean, matching

DEFAULT_K8S = ("1.29", "1.33", "newest")
# Every sidecar of people's own, the quickest to be had first; "fixture" carries nothing.
DEFAULT_SIDECARS = ("envoy", "fluent-bit", "otel-collector", "linkerd", "istio")
PATTERNS = (*WITH_SIDECAR, SIDECARLESS)
IMAGES = ("auto", "pull", "build")
LEVELS = ("core", "extended")
DEFAULT_LEVEL = "core"  # of a run that names nothing that it is about
ABOUT = (
    "sidecar",
    "sidecar_file",
    "pods",
    "mode",
    "scenario",
    "behaviour",
)  # options that name that
TAKE_AWAY = ("beacon", "capture", "sidecar")
MOST_TURNS = 1000
MOST_NODES = 4
LONG = 60  # valid values that a sentence can name; of more it names the first ones


@dataclass(frozen=True)
class Selection:
    """A valid choice. Every tuple is in the suite's own order and without duplicates.

    repeat: how many times each cell is played. nodes: how many each cluster has at least.
    versions: sidecar → the version that was asked for.
    whatever: nobody named the sidecars: they are those that this machine can have.
    """

    k8s: tuple[str, ...]
    sidecars: tuple[str, ...]
    patterns: tuple[str, ...]
    modes: tuple[str, ...]
    scenarios: tuple[str, ...]
    behaviours: tuple[str, ...]
    repeat: int = 1
    nodes: int = 1
    versions: Mapping[str, str] = field(default_factory=dict)
    whatever: bool = False


def known_k8s() -> tuple[str, ...]:
    """The Kubernetes versions that have a kind config, oldest first."""
    names = [path.stem.removeprefix("v") for path in KIND_CONFIGS.glob("v*.yaml")]
    return tuple(sorted(names, key=version_order))


def version_order(k8s: str) -> tuple[int, int, bool, str]:
    """Sorts versions, oldest first: a minor, its patches, its variants ("1.28-nogate")."""
    patch = int(k8s.split(".")[2].partition("-")[0]) if is_patch(k8s) else -1
    variant = "-" in k8s and not is_patch(k8s)
    return minor_number(k8s), 1 << 31 if variant else patch, "-" not in k8s, k8s


def minor_number(k8s: str) -> int:
    """28 for "1.28" and for "1.28-nogate"."""
    match = re.match(r"1\.(\d+)", k8s)
    return int(match.group(1)) if match else 0


def select(given: Mapping[str, str | None]) -> Selection:
    """The selection that the options ask for; an absent option (None) means its default.

    given: option name (k8s, sidecar, pattern, mode, scenario, behaviour, level) → comma-separated
    values or globs; sidecar_file, pods → files; repeat, nodes → a number.
    Raises UsageProblem, naming the valid values.
    """
    known = known_k8s()
    if given.get("kubeconfig") and (there := given.get("k8s")):
        known = (there,)  # what the cluster has, with a kind config or without
    known = tuple(sorted({*known, *_patches(given.get("k8s"))}, key=version_order))
    k8s = _choose("K8S", given.get("k8s"), known, default=_default_k8s(known), extra="all")
    named = own.sidecars(given.get("sidecar"), given.get("sidecar_file"), given.get("pods"))
    for name in (part.strip() for part in (named or "").split(",")):
        if name in REFUSED:
            raise UsageProblem(f"SIDECAR={name} cannot be used: {REFUSED[name]}.")
    sidecars = _choose("SIDECAR", named, REGISTRY, default=DEFAULT_SIDECARS)
    versions = {name: tag for name in sidecars if (tag := _version(REGISTRY[name], given))}
    for name in REGISTRY:
        own.settings(name, given, chosen=name in sidecars)
    whatever = named is None
    for name in sidecars if not whatever and given.get("k8s") not in (None, "all") else ():
        _require_runs(REGISTRY[name], versions.get(name, ""), k8s)
    had = {pattern for name in sidecars for pattern in REGISTRY[name].patterns}
    usual_patterns = [one for one in PATTERNS if one in had]
    patterns = _choose("PATTERN", given.get("pattern"), PATTERNS, default=usual_patterns)
    all_modes = tuple(dict.fromkeys(m for name in sidecars for m in REGISTRY[name].modes))
    controls = {mode for name in sidecars for mode in REGISTRY[name].controls}
    left = controls if given.get("without_controls") else set()  # see elsewhere
    modes = _choose(
        "MODE", given.get("mode"), all_modes, default=[one for one in all_modes if one not in left]
    )
    usual = LEVELS if any(given.get(name) is not None for name in ABOUT) else (DEFAULT_LEVEL,)
    levels = _choose("LEVEL", given.get("level"), LEVELS, default=usual, extra="all")
    asked = _choose("BEHAVIOUR", given.get("behaviour"), behaviours())
    chosen = tuple(id_ for id_ in asked if behaviours()[id_].level in levels)
    if not chosen:
        raise UsageProblem(f"Nothing to run: none of {', '.join(asked)} is {levels[0]}.")
    wanted = {name for id_ in chosen for name in behaviours()[id_].scenarios}
    played = _choose("SCENARIO", given.get("scenario"), scenarios())
    picked = tuple(name for name in played if name in wanted)
    if not picked:
        raise UsageProblem(
            f"Nothing to run: none of {', '.join(chosen)} is judged in scenario "
            f"{', '.join(played)}; leave SCENARIO out, or choose {' or '.join(sorted(wanted))}."
        )
    repeat = bounded("REPEAT", given.get("repeat"), MOST_TURNS) or 1
    nodes = _nodes(given.get("nodes"), sidecars)
    return Selection(
        k8s, sidecars, patterns, modes, picked, chosen, repeat, nodes, versions, whatever=whatever
    )


def one_of(option: str, value: str, valid: Iterable[str]) -> str:
    """``value`` if it is one of the valid ones, else UsageProblem."""
    valid = tuple(valid)
    if value not in valid:
        raise _wrong(option, value, [value], valid)
    return value


def _nodes(value: str | None, sidecars: Sequence[str]) -> int:
    """As many as were asked for, or as the sidecars need. Raises UsageProblem for fewer."""
    asked = bounded("NODES", value, MOST_NODES)
    most = max(sidecars, key=lambda name: REGISTRY[name].nodes)
    needed = REGISTRY[most].nodes
    if asked is not None and asked < needed:
        raise UsageProblem(
            f"NODES={asked} is too few for {most}, which is judged between {needed}; leave NODES "
            "out."
        )
    return max(asked or 1, needed)


def bounded(option: str, value: str | None, most: int) -> int | None:
    """A whole number from 1 to ``most``, or None when absent. Raises UsageProblem."""
    if value is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}", value) or int(value) > most:
        raise UsageProblem(
            f"{option}={value} is not valid; choose a whole number from 1 to {most}."
        )
    return int(value)


def _version(driver: Registration, given: Mapping[str, str | None]) -> str:
    """The version of a sidecar that the option or the environment asks for, or "". Raises
    UsageProblem for one that cannot be."""
    option = driver.version_option
    if not option:
        return ""
    asked = given.get(option.replace("-", "_")) or os.environ.get(driver.version_variable, "")
    parts = [one.strip() for one in asked.split(",")]
    if len(parts) > 2 or (len(parts) == 2 and not all(parts)):
        raise UsageProblem(
            f"{driver.version_variable}={asked} is not valid; name one version, or two to compare."
        )
    for one in parts if driver.check else ():
        _function(driver.check)(one)
    return ",".join(parts)


def runs_on(driver: Registration, version: str, k8s: str) -> bool:
    """Whether a version of a sidecar ("" for its default) can run on a version of Kubernetes."""
    return all(
        not driver.oldest or _function(driver.oldest)(one) <= minor_number(k8s)
        for one in version.split(",")
    )


def _require_runs(driver: Registration, version: str, named: Sequence[str]) -> None:
    """Raises UsageProblem for a version of Kubernetes that the user named, and the sidecar's
    version does not run on."""
    old = [k8s for k8s in named if not runs_on(driver, version, k8s)]
    if old:
        needed = max(_function(driver.oldest)(one) for one in version.split(","))
        raise UsageProblem(
            f"K8S={','.join(old)} is too old for {driver.name} {version}".rstrip()
            + f", which needs 1.{needed} or newer; choose that, or an older {driver.name} "
            f"({driver.version_variable})."
        )


def _function(name: str) -> Callable[[str], Any]:
    """A function of a driver's own, by "module:function"."""
    module, _, function = name.partition(":")
    found: Callable[[str], Any] = getattr(importlib.import_module(module), function)
    return found


def _patches(value: str | None) -> Iterable[str]:
    """The patches among the versions that were asked for, of minors that have a kind config."""
    asked = (part.strip() for part in (value or "").split(","))
    return [part for part in asked if is_patch(part) and kind_config(part).is_file()]


def _default_k8s(known: Sequence[str]) -> tuple[str, ...]:
    plain = [name for name in known if "-" not in name]
    wanted = [plain[-1] if name == "newest" else name for name in DEFAULT_K8S]
    return tuple(name for name in known if name in wanted)


def _choose(
    option: str,
    value: str | None,
    valid: Iterable[str],
    *,
    default: Sequence[str] | None = None,
    extra: str = "",
) -> tuple[str, ...]:
    valid = tuple(valid)
    if value is None:
        return tuple(default) if default is not None else valid
    asked = [part.strip() for part in value.split(",") if part.strip()]
    if extra and asked == [extra]:
        return valid
    wrong = [part for part in asked if not matching(part, valid)]
    if wrong or not asked:
        raise _wrong(option, value, wrong, valid, extra)
    meant = {name for part in asked for name in matching(part, valid)}
    return tuple(name for name in valid if name in meant)


def _wrong(
    option: str, value: str, wrong: Sequence[str], valid: Sequence[str], extra: str = ""
) -> UsageProblem:
    """What is said of a value that is none of the valid ones, or of none at all."""
    choice = ", ".join(valid) + (f", or {extra}" if extra else "")
    if len(valid) > LONG:
        choice = f"{', '.join(valid[:12])} … (sidecar-conformance list shows them all)"
    if not wrong:
        said = f"{option}={value}".rstrip("=") + " is empty; leave it out, or"
    else:
        near = did_you_mean(wrong[0], (*valid, extra) if extra else valid)
        said = f"{option}={','.join(wrong)} is not valid{near or ';'}"
    return UsageProblem(f"{said} choose from {choice}.".replace("? choose", "? Choose"))
