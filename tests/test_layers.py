"""Nothing runs upwards: each part of the package imports only parts that stand below it. And no
module is too long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import conformance

PACKAGE = Path(conformance.__file__).parent
FOLDERS = ("conformance", "fixtures", "tests")
LONGEST = 400  # lines of a module

# Folders and top-level modules, from the ground up: what each may import of the package.
MAY_IMPORT = {
    "__init__": "",  # the version
    "errors": "",
    "model": "",
    # what anything may stand on
    "machine": "errors",
    "evidence": "model",
    "plan": "errors model machine",
    # from evidence to verdicts: no cluster, no clock, no network
    "judges": "errors model evidence plan",
    "verdicts": "errors model machine plan",
    "report": "errors model machine evidence plan verdicts",
    # from an engine to evidence: no verdict
    "engine": "errors machine",
    "images": "errors machine engine",
    "cluster": "errors machine engine images",
    "sidecars": "errors model machine evidence plan engine images cluster",
    # hazards by reading alone: no engine, no cluster of the suite's
    "audit": "__init__ errors machine plan",
    "doctor": "errors machine plan engine images sidecars",
    "observe": "errors model machine evidence plan engine images cluster sidecars",
    # where both meet
    "run": "errors model machine evidence plan judges verdicts report "
    "engine images cluster sidecars observe",
    # the ways in
    "suites": "errors machine plan verdicts report doctor run",
    "plugin": "suites",
    "clean": "errors machine engine cluster",
    "measures": "errors model machine evidence plan judges report",
    "bench": "errors machine report measures",
    "child": "plan",
    "soak": "errors machine report run child",
    "upgrade": "errors plan child",
    "bisect": "errors machine plan child",
    "cli": "__init__ audit errors model machine plan verdicts report doctor run upgrade bisect",
    "__main__": "cli",
}


def test_nothing_reaches_back() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line} imports {part}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for here in [part_of(file)]
        for line, part in imported(ast.parse(file.read_text()), here)
        if part not in (here, *MAY_IMPORT.get(here, "").split())
    ]
    assert not wrong, "\n".join(wrong)


def test_every_part_has_its_place() -> None:
    parts = {part_of(file) for file in PACKAGE.rglob("*.py")}
    assert parts == set(MAY_IMPORT)


def test_the_table_has_no_circle() -> None:
    """Each part names only those that stand above it in the table, which are below it in fact."""
    parts = list(MAY_IMPORT)
    for place, (part, allowed) in enumerate(MAY_IMPORT.items()):
        assert set(allowed.split()) <= set(parts[:place]), part


def test_no_module_is_longer_than_can_be_kept_in_mind() -> None:
    """Of the package, its tests and the fixture programs."""
    files = [file for part in FOLDERS for file in (PACKAGE.parent / part).rglob("*.py")]
    long = {str(file): n for file in files if (n := len(file.read_text().splitlines())) > LONGEST}
    assert files and not long


def test_every_way_of_importing_is_seen() -> None:
    program = """
import conformance.observe.stage
from conformance import __version__, cli, judges
from conformance.report.table import line
def late():
    from ..run import session
    from . import near
if TYPE_CHECKING:
    from conformance.engine import Engine
"""
    found = {part for _, part in imported(ast.parse(program), "machine")}
    assert found == {"observe", "cli", "judges", "report", "run", "machine", "engine", "__init__"}


def part_of(file: Path) -> str:
    """The folder below the package in which a file is, or the module that it is itself."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST, here: str) -> Iterator[tuple[int, str]]:
    """Line and part for each import from the package, in functions and for types only, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = {0: "", 1: f"conformance.{here}.", 2: "conformance."}[node.level]
            base = f"{above}{node.module or ''}".rstrip(".")
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "conformance" and rest:
                part = rest.partition(".")[0]
                yield node.lineno, part if part in MAY_IMPORT else "__init__"
