"""The command line: ``sidecar-conformance``."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from conformance.errors import Problem
from conformance.plan import catalogue
from conformance.plan.options import OPTIONS, Options
from conformance.report import comparison, document, story, summary, table
from conformance.run import rejudge

SUITES = Path(__file__).parent / "suites"


class _Group(click.Group):
    """Says a Problem as one sentence; every end that is no success names its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Problem as problem:
            click.echo(f"sidecar-conformance: {problem}", err=True)
            end(problem.exit_code)
        except KeyboardInterrupt:
            end(130)


def end(code: int) -> NoReturn:
    """End the process, and say what its exit code means: make shows the user another one."""
    if code:
        meaning = summary.MEANING.get(code, "pytest failed")
        click.echo(f"sidecar-conformance: exit code {code} ({meaning})", err=True)
    sys.exit(code)


@click.group(cls=_Group)
def main() -> None:
    """Measured verdicts on sidecar containers, on real Kubernetes clusters."""


def _options(command: Any) -> Any:
    for option in reversed(OPTIONS):
        command = click.option(
            f"--{option.name}",
            option.dest,
            help=option.help,
            **({"is_flag": True} if option.flag else {"metavar": "VALUE"}),
        )(command)
    return command


@main.command()
@_options
def run(**given: Any) -> None:
    """Bring clusters up, observe, judge and report."""
    Options.check(given)
    import pytest

    arguments = ["-c", str(SUITES / "pytest.ini"), "-q", "-s", "--no-header", "--no-summary"]
    for option in OPTIONS:
        value = given[option.dest]
        if value:
            arguments += [f"--{option.name}"] if option.flag else [f"--{option.name}={value}"]
    code = int(pytest.main([*arguments, str(SUITES)]))
    # Interrupted before there was anything to report on: pytest says 2, which means wrong use here.
    end(130 if code == pytest.ExitCode.INTERRUPTED else code)


@main.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Say what the run AFTER lost, won and measured beside the run BEFORE.

    Both are folders of runs. Exit code 0: nothing is lost; 1: something is; 5: something that was
    decided is not any more; 4: the runs have nothing in common.
    """
    found = comparison.compare(comparison.read(before), comparison.read(after))
    for text in table.compared(found):
        Console().print(text, soft_wrap=True)
    sys.exit(found.exit_code)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--strict-promises", is_flag=True, help="judge native cells by the promise alone")
def judge(path: Path, strict_promises: bool) -> None:
    """Judge again what is kept in PATH: a run's folder, or one bundle. Needs no cluster.

    A bundle is told whole: its timeline, its verdicts, and the packets that they stand on. Nothing
    is written. The exit codes are those of a run.
    """
    found = []
    console = Console()
    alone = rejudge.is_bundle(path)
    for moment in story.timeline(path) if alone else ():
        console.print(moment, style="dim", soft_wrap=True)
    for one in rejudge.judged(path, strict_promises=strict_promises):
        found.append(one)
        console.print(table.line(one.verdict).append(one.told), soft_wrap=True)
        if alone:
            for packet in story.packets(path, document.entry(one.verdict, None)["evidence"]):
                console.print(f"    {packet}", style="dim", soft_wrap=True, markup=False)
    bad = [one for one in found if one.verdict.outcome in summary.BAD and not alone]
    for one in bad[: story.STORIES]:
        console.print(story.tell(one.results, document.entry(one.verdict, one.bundle)))
    counted = summary.counts(one.verdict for one in found)
    console.print(summary.sentence(counted))
    end(summary.exit_code(counted))


@main.command("list")
def list_() -> None:
    """Print the catalogue: ids, levels, promises, adversaries, how to detect and recover."""
    ids = max(map(len, catalogue.behaviours()))
    indent = " " * (ids + 12)
    for behaviour in catalogue.behaviours().values():
        adversary = f" ({behaviour.adversary})" if behaviour.adversary else ""
        click.echo(f"{behaviour.id:{ids}}  {behaviour.level:8}  {behaviour.promise}{adversary}")
        if behaviour.detect:
            text = textwrap.fill(behaviour.detect, 96, break_on_hyphens=False)
            click.secho(textwrap.indent(text, indent), dim=True)
    click.echo("\nRun one with:  sidecar-conformance run --behaviour ID")


if __name__ == "__main__":
    main()
