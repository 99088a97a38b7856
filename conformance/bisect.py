"""Which patch of Kubernetes changed a promise? ``bisect BEHAVIOUR GOOD BAD`` plays one behaviour on
patches between two of one minor, halving, until two neighbours differ.

Each patch is a run of the command in a process of its own, in a folder that is named after the
question: what was seen there before is not played again, so a bisection that was stopped goes on
where it stood. Both ends are played too: an answer from ends that nobody saw would be a guess.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance import child
from conformance.child import Given
from conformance.errors import UsageProblem
from conformance.machine.paths import is_patch
from conformance.plan.catalogue import behaviours
from conformance.plan.options import Options
from conformance.plan.selection import minor_number, version_order

# What a run says of a promise on one patch; UNKNOWN: it came to no verdict on it.
HELD, BROKEN, UNKNOWN = "held", "broken", "unknown"
DEFAULTS = {"sidecar": "envoy", "pattern": "native"}
Say = Callable[[str], None]
See = Callable[[str], str]


@dataclass(frozen=True)
class Question:
    """good and bad: patches ("1.33.4"), of one minor; either may be the older one."""

    behaviour: str
    good: str
    bad: str
    given: Mapping[str, str | bool | None] = field(default_factory=dict)

    @property
    def between(self) -> Sequence[str]:
        """The patches from good to bad, both included."""
        minor, first = self.good.rsplit(".", 1)
        last = self.bad.rsplit(".", 1)[1]
        step = 1 if int(first) < int(last) else -1
        return [f"{minor}.{patch}" for patch in range(int(first), int(last) + step, step)]


@dataclass(frozen=True)
class Answer:
    """The whole answer in a sentence. exit_code: 0, or 5 where it is not decided."""

    said: str
    exit_code: int


def ask(behaviour: str, good: str, bad: str, given: Given) -> Question:
    """Check everything. Raises UsageProblem, before anything is created."""
    if behaviour not in behaviours():
        raise UsageProblem(f"{behaviour} is no behaviour; sidecar-conformance list names them all.")
    for name, version in (("GOOD", good), ("BAD", bad)):
        if not is_patch(version) or "-" in version:
            raise UsageProblem(f"{name}={version} is no patch of Kubernetes; write it as 1.33.4.")
    if minor_number(good) != minor_number(bad):
        raise UsageProblem(
            f"{good} and {bad} are of two minors, whose patches are no line; play them side by "
            f"side with K8S={good},{bad}, then name two patches of the minor that differs."
        )
    if good == bad:
        raise UsageProblem(f"GOOD and BAD are both {good}; name two patches.")
    named = {**DEFAULTS, **{name: value for name, value in given.items() if value}}
    question = Question(behaviour, good, bad, named)
    for version in (good, bad):
        Options.check(_options(question, version, None))
    return question


def find(question: Question, see: See, say: Say) -> Answer:
    """Halve until two neighbours differ. see: what a patch is like, by playing it or by memory."""
    known: dict[str, str] = {}

    def look(version: str) -> str:
        known[version] = see(version)
        say(f"{version}: {question.behaviour} {known[version]}")
        return known[version]

    for version, wanted in ((question.good, HELD), (question.bad, BROKEN)):
        if (seen := look(version)) != wanted:
            why = "no verdict" if seen == UNKNOWN else f"{seen}, and not {wanted}"
            said = f"{question.behaviour} on {version}: {why}; name another {wanted} patch."
            return Answer(said, 5)
    line = list(question.between)
    low, high = 0, len(line) - 1
    while open_ := [place for place in range(low + 1, high) if line[place] not in known]:
        middle = min(open_, key=lambda place: abs(2 * place - low - high))
        seen = look(line[middle])
        if seen == HELD:
            low = middle
        elif seen == BROKEN:
            high = middle
    blind = line[low + 1 : high]
    changed = f"{question.behaviour} held on {line[low]} and is broken on {line[high]}"
    if blind:
        return Answer(f"{changed}; {', '.join(blind)} between them could not be judged.", 5)
    older = version_order(line[low]) < version_order(line[high])
    named = "first bad patch" if older else "first mended patch"
    return Answer(f"{named}: {line[high] if older else line[low]}. {changed}.", 0)


def player(question: Question, say: Say) -> See:
    """Plays a patch, or remembers how it was; the run's folder is the memory."""
    results = Options.check(_options(question, question.good, None)).results
    about = "-".join(
        (question.behaviour, *(str(value) for _, value in sorted(question.given.items()) if value))
    ).replace("/", "_")
    folder = results / f"bisect-{about}"

    def see(version: str) -> str:
        place = folder / version
        seen = judged(place, question.behaviour)
        if seen == UNKNOWN:
            say(f"{version}: playing {question.behaviour} …")
            code = child.run(child.arguments(_options(question, version, place)))
            if code == 130:
                say(f"stopped on {version}; the same command goes on from here")
                raise KeyboardInterrupt
            seen = judged(place, question.behaviour)
        return seen

    return see


def judged(folder: Path, behaviour: str) -> str:
    """What the newest run below a folder says of a behaviour: broken where one cell broke it, held
    where each cell held it."""
    report = folder / "latest" / "report.json"
    if not report.is_file():
        return UNKNOWN
    cells = json.loads(report.read_text())["cells"]
    seen = {cell["observed"] for cell in cells if cell["behaviour"] == behaviour}
    if "broken" in seen:
        return BROKEN
    return HELD if seen == {"holds"} else UNKNOWN


def _options(question: Question, version: str, results: Path | None) -> Given:
    """The options of the run on one patch. results: its folder; None for the user's own."""
    return {
        **question.given,
        "k8s": version,
        "behaviour": question.behaviour,
        **({"results": str(results)} if results is not None else {}),
    }
