"""Writes the approved answers anew: of all tests that have any, or of some files of tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.approved import files
from tests.approved.given import WRITING

ALL = ("tests/judges", "tests/evidence")


def main(asked: list[str]) -> int:
    """Write, unless a test fails by its own assertions: what that one was given is not known."""
    known: dict[str, dict[str, str]] = defaultdict(dict)
    with TemporaryDirectory() as folder:
        code = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "auto", *(asked or ALL)],
            env={**os.environ, WRITING: folder},
            check=False,
        ).returncode
        for part in Path(folder).iterdir():
            for line in part.read_text().splitlines():
                tests, name, answers = json.loads(line)
                known[tests][name] = answers
    if code:
        print("nothing is written: mend the tests that failed, or the judges, first")
        return code
    for tests, answers in known.items():
        files.write(tests, answers)
    if not asked:
        for file in set(files.HERE.rglob(f"*{files.SUFFIX}")) - set(map(files.file_of, known)):
            file.unlink()  # the answers of a file of tests that is gone
    print("written: read git diff tests/approved before you commit it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
