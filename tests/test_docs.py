"""What the docs point to is there, and the example of a forged world is a test that passes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.machine.paths import CHECKOUT

PAGES = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
# Paths as they stand in running text and tables; "…" and <…> stand for what differs.
PATH = re.compile(
    r"(?<![\w/.<-])((?:conformance|tests|fixtures|kind-configs|docs)/[\w./-]*\w)(?![\w*<…-])"
)
# Blocks that a line introduces by the file that they are quoted from, and a colon.
QUOTED = re.compile(
    r"^[^\n]*`([\w-]+/[\w./-]+)`[^\n`]*:\n((?:```\w+\n.*?```\n)+)", re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    absent = [to for to in LINK.findall(text) if not (page.parent / to).exists()]
    absent += [to for to in PATH.findall(text) if not _there(to)]
    assert not absent


def test_quotations_are_what_their_files_say() -> None:
    found = QUOTED.findall((CHECKOUT / "docs" / "adding.md").read_text())
    quoted = [
        (file, block)
        for file, blocks in found
        for block in re.findall(r"```\w+\n(.*?)```", blocks, re.DOTALL)
    ]
    assert len(quoted) >= 5  # else they are no longer found
    absent = [(file, block) for file, block in quoted if block not in (CHECKOUT / file).read_text()]
    assert not absent


def _there(path: str) -> bool:
    return (CHECKOUT / path).exists()


def test_the_example_of_a_forged_world_is_a_test_that_passes(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"```python\n(.*?)```", (CHECKOUT / "CONTRIBUTING.md").read_text(), re.S
    )
    (tmp_path / "test_example.py").write_text(example)
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in told.stdout, told.stdout + told.stderr
