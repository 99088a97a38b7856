"""May I upgrade? Two runs that differ in a mesh's version, or in its settings, and what the second
has lost: ``upgrade-check``, and ``run`` with two versions.

Each is a run of the command in a process of its own, with everything that belongs to one. The exit
code is that of the comparison; where a run comes to no verdicts, it is that run's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance import child
from conformance.child import Given
from conformance.errors import UsageProblem
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY, Registration

MESHES = tuple(one.name for one in REGISTRY.values() if one.version_option and one.values_option)
SIDES = ("before", "after")
# Codes of a run that has verdicts, good or bad: the comparison says what they mean.
_COMPARABLE = (0, 1, 5)


@dataclass(frozen=True)
class Question:
    """What is asked: of which mesh, and what differs. versions, values: before and after; "" for
    the suite's choice of version, and for no settings."""

    driver: Registration
    versions: tuple[str, str]
    values: tuple[str, str]


def ask(given: Given, before: str | None, after: str | None, values: str | None) -> Question:
    """Check everything, of both runs. Raises UsageProblem, before anything is created."""
    named = given.get("sidecar") or "istio"
    if named not in MESHES:
        raise UsageProblem(
            f"SIDECAR={named} cannot be upgraded by this; choose one of {', '.join(MESHES)}."
        )
    driver = REGISTRY[str(named)]
    asked = Question(driver, (_one("FROM", before), _one("TO", after)), _pair(values))
    if asked.versions[0] == asked.versions[1] and asked.values[0] == asked.values[1]:
        raise UsageProblem(
            "Nothing differs between the two runs: name FROM= and TO=, or two files in VALUES= "
            "(before.yaml,after.yaml; nothing before the comma for none)."
        )
    for side in (0, 1):
        Options.check(options_of(asked, given, side, Path()))
    return asked


def of_versions(options: Options) -> tuple[str, str, str] | None:
    """Mesh, and its two versions, where a run names two; None where it does not."""
    for name, version in options.selection.versions.items():
        if "," not in version:
            continue
        if others := [one for one in options.selection.sidecars if one != name]:
            raise UsageProblem(
                f"Two versions of {name} are compared alone; leave {', '.join(others)} out."
            )
        before, after = (one.strip() for one in version.split(","))
        return name, before, after
    return None


def play(
    asked: Question, given: Given, say: Callable[[str], None]
) -> tuple[int, tuple[Path, Path] | None]:
    """Both runs, one after the other. Returns 0 and their folders, or the code of the run that came
    to no verdicts, and None."""
    root = Options.check(options_of(asked, given, 0, Path())).results
    folder = root / f"upgrade-{time.strftime('%Y%m%d-%H%M%S')}"
    runs = []
    for side, name in enumerate(SIDES):
        results = folder / name
        told = asked.versions[side] or "the usual version"
        settings = f", settings {asked.values[side]}" if asked.values[side] else ""
        say(f"{name}: {asked.driver.name} {told}{settings}")
        code = child.run(child.arguments(options_of(asked, given, side, results)))
        if code not in _COMPARABLE or not (results / "latest").exists():
            say(f"The run {name} came to no verdicts (exit code {code}): nothing is compared.")
            return code or 4, None
        runs.append((results / "latest").resolve())
    return 0, (runs[0], runs[1])


def flips(mesh: str, runs: tuple[Path, Path]) -> Sequence[str]:
    """A sentence for each version of Kubernetes on which pods that name no pattern get another one
    after the upgrade: the comparison holds like against like, and would not show it."""
    found = []
    for told in sorted((runs[0] / "clusters").glob("*/versions.json")):
        k8s = told.parent.name
        before, after = (_default_pattern(run, k8s, mesh) for run in runs)
        if before and after and before != after:
            found.append(
                f"On Kubernetes {k8s} the default pattern of {mesh} flips from {before} to {after}"
                ": pods that do not name theirs change with their next restart."
            )
    return found


def _default_pattern(run: Path, k8s: str, mesh: str) -> str:
    file = run / "clusters" / k8s / "versions.json"
    told = json.loads(file.read_text()) if file.is_file() else {}
    return str(((told.get("sidecars") or {}).get(mesh) or {}).get("pattern_without_annotation", ""))


def options_of(asked: Question, given: Given, side: int, results: Path) -> Given:
    """The options of one of the two runs. results: its folder; an empty path for the user's own."""
    driver = asked.driver
    own = driver.values_option.replace("-", "_")
    return {
        **given,
        "sidecar": driver.name,
        driver.version_option.replace("-", "_"): asked.versions[side] or None,
        own: asked.values[side] or (given.get(own) if not any(asked.values) else None),
        **({"results": str(results)} if results != Path() else {}),
    }


def _one(name: str, version: str | None) -> str:
    if version is not None and (not version.strip() or "," in version):
        raise UsageProblem(f"{name}={version} is not valid; name one version, or leave it out.")
    return (version or "").strip()


def _pair(values: str | None) -> tuple[str, str]:
    """A file for both runs, or one for each."""
    if values is None:
        return "", ""
    parts = [one.strip() for one in values.split(",")]
    if len(parts) > 2 or not any(parts):
        raise UsageProblem(
            f"VALUES={values} is not valid; name one file for both runs, or two (before,after)."
        )
    return parts[0], parts[-1]
