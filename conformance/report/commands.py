"""The commands that need nothing but results: compare, report, report-bug."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from conformance.errors import UsageProblem, harmless
from conformance.report.compare import sizes

_PATH = click.Path(path_type=Path)


def add_to(group: click.Group) -> None:
    """Add the commands to a command line."""
    for command in (compare, report, report_bug):
        group.add_command(command)


@click.command()
@click.argument("paths", type=_PATH, nargs=-1, required=True, metavar="BEFORE AFTER")
@click.option("--merge", is_flag=True, help="merge any number of reports, of a fleet's nodes")
@click.option("--threshold", default=sizes.THRESHOLD, show_default=True, help="times as large")
@click.option("--share", default=sizes.SHARE, show_default=True, help="of attempts, more or fewer")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@click.option("--markdown", is_flag=True, help="print Markdown")
@click.option("--html", "folder", type=_PATH, help="write compare.html and traces to this folder")
def compare(
    paths: tuple[Path, ...],
    merge: bool,
    threshold: float,
    share: float,
    as_json: bool,
    markdown: bool,
    folder: Path | None,
) -> None:
    """Say what the run AFTER lost, won and measured beside the run BEFORE.

    Both are folders of runs, or packs. The control arms are compared first. Exit code 1: a promise
    is lost, or something got worse; 5: a control arm, coverage or a decision is lost; 4: the runs
    have nothing in common; 0: nothing is lost.

    With --merge the reports of any number of runs (folders of them, too) become one: what holds
    everywhere, and where it does not. Its exit codes are those of a run.
    """
    if merge:
        _merge(paths, as_json)
    if len(paths) != 2:
        raise UsageProblem(f"compare takes two runs, and {len(paths)} are named; or say --merge.")
    from conformance.report import pack
    from conformance.report.compare import page, pairs, say

    before, after = paths
    reports = pairs.read(before), pairs.read(after)
    try:
        found = pairs.compare(*reports, threshold=threshold, share=share)
    except ValueError as error:
        raise UsageProblem(f"--threshold={threshold} --share={share}: {error}.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageProblem(
            f"The report of {before} or of {after} is damaged ({type(error).__name__}: {error}); "
            "judge that run again, or name another one."
        ) from error
    if folder is not None:
        with pack.opened(before) as one, pack.opened(after) as two:
            click.echo(f"written: {page.write(folder, found, _run(one), _run(two))}", err=True)
    if as_json:
        click.echo(json.dumps(say.data(found), indent=1))
    elif markdown:
        click.echo(harmless(say.markdown(found)))
    else:
        from conformance.machine import terminal
        from conformance.report import table

        console = terminal.console()
        for text in table.compared(found):
            console.print(text, soft_wrap=True)
    sys.exit(found.exit_code)


def _merge(paths: tuple[Path, ...], as_json: bool) -> NoReturn:
    from conformance.report.fleet import merge as fleets
    from conformance.report.fleet import say

    found = fleets.merge(paths)
    if as_json:
        click.echo(json.dumps(say.data(found), indent=1))
    else:
        for line in say.lines(found):
            click.echo(harmless(line))
    sys.exit(found.exit_code)


@click.command()
@click.argument("path", type=_PATH)
@click.option("--out", type=_PATH, help="the folder for the pages")
def report(path: Path, out: Path | None) -> None:
    """Make the pages of PATH again: a run's folder, or a pack. Needs no cluster.

    Writes report.html with its traces, report.json, junit.xml and summary.md into the run's folder,
    or beside a pack into a folder of its name.
    """
    from conformance.machine import terminal
    from conformance.report import remake, table

    target = remake.remake(path, out)
    made: dict[str, Any] = json.loads(target.with_name("report.json").read_bytes())
    console = terminal.console()
    for text in table.answered(made):
        console.print(text, soft_wrap=True)
    console.print(f"report: {target}", soft_wrap=True)


@click.command("report-bug")
@click.argument("verdict")
@click.option("--run", "path", type=_PATH, default=Path("results/latest"), show_default=True)
@click.option("--out", type=_PATH, help="the folder to write; by default bug-VERDICT")
def report_bug(verdict: str, path: Path, out: Path | None) -> None:
    """Write a folder for upstream on one VERDICT, named by its id as reports show it.

    It holds the pod's manifest, versions, timeline, packets and logs around what was seen, without
    secrets, and a README.md that is ready to paste.
    """
    from conformance.report import bug, pack, remake

    with pack.opened(path) as run:
        made = bug.write(run, remake.read(run), verdict, out or Path(f"bug-{verdict}"))
    click.echo(f"written: {made}")


def _run(path: Path) -> Path:
    """The folder of a run that was named by its folder or its report.json."""
    return path if path.is_dir() else path.parent
