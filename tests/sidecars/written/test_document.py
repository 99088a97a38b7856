"""YAML as users write it: bounds, and the line of every field."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from conformance.errors import UsageProblem
from conformance.sidecars.written import document

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def read(folder: Path, text: str | bytes) -> document.Document:
    file = folder / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    (found,) = document.read(file, "mine.yaml")
    return found


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    found = read(tmp_path, "a:\n  b:\n    - c: 1\n    - d: 2\n")
    places: list[tuple[list[str | int], int]] = [
        ([], 1), (["a"], 1), (["a", "b"], 2), (["a", "b", 1], 4), (["a", "b", 1, "d"], 4),
        (["a", "b", 1, "nothing"], 4), (["a", "b", 7], 2),
    ]  # fmt: skip
    for place, line in places:
        assert found.line(place) == line, place
    assert str(found.problem(["a", "b", 1, "d"], "is wrong")) == (
        "mine.yaml, line 4: a.b[1].d is wrong."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "more than 20000 values, with aliases written out"),
        ("[" * 100 + "]" * 100, "line 1: nested more than 64 deep"),
        ("{a: " * 100 + "1" + "}" * 100, "nested more than 64 deep"),
        ("a: &a [*a]", "line 1: the alias stands for what holds it"),
        ("x: " + "x" * 300_000, "more than 256 KiB"),
        ("a: 1\nb: 2\na: 3\n", "line 3: a stands there twice, in line 1 too"),
        ("a: [\n", "line 2: no YAML"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: no YAML"),
        ("a: 2020-99-99", "no YAML, month must be in 1..12"),
        ("? [a]\n: b\n", "a key that is no text"),
        ("", "holds nothing"),
        ("---\n---\n", "holds nothing"),
        (b"a: 1\nb: \xff\n", "line 2: the file is not UTF-8"),
        ("a: \x00", "no YAML"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text: str | bytes, said: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(UsageProblem) as problem:
        read(tmp_path, text)
    assert said in str(problem.value)
    assert str(problem.value).startswith("mine.yaml")
    assert "\n" not in str(problem.value)
    assert time.monotonic() - began < 5


def test_what_is_no_file_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageProblem, match="cannot be read"):
            document.read(path)


def test_merge_keys_and_aliases_are_yaml_too(tmp_path: Path) -> None:
    found = read(tmp_path, "a: &a {b: 1}\nc: {<<: *a, d: *a}\n")
    assert found.content["c"] == {"b": 1, "d": {"b": 1}}
