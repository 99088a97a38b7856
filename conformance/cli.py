"""The command line: ``sidecar-conformance``."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any, NoReturn

import click

from conformance import catalogue
from conformance.errors import Problem
from conformance.options import OPTIONS, Options
from conformance.report import summary

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
