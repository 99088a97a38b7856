"""The decision in words: the same ones in the terminal, on the pages, in junit and in Markdown.

Made from report.json (its decision, run and cells) alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from conformance.plan.catalogue import behaviours, scenarios
from conformance.report.decision import decide as decisions
from conformance.report.decision import scope

Json = Mapping[str, Any]
NAMED = 4  # promises that a headline names


@dataclass(frozen=True)
class Told:
    """Broken promises, or gaps, that are alike in several places.

    where: "envoy init-rules on 1.33". ids: of the verdicts, the first one's reason is told.
    counted: known, and counted all the same (strict promises). condition: what was done to the pod.
    """

    kind: str
    behaviour: str
    scenario: str
    hazard: str
    known: bool
    counted: bool
    where: str
    reason: str
    ids: Sequence[str]
    repeat: int = 0

    @property
    def condition(self) -> str:
        known = scenarios().get(self.scenario)
        return known.title if known else ""

    @property
    def repair(self) -> str:
        known = behaviours().get(self.behaviour)
        return known.detect if known else ""


def decided(report: Json) -> dict[str, Any]:
    """What report.json keeps as its decision: data for programs, and the sentences for people."""
    found = decisions.decide(_in_question(report))
    limits = scope.scope(report, found.pattern)
    data: dict[str, Any] = {
        **asdict(found),
        "bounds": [asdict(one) for one in found.bounds[: decisions.TOLD_BOUNDS]],
        "scope": asdict(limits),
    }
    data = json.loads(json.dumps(data))  # lists in place of tuples, as when it is read again
    return data | {"sentence": headline(data), "instrument_sentence": instrument(data)}


def _in_question(report: Json) -> Sequence[Json]:
    """The verdicts that the decision is about. Where nobody named the sidecars, those are meant
    that can be had: one of which nothing could be verified lies outside of the scope."""
    entries: Sequence[Json] = report["cells"]
    if (report["run"].get("options") or {}).get("sidecars_named", True):
        return entries
    had = {one["sidecar"] for one in entries if one["observed"] != "not-verified"}
    return [one for one in entries if one["sidecar"] in had]


def headline(decision: Json) -> str:
    """The answer, why, and for what, in one line.

    What was known to break breaks in every run, and would make every answer the same one. So the
    line begins with what is left apart from that, and names what was known as the limit of it.
    """
    pattern = f"the {decision['pattern']} pattern"
    if not decision["parts"]:
        return f"{_word(decisions.NOT_PROVEN)}: this run has no cell of {pattern}."
    if decision["rest"] == decisions.NOT_SAFE:
        breaks = ", and ".join(_breaks(alike) for _, alike in new(decision))
        beside = limits(decision)
        known = f" Beside that: {beside}." if beside else ""
        tried = places(decision)
        return f"{_word(decisions.NOT_SAFE)}: {pattern} breaks {breaks}. Tried: {tried}.{known}"
    if decision["rest"] == decisions.NOT_PROVEN:
        named = dict.fromkeys(
            f"{one.behaviour} ({one.kind})" if one.behaviour else one.kind for one in gaps(decision)
        )
        other = "nothing else" if limits(decision) else "nothing"
        why = f"{other} of {pattern} was seen broken, and this is open: {_some(list(named))}"
    else:
        others = "every other promise" if limits(decision) else "every promise"
        why = f"{others} of {pattern} that was tried held with {places(decision)}"
    return f"{_word(decision['rest'])}{_apart(decision)}: {why}.{_within(decision)}"


def _breaks(found: Sequence[Told]) -> str:
    """ "2 promises that it was not known to break: …". All of one kind (counted)."""
    number = _count(len({one.behaviour for one in found}), "promise")
    known = "is known to break, which strict promises count"
    how = known if found[0].counted else "was not known to break"
    return f"{number} that it {how}: {_hazards(found)}"


def standing(decision: Json) -> str:
    """The answer in a few words: "safe for this scope apart from 19 known limits"."""
    return f"{decision['rest']}{_apart(decision)}"


def limits(decision: Json) -> str:
    """ "19 known limits": the promises that were known to break, and did; "" for none."""
    known = {one.behaviour for one in broken(decision) if one.known}
    return _count(len(known), "known limit") if known else ""


def _apart(decision: Json) -> str:
    known = limits(decision)
    return f" apart from {known}" if known and decision["rest"] != decisions.NOT_SAFE else ""


def _within(decision: Json) -> str:
    known = [one for one in broken(decision) if one.known]
    return f" Not safe within them: {_hazards(known)}." if known else ""


def _hazards(found: Sequence[Told]) -> str:
    """ "crash.no-plaintext (plaintext), …": each promise once, with every hazard it was seen in."""
    named = [
        f"{id_} ({', '.join(dict.fromkeys(one.hazard for one in found if one.behaviour == id_))})"
        for id_ in dict.fromkeys(one.behaviour for one in found)
    ]
    return _some(named)


def _word(word: str) -> str:
    return word.capitalize()


def instrument(decision: Json) -> str:
    """Whether the run has shown that it can see."""
    told = decision["instrument"]
    if not told["controls"]:
        return "The instrument: no control arm ran, so nothing shows that it can see."
    shown = f"{told['reproduced']} of {told['controls']} control arms showed their hazard"
    blind = f"; blind: {_some(told['failed'])}" if told["failed"] else ""
    return f"The instrument: {shown}{blind}."


def exit_line(report: Json) -> str:
    """What the exit code says, which is something else: whether it came out as expected."""
    return f"Exit code {report['run']['exit_code']}: {report['run']['exit_meaning']}."


def lines(report: Json) -> Iterator[tuple[str, str]]:
    """The whole answer, line by line, each with what it is: word, instrument, exit, part, broken,
    trace, repair, limits, known, gap, bound, outside."""
    decision = report["decision"]
    yield "word", decision["sentence"]
    yield "instrument", decision["instrument_sentence"]
    if "exit_code" in report["run"]:
        yield "exit", exit_line(report)
    for part in parts(decision):
        yield "part", part
    for one in broken(decision):
        if not one.known:
            yield (
                "broken",
                f"{one.behaviour} ({one.hazard}, {_mark(one)}), {one.where}: {one.reason}",
            )
            if page := _page(report, one):
                yield "trace", page
            if one.repair:
                yield "repair", f"In general: {one.repair}"
    if known := by_condition(decision):
        yield "limits", f"{limits(decision)}, and where each is met:"
        for condition, alike in known:
            named = "; ".join(f"{one.behaviour} ({one.hazard}), {one.where}" for one in alike)
            yield "known", f"{condition}: {named}"
        yield "known", "What each is, and how to repair it: report.html, or list and its id."
    for alike in of_one_cause(gaps(decision)):
        one, names = alike[0], [each.behaviour for each in alike if each.behaviour]
        repeat = f" REPEAT={one.repeat} would do." if one.repeat else ""
        about = ", ".join([*names, one.where])
        yield "gap", f"{one.kind}: {about}: {one.reason}{repeat}"
    for bound in decision["bounds"]:
        yield "bound", bound_line(bound)
    for text in decision["scope"]["outside"]:
        yield "outside", f"Outside this scope: {text}."


def new(decision: Json) -> Sequence[tuple[str, Sequence[Told]]]:
    """The broken promises that make the answer, under a title for each kind of them."""
    told = [one for one in broken(decision) if not one.known]
    kinds = (
        ("Broken, and not known before", [one for one in told if not one.counted]),
        ("Known to break, and counted by strict promises", [one for one in told if one.counted]),
    )
    return [(title, alike) for title, alike in kinds if alike]


def _mark(one: Told) -> str:
    """Whether a broken promise that makes the answer was known to break."""
    return "known, and counted: strict promises" if one.counted else "NOT KNOWN BEFORE"


def _page(report: Json, one: Told) -> str:
    """The page that shows the first of them, beside report.html; "" where nothing was kept."""
    id_, kept = (
        one.ids[0],
        {decisions.identifier(each): each.get("bundle") for each in report["cells"]},
    )
    cell = id_.removesuffix(f".{one.behaviour}")
    return f"trace: cells/{cell}.html#{one.behaviour}" if kept.get(id_) else ""


def by_condition(decision: Json) -> Sequence[tuple[str, Sequence[Told]]]:
    """The known limits by what was done to the pod, what hurts most first."""
    found: dict[str, list[Told]] = {}
    for one in broken(decision):
        if one.known:
            found.setdefault(one.condition, []).append(one)
    return list(found.items())


def bound_line(bound: Json) -> str:
    """How much a promise that held may still be broken."""
    text = (
        f"Weakest bound: {bound['id']} held in {bound['attempts']} attempts; breaks in up to "
        f"{bound['rate']:.0%} of them would have been missed (95 %)"
    )
    wanted = bound["rate"] > decisions.MEANT and bound["repeat"]
    return (
        f"{text}; REPEAT={bound['repeat']} brings that to {decisions.MEANT:.0%}."
        if wanted
        else f"{text}."
    )


def parts(decision: Json) -> Iterator[str]:
    """Each sidecar in each mode, with the versions that came out alike."""
    alike: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in decision["parts"]:
        words = alike.setdefault((one["sidecar"], one["mode"]), {})
        words.setdefault(part_word(one), []).append(one["k8s"])
    for (sidecar, mode), words in alike.items():
        told = [f"{word} on {', '.join(k8s)}" for word, k8s in words.items()]
        yield f"{sidecar} {mode}: {'; '.join(told)}"


def part_word(part: Json) -> str:
    """What came of one sidecar in one mode on one version, in a few words."""
    known = len({one["behaviour"] for one in part["broken"] if one["known"]})
    apart = f" apart from {_count(known, 'known limit')}" if known else ""
    return f"{part['rest']}{apart if part['rest'] != decisions.NOT_SAFE else ''}"


def broken(decision: Json) -> Sequence[Told]:
    """Every broken promise once, with all places where it was seen; what was not known first."""
    found: dict[tuple[str, str, str, bool, bool], list[tuple[Json, Json]]] = {}
    for part in decision["parts"]:
        for one in part["broken"]:
            kinds = one["known"], one.get("counted", False)
            key = one["behaviour"], one["scenario"], one["hazard"], *kinds
            found.setdefault(key, []).append((part, one))
    told = [
        Told(
            kind="broken",
            behaviour=behaviour,
            scenario=scenario,
            hazard=hazard,
            known=known,
            counted=counted,
            where=_where([part for part, _ in places]),
            reason=_reason(places[0][1]),
            ids=[one["id"] for _, one in places],
        )
        for (behaviour, scenario, hazard, known, counted), places in found.items()
    ]
    return sorted(told, key=lambda one: (one.known, one.counted))


def gaps(decision: Json) -> Sequence[Told]:
    """Everything that is open once, with all places. What this machine cannot have is open for each
    reason of its own: the others' reasons have figures in them, and the first one's is told."""
    found: dict[tuple[str, str, str, str], list[tuple[Json, Json]]] = {}
    for part in decision["parts"]:
        for one in part["gaps"]:
            why = one["reason"] if one["kind"] == "not verified" else ""
            key = one["kind"], one["behaviour"], one["scenario"], why
            found.setdefault(key, []).append((part, one))
    return [
        Told(
            kind=kind,
            behaviour=behaviour,
            scenario=scenario,
            hazard="",
            known=False,
            counted=False,
            where=_where([part for part, _ in places]),
            reason=places[0][1]["reason"],
            ids=[one["id"] for _, one in places if one["id"]],
            repeat=max(one["repeat"] for _, one in places),
        )
        for (kind, behaviour, scenario, _), places in found.items()
    ]


def of_one_cause(found: Sequence[Told]) -> Iterable[list[Told]]:
    """Gaps that differ in nothing but what they are about: a cause is told once."""
    alike: dict[tuple[str, str, str, int], list[Told]] = {}
    for one in found:
        alike.setdefault((one.kind, one.where, one.reason, one.repeat), []).append(one)
    return alike.values()


def places(decision: Json) -> str:
    """All parts of a decision: "envoy (init-rules, fallback) on Kubernetes 1.29, 1.33"."""
    modes: dict[str, dict[str, None]] = {}
    for one in decision["parts"]:
        modes.setdefault(one["sidecar"], {})[one["mode"]] = None
    k8s = dict.fromkeys(one["k8s"] for one in decision["parts"])
    who = ", ".join(f"{name} ({', '.join(found)})" for name, found in modes.items())
    return f"{who} on Kubernetes {', '.join(k8s)}"


def _reason(one: Json) -> str:
    seen, turns = one["turns"]
    return f"{seen} of {turns} turns: {one['reason']}" if turns > 1 else str(one["reason"])


def _where(parts: Sequence[Json]) -> str:
    found: dict[str, dict[str, dict[str, None]]] = {}
    for one in parts:
        modes = found.setdefault(one["sidecar"], {})
        modes.setdefault(one["mode"], {})[one["k8s"]] = None
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for sidecar, modes in found.items():
        for mode, k8s in modes.items():
            alike.setdefault((sidecar, tuple(k8s)), []).append(mode)
    return "; ".join(
        f"{sidecar} {', '.join(modes)} on {', '.join(k8s)}"
        for (sidecar, k8s), modes in alike.items()
    )


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
