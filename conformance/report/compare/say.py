"""A comparison in words: for the terminal, as Markdown, as JSON. The last line names the code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from conformance.report.compare.pairs import EXIT, MEANING, Change, Comparison, Pair

Json = dict[str, Any]
# In the order in which they are told; what is the same, open or only measured is counted.
TOLD: Sequence[Change] = (
    "control lost", "coverage lost", "lost", "other hazard", "undecided", "gone", "won", "new",
)  # fmt: skip
_LONG = 260  # characters of a reason
_NAMED = 4  # promises that the first line names
_BLIND: Sequence[Change] = ("control lost", "coverage lost", "undecided", "gone")
_COMPARED: Sequence[Change] = (*_BLIND, "lost", "other hazard", "won", "same", "measured")


def lines(found: Comparison) -> Iterator[tuple[str, str]]:
    """Line by line, each with what it is: answer, version, a change, pair, side, size, count,
    exit."""
    yield "answer", answer(found)
    for what, before, after in found.versions:
        yield "version", f"{what}: {before} → {after}"
    if found.across:
        yield "version", f"compared across {', '.join(found.across)}"
    for change in TOLD:
        pairs = found.of(change)
        if pairs:
            yield change, f"{change} ({MEANING[change]}): {len(pairs)}"
        for pair in pairs:
            yield "pair", pair.name + (f" ({pair.note})" if pair.note else "")
            yield from _sides(pair)
    if found.sized:
        yield "sizes", f"sizes that differ beyond chance and threshold: {len(list(_sized(found)))}"
    for pair, size in _sized(found):
        yield (
            f"size {size.way}",
            f"{pair.name}: {size.name} {size.before} → {size.after} ({_way(size.way)}{size.how})",
        )
    counted = {change: len(found.of(change)) for change in MEANING}
    yield "count", ", ".join(f"{number} {change}" for change, number in counted.items() if number)
    yield "exit", exit_line(found)


def answer(found: Comparison) -> str:
    """What the comparison says of the second run, and for what, in one line."""
    compared = [pair for pair in found.pairs if pair.change in _COMPARED]
    number = f"{len(compared)} verdict{'s' * (len(compared) != 1)}"
    of = f"of {number} compared: {_scope(found, compared)}"
    lost = [*found.of("lost"), *found.of("other hazard")]
    if lost:
        return f"Worse: {_named(lost)} {of}."
    blind = [pair for change in _BLIND for pair in found.of(change)]
    if blind:
        return f"Cannot be said: nothing is seen to be lost, but {_named(blind)} {of}."
    if found.worse:
        names = dict.fromkeys(f"{_id(pair)} {size.name}" for pair, size in found.worse)
        return f"Worse: no promise is lost, but {_some(list(names))} got worse, {of}."
    if found.exit_code:
        return "Nothing to compare: the runs have nothing decided in common."
    won = f", and {_named(found.of('won'))}" if found.of("won") else ""
    return f"Nothing is lost{won}, {of}."


def _named(pairs: Sequence[Pair]) -> str:
    """ "3 lost (stop.order, stop.in-flight, …)", one after the other."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        found.setdefault(pair.change, []).append(_id(pair))
    return ", ".join(
        f"{len(ids)} {change} ({_some(list(dict.fromkeys(ids)))})" for change, ids in found.items()
    )


def _id(pair: Pair) -> str:
    return str((pair.after or pair.before or {})["behaviour"])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _scope(found: Comparison, compared: Sequence[Pair]) -> str:
    """ "envoy (init-rules, fallback), classic and native, on Kubernetes 1.33": of the second run,
    and of the first where that is what was changed."""
    entries = [one for pair in compared for one in (pair.before, pair.after) if one]

    def every(name: str, sidecar: str = "") -> str:
        mine = [one for one in entries if not sidecar or one["sidecar"] == sidecar]
        between = " → " if name in found.across else ", "
        return between.join(dict.fromkeys(str(one[name]) for one in mine))

    if "sidecar" in found.across:
        who = f"{every('sidecar')} ({every('mode')})"
    else:
        names = dict.fromkeys(one["sidecar"] for one in entries)
        who = ", ".join(f"{name} ({every('mode', name)})" for name in names)
    return f"{who}; {every('pattern')}; Kubernetes {every('k8s')}"


def exit_line(found: Comparison) -> str:
    """The exit code, and what it says here."""
    code = found.exit_code
    meaning = EXIT[code]
    if code == 1 and not (found.of("lost") or found.of("other hazard")):
        meaning = "no promise is lost, but something got worse"
    if code == 5:
        lost = [f"{len(found.of(one))} {one}" for one in TOLD if one != "won" and found.of(one)]
        meaning = f"no promise is lost, but the second run cannot say so: {', '.join(lost)}"
    others = "; ".join(f"{number} {one}" for number, one in EXIT.items())
    return f"exit code {code}: {meaning} ({others}; 2 wrong use)"


def markdown(found: Comparison) -> str:
    """The comparison as a page of Markdown."""
    marks = {
        "answer": "**",
        "version": "- ",
        "pair": "- **",
        "side": "  - ",
        "count": "\n",
        "exit": "\n**",
    }
    ends = {"answer": "**\n", "pair": "**", "exit": "**"}
    text = ["## Two runs compared", ""]
    for kind, line in lines(found):
        plain = line.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
        mark = "- " if kind.startswith("size ") else marks.get(kind, "\n### ")
        text.append(f"{mark}{plain}{ends.get(kind, '')}")
    return "\n".join(text) + "\n"


def data(found: Comparison) -> Json:
    """The comparison as JSON: what is not the same, in full."""
    told = [pair for pair in found.pairs if pair.change in TOLD or pair.sizes]
    return {
        "exit_code": found.exit_code,
        "exit_meaning": exit_line(found),
        "versions": [{"what": a, "before": b, "after": c} for a, b, c in found.versions],
        "across": list(found.across),
        "counts": {change: len(found.of(change)) for change in MEANING},
        "pairs": [asdict(pair) for pair in told],
    }


def _sides(pair: Pair) -> Iterator[tuple[str, str]]:
    for when, entry in (("before", pair.before), ("after ", pair.after)):
        if entry is not None:
            reason = entry["reason"]
            short = reason if len(reason) <= _LONG else reason[: _LONG - 1] + "…"
            yield "side", f"{when}  {entry['observed']}: {short}"


def _sized(found: Comparison) -> Iterator[tuple[Pair, Any]]:
    """Worst first."""
    order = ("worse", "better", "other")
    both = [(pair, size) for pair in found.pairs for size in pair.sizes]
    yield from sorted(both, key=lambda one: order.index(one[1].way))


def _way(way: str) -> str:
    return "" if way == "other" else f"{way}; "
