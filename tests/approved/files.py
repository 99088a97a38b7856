"""The files of approved answers: one for each file of tests, a paragraph for each test."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
SUFFIX = ".answers"  # pytest takes test*.txt for doctests
_SAME = "  as in "


def file_of(tests: str) -> Path:
    """Where the answers of a file of tests stand: tests/judges/test_x.py, judges/test_x.answers."""
    return HERE / Path(tests).relative_to("tests").with_suffix(SUFFIX)


@cache
def approved(tests: str) -> Mapping[str, str]:
    """Test → its approved answers; of what was never approved there is none."""
    file = file_of(tests)
    known: dict[str, str] = {}
    for paragraph in file.read_text().split("\n\n") if file.exists() else ():
        name, _, answers = paragraph.strip("\n").partition("\n")
        same = answers.removeprefix(_SAME) if answers.startswith(_SAME) else ""
        known[name] = known[same] if same else answers
    return known


def write(tests: str, answers: Mapping[str, str]) -> None:
    """Write the approved answers of a file of tests anew; a test without any has no paragraph."""
    file = file_of(tests)
    first: dict[str, str] = {}
    paragraphs = []
    for name in sorted(one for one in answers if answers[one]):
        same = first.setdefault(answers[name], name)
        paragraphs.append(f"{name}\n{answers[name] if same == name else _SAME + same}\n")
    if paragraphs:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(paragraphs))
    else:
        file.unlink(missing_ok=True)
