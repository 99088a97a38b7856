"""The commands, each in a module that is imported when it is called; and what becomes of errors."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from conformance import __version__
from conformance.cli.ends import end
from conformance.errors import Problem, UsageProblem, harmless
from conformance.plan.spelling import did_you_mean

# Command → module, the function there, and what it is for, in a line.
COMMANDS = {
    "run": ("cli.play", "run", "Bring clusters up, observe, judge and report."),
    "upgrade-check": ("cli.play", "upgrade_check", "What an upgrade of a mesh would lose."),
    "reproduce": ("cli.play", "reproduce", "Show one failure mode of the article, and its repair."),
    "bisect": ("cli.play", "bisect", "Which patch of Kubernetes changed a promise."),
    "compare": ("report.commands", "compare", "What a run lost and won beside an earlier one."),
    "judge": ("cli.read", "judge", "Judge again what a run left; pack it (--pack)."),
    "report": ("report.commands", "report", "Make a run's pages again."),
    "report-bug": ("report.commands", "report_bug", "One verdict as a folder for upstream."),
    "list": ("cli.read", "list_", "The behaviours, or all about one of them."),
    "audit": ("audit.command", "audit", "Hazards in manifests, or in a cluster, by reading."),
    "preflight": ("audit.preflight.command", "preflight", "What the next revision would inject."),
    "doctor": ("cli.place", "doctor", "What this machine has, and what it lacks."),
    "images": ("cli.place", "images", "List, save, load, build or push images."),
    "cleanup": ("cli.place", "cleanup", "Remove what a run left on a cluster of yours."),
}


@contextmanager
def _one_sentence(ctx: click.Context | None = None) -> Iterator[None]:
    """Says a Problem, and wrong use, as one sentence; every end that is no success names its exit
    code."""
    try:
        yield
    except Problem as problem:
        _refuse(str(problem), problem.exit_code)
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        _refuse(_sentence(error, (ctx.invoked_subcommand or "") if ctx else ""), 2)
    except KeyboardInterrupt:
        end(130)


def _refuse(sentence: str, code: int) -> NoReturn:
    click.echo(f"sidecar-conformance: {harmless(sentence)}", err=True)
    end(code)


def _sentence(error: click.UsageError, command: str) -> str:
    """click's own words in a line, and where the right ones are."""
    said = " ".join(error.format_message().split()).replace("(Did", "Did").replace("?)", "?")
    joined = f"{said} See" if said.endswith("?") else f"{said.rstrip('.')}; see"
    return f"{joined} {' '.join(filter(None, ('sidecar-conformance', command, '--help')))}."


class Commands(click.Group):
    """Knows the commands by name, and imports one when it is called."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name][:2]
        found: click.Command = getattr(importlib.import_module(f"conformance.{module}"), function)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            near = did_you_mean(args[0], COMMANDS)
            choose = f"{near} Choose" if near else "; choose"
            raise UsageProblem(f"{args[0]} is no command{choose} from {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told[2]) for name, told in COMMANDS.items()])

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        with _one_sentence():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_sentence(ctx):
            return super().invoke(ctx)


@click.group(cls=Commands)
@click.version_option(__version__, prog_name="sidecar-conformance", message="%(prog)s %(version)s")
def main() -> None:
    """Measured verdicts on sidecar containers, on real Kubernetes clusters."""
