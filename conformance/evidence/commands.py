"""What the commands that a scenario ran printed (commands.jsonl)."""

from __future__ import annotations

from kubernetes.utils.quantity import parse_quantity

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence

FILE = "commands.jsonl"


def command(bundle: Bundle, *words: str, since: int = 0) -> Line:
    """The first command after a moment (ns) that has these words in it, and succeeded.

    Raises Unjudgeable when there is none.
    """
    for line in bundle.commands():
        if all(word in line["command"] for word in words) and line.ns >= since:
            if line["code"]:
                raise Unjudgeable(
                    f"{line['command']} failed: {line['err'].strip()}", evidence=(evidence(line),)
                )
            return line
    raise Unjudgeable(f"commands.jsonl has no {' '.join(words)}")


def column(line: Line, row: str, name: str) -> str:
    """A cell of the table that kubectl get printed: the row that begins so, the column's title.

    Columns are cut where their titles begin: values may have blanks in them. Raises Unjudgeable.
    """
    head, *rows = str(line["out"]).splitlines() or [""]
    begin = head.find(name)
    end = begin + len(name)
    while end < len(head) and head[end] == " ":
        end += 1
    for text in rows:
        if text.split()[:1] == [row] and begin >= 0:
            return text[begin : end if end < len(head) else None].strip()
    raise Unjudgeable(f"{line['command']} printed no {name} of {row}", evidence=(evidence(line),))


def quantity(line: Line) -> int:
    """The one quantity that it printed, as the API server writes them. Raises Unjudgeable."""
    text = str(line["out"]).strip()
    try:
        return int(parse_quantity(text))
    except ValueError:
        raise Unjudgeable(
            f"{line['command']} printed no number, but {text[:80]!r}", evidence=(evidence(line),)
        ) from None


def evidence(line: Line) -> Evidence:
    """Where the command and its output stand."""
    return Evidence(FILE, line.number, ns=line.ns, text=line["command"])
