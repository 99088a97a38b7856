"""What became of each mutant, and the score."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

KILLED, SURVIVED, TIMEOUT, UNREACHED = "killed", "survived", "timeout", "no test reaches it"
_STRING = re.compile(r"""([brfu]*)(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""", re.IGNORECASE)


@dataclass
class Results:
    """Kept in a file, so that a sample can be run in pieces.

    ends: mutant → what became of it, the test that killed it, and what it changes. tests: test →
    how long it took (s), -1 where it fails without any mutant, and the functions that it reaches.
    files: what each file was when that was found out.
    """

    file: Path
    ends: dict[str, list[str]] = field(default_factory=dict)
    tests: dict[str, tuple[float, list[str]]] = field(default_factory=dict)
    sample: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.exists():
            found = json.loads(self.file.read_text())
            self.ends, self.tests = found["ends"], found["tests"]
            self.sample, self.files = found["sample"], found["files"]

    def keep(self, sample: Sequence[str], *, again: bool) -> None:
        """This is the sample. What is known of a file that was changed since is not known any more;
        again: what survived is to be run once more."""
        self.sample = list(sample)
        files = {
            str(one): hashlib.sha256(one.read_bytes()).hexdigest()
            for top in ("conformance", "tests")
            for one in sorted(Path(top).rglob("*.py"))
        }
        changed = {one for one, seal in self.files.items() if files.get(one) != seal}
        self.files = files

        def gone(name: str) -> bool:
            module = name.rpartition(".")[0].replace(".", "/")
            return f"{module}.py" in changed or f"{module}/__init__.py" in changed

        self.tests = {
            one: known
            for one, known in self.tests.items()
            if one.partition("::")[0] not in changed and not any(map(gone, known[1]))
        }
        self.ends = {
            one: end
            for one, end in self.ends.items()
            if not (again and end[0] in (SURVIVED, UNREACHED)) and not gone(one)
        }

    def save(self) -> None:
        """To the file."""
        known = {
            "ends": self.ends, "tests": self.tests, "sample": self.sample, "files": self.files,
        }  # fmt: skip
        self.file.write_text(json.dumps(known))

    def told(self) -> str:
        """The score with its interval, and those that survive with what they change."""
        ran = [one for one in self.sample if one in self.ends]
        lines = []
        alive = [one for one in ran if self.ends[one][0] in (SURVIVED, UNREACHED)]
        words = {one for one in ran if _is_wording(self.ends[one][2])}
        for one in sorted(alive):
            kind = "wording" if one in words else self.ends[one][0]
            lines.append(f"{kind}: {one}\n{self.ends[one][2]}")
        counts = Counter(self.ends[one][0] for one in ran)
        lines += [
            f"fails without any mutant: {one}" for one, its in self.tests.items() if its[0] < 0
        ]
        lines.append(f"{len(ran)} of {len(self.sample)} run: {dict(counts)}")
        lines.append(scored("killed", len(ran) - len(alive), len(ran)))
        rest = [one for one in ran if one not in words]
        lived = sum(one in rest for one in alive)
        lines.append(scored("those that change more than words", len(rest) - lived, len(rest)))
        return "\n".join(lines)


def scored(what: str, killed: int, number: int) -> str:
    """A share with its interval."""
    if not number:
        return f"{what}: none was run"
    low, high = wilson(killed, number)
    return f"{what}: {killed} of {number}, {killed / number:.1%} ({low:.1%} to {high:.1%})"


def wilson(hits: int, number: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 % (E. B. Wilson, 1927)."""
    share, square = hits / number, z * z / number
    middle = (share + square / 2) / (1 + square)
    half = z * sqrt(share * (1 - share) / number + square / (4 * number)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def _is_wording(diff: str) -> bool:
    """Whether the change lies in the words of a sentence alone: a string with a space in it, and
    not in what is computed within it."""
    removed, added = _lines(diff, "-"), _lines(diff, "+")
    return (
        len(removed) == len(added) > 0
        and removed != added
        and all(
            _STRING.sub(_computed, a) == _STRING.sub(_computed, b)
            for a, b in zip(removed, added, strict=True)
        )
    )


def _computed(string: re.Match[str]) -> str:
    """Of a string with a space in it what stands in braces; any other as it is."""
    prefix, text = string[1], string[2] if string[3] is None else string[3]
    if " " not in text:
        return string[0]
    return f"S{re.findall(r'{[^{}]*}', text) if 'f' in prefix.lower() else ''}"


def _lines(diff: str, sign: str) -> list[str]:
    found: Iterable[str] = diff.splitlines()
    return [one[1:] for one in found if one.startswith(sign) and not one.startswith(sign * 3)]
