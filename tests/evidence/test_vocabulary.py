"""The words that observers write and judges read are the ones that FORMAT.md explains."""

from __future__ import annotations

import ast
import inspect
import re
from enum import StrEnum
from pathlib import Path

import pytest

import conformance
from conformance.evidence import vocabulary

PACKAGE = Path(conformance.__file__).parent
FORMAT = (PACKAGE / "evidence" / "FORMAT.md").read_text()
FIXTURES = PACKAGE.parent / "fixtures"
WORDS = [
    word
    for _, group in inspect.getmembers(vocabulary, inspect.isclass)
    if issubclass(group, StrEnum) and group is not StrEnum
    for word in group
]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{type(word).__name__}.{word.name}")
def test_the_format_names_every_word(word: StrEnum) -> None:
    quoted = " ".join(re.findall(r"`([^`\n]+)`", FORMAT))
    assert re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", quoted)


def test_what_programs_stamp_is_in_the_vocabulary() -> None:
    """Fixture programs stand alone and cannot import it."""
    known = {str(word) for word in vocabulary.Stamp}
    groups = {word.partition(".")[0] for word in known if "." in word}
    for program in FIXTURES.rglob("*.py"):
        stamped = {
            str(call.args[0].value)
            for call in ast.walk(ast.parse(program.read_text()))
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name | ast.Attribute)
            and (call.func.id if isinstance(call.func, ast.Name) else call.func.attr) == "stamp"
            and call.args
            and isinstance(call.args[0], ast.Constant)
        }
        unknown = {one for one in stamped if one.partition(".")[0] in groups} - known
        assert not unknown, program


@pytest.mark.parametrize("side", ["judges", "observe"])
def test_no_word_is_written_out_beside_the_vocabulary(side: str) -> None:
    """Dotted words are nothing but steps, stamps and files: each is written once."""
    dotted = {str(word) for word in WORDS if "." in word}
    for module in (PACKAGE / side).rglob("*.py"):
        written = {
            node.value
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not written & dotted, module
