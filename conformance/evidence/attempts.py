"""Attempts: what a sender recorded of each of its requests, joined from its stamps."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from conformance.evidence.bundle import Bundle, stamps_file
from conformance.evidence.parse import Line
from conformance.model import Evidence

OK = "ok"
TIMEOUT = "timeout"  # the outcome, as senders record it
UNENDED = "unended"  # the sender never recorded how the attempt ended
# What an answer of a proxy's own means (FORMAT.md, proxy_answers): it could not connect in its own
# time; by its rules the sender may not ask.
LATE, DENIED = "late", "denied"


@dataclass(frozen=True)
class Attempt:
    """One request, from before its first byte to its end. via: how it ended up going.

    asked_via: how it was meant to go. connected_ns and local: of the last connection made for it.
    answer: what the answer means where it is a proxy's own (LATE, DENIED), else "".
    """

    token: str
    kind: str
    target: str
    begin_ns: int
    asked_via: str
    via: str
    outcome: str
    detail: str
    end_ns: int | None
    connected_ns: int | None
    local: str
    file: str
    line: int
    answer: str = ""

    @property
    def bypassed(self) -> bool:
        """Meant to go through the sidecar's explicit proxy, and sent past it."""
        return self.asked_via == "proxy" and self.via == "direct"

    @property
    def evidence(self) -> Evidence:
        """The line of its end, or of its beginning when it has no end."""
        detail = f" ({self.detail})" if self.detail else ""
        return Evidence(
            self.file,
            line=self.line,
            ns=self.end_ns or self.begin_ns,
            text=f"{self.token} to {self.target}: {self.outcome}{detail}",
        )


def attempts(bundle: Bundle, role: str, container: str) -> Iterator[Attempt]:
    """Every attempt of a sender, in the order of their ends; those without an end come last.

    A token that begins again (the sender was restarted) ends the attempt before it.
    """
    file = stamps_file(role, container)
    answers = bundle.index.proxy_answers
    begun: dict[str, list[Line]] = {}
    for line in bundle.stamps(role, container):
        if line.event == "request.begin":
            before = begun.pop(line["token"], None)
            if before:
                yield _attempt(file, answers, before, None)
            begun[line["token"]] = [line]
        elif line.event == "request.connected" and line["token"] in begun:
            begun[line["token"]].append(line)
        elif line.event == "request.end" and line["token"] in begun:
            yield _attempt(file, answers, begun.pop(line["token"]), line)
    for rest in begun.values():
        yield _attempt(file, answers, rest, None)


def _attempt(
    file: str, answers: Mapping[str, re.Pattern[str]], lines: list[Line], end: Line | None
) -> Attempt:
    begin, connected = lines[0], lines[-1] if len(lines) > 1 else None
    asked = str(begin.get("via", ""))
    detail = str(end.get("detail", "")) if end else ""
    return Attempt(
        token=begin["token"],
        kind=begin["kind"],
        target=str(begin.get("target", "")),
        begin_ns=begin.ns,
        asked_via=asked,
        via=str((end or connected or begin).get("via", asked)),
        outcome=str(end["outcome"]) if end else UNENDED,
        detail=detail,
        end_ns=end.ns if end else None,
        connected_ns=connected.ns if connected else None,
        local=str(connected.get("local", "")) if connected else "",
        file=file,
        line=(end or begin).number,
        answer=next((meaning for meaning, said in answers.items() if said.search(detail)), ""),
    )


def by_outcome(found: Iterable[Attempt]) -> dict[str, int]:
    """How many attempts ended how."""
    return dict(sorted(Counter(one.outcome for one in found).items()))


@dataclass(frozen=True)
class Served:
    """The server's side of a request: when it began and ended to answer (None: it did not)."""

    begin: Line
    end: Line | None


def served(bundle: Bundle, role: str, container: str, kinds: Iterable[str]) -> dict[str, Served]:
    """What a server served of some kinds of requests, by token."""
    wanted = tuple(f".{kind}." for kind in kinds)
    found: dict[str, Served] = {}
    for line in bundle.stamps(role, container):
        if line.event != "served" or not any(kind in line["token"] for kind in wanted):
            continue
        before = found.get(line["token"])
        if line.get("phase") == "end" and before:
            if not line.get("error"):
                found[line["token"]] = Served(before.begin, line)
        elif before is None:
            found[line["token"]] = Served(line, None)
    return found
