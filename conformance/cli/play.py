"""The commands that bring clusters up: run, upgrade-check, bisect, reproduce."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from conformance import bisect as bisection
from conformance import upgrade
from conformance.cli.ends import end
from conformance.cli.given import options
from conformance.errors import harmless
from conformance.plan import failures
from conformance.plan import wish as wishes
from conformance.plan.options import OPTIONS, Options
from conformance.verdicts import expectations

SUITES = Path(__file__).parents[1] / "suites"


@click.command()
@options()
def run(**given: Any) -> None:
    """Bring clusters up, observe, judge and report."""
    asked = Options.check(given)
    expectations.table()  # a row that is wrong is found before anything is created
    if asked.existing:  # the version is the cluster's to say
        from conformance.run.existing import minor_of

        given["k8s"] = minor_of(asked, given["k8s"])
    if (two := upgrade.of_versions(asked)) is not None:
        _compare_versions({**given, "sidecar": two[0]}, two[1], two[2], None)
    import pytest

    arguments = ["-c", str(SUITES / "pytest.ini"), "-qq", "-s", "--no-header", "--no-summary"]
    # In a file, pytest's lines would come after what is written to standard error meanwhile.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    for option in OPTIONS:
        value = given[option.dest]
        if value:
            arguments += [f"--{option.name}"] if option.flag else [f"--{option.name}={value}"]
    code = int(pytest.main([*arguments, str(SUITES)]))
    # Interrupted before there was anything to report on: pytest says 2, which means wrong use here.
    end(130 if code == pytest.ExitCode.INTERRUPTED else code)


@click.command("upgrade-check")
@click.option("--from", "before", metavar="VERSION", help="the version that is there")
@click.option("--to", "after", metavar="VERSION", help="the version that is to come")
@click.option("--values", metavar="FILE", help="your settings, for both runs, or BEFORE,AFTER")
@options()
def upgrade_check(before: str | None, after: str | None, values: str | None, **given: Any) -> None:
    """Say what a mesh's upgrade, or a change of its settings, would lose: two runs, compared.

    SIDECAR names the mesh (istio by default). The exit code is compare's; a run that comes to no
    verdicts ends it with its own.
    """
    _compare_versions(given, before, after, values)


def _compare_versions(
    given: dict[str, Any], before: str | None, after: str | None, values: str | None
) -> NoReturn:
    asked = upgrade.ask(given, before, after, values)
    from conformance.report.commands import compare

    code, runs = upgrade.play(asked, given, lambda text: click.echo(harmless(text), err=True))
    if runs is None:
        end(code)
    for sentence in upgrade.flips(asked.driver.name, runs):
        click.echo(harmless(sentence))
    compare.main([*map(str, runs), "--html", str(runs[0].parents[1] / "diff")])
    raise AssertionError("compare ends by itself")


@click.command()
@click.argument("behaviour")
@click.argument("good")
@click.argument("bad")
@options("sidecar", "pattern", "mode", "images", "repeat", "results")
def bisect(behaviour: str, good: str, bad: str, **given: Any) -> None:
    """Name the patch of Kubernetes that changed BEHAVIOUR, between GOOD and BAD of one minor.

    On the native pattern of the reference mesh, unless options say otherwise. Each patch is pulled
    or built as it is needed, and played once: a bisection that was stopped goes on where it stood.
    Exit code 0 with an answer, 5 without.
    """
    question = bisection.ask(behaviour, good, bad, given)

    def say(text: str) -> None:
        click.echo(harmless(text), err=True)

    answer = bisection.find(question, bisection.player(question, say), say)
    click.secho(harmless(answer.said), bold=True)
    end(answer.exit_code)


@click.command()
@click.argument("failure", required=False)
@click.option("--k8s", help="one Kubernetes version (1.33)", metavar="VALUE")
@click.option("--sidecar", help="the sidecar to show it with", metavar="VALUE")
@click.option("--pattern", help="another pattern than the failure's own", metavar="VALUE")
@click.option("--images", help="auto, pull, or build", metavar="VALUE")
@click.option("--results", help="folder that gets a folder for each run", metavar="VALUE")
@click.option("--keep", is_flag=True, help="leave the cluster up")
def reproduce(failure: str | None, **given: Any) -> None:
    """Show one failure mode of the article on a real cluster, and what heals it.

    Without FAILURE, list them. Exit code 0: the hazard was seen, and the recovery heals it; 1: it
    came otherwise; 5: the evidence cannot carry a verdict.
    """
    if not failure:
        for known in failures.failures().values():
            click.echo(f"{known.name:24}  {known.title}")
            click.secho(f"{'':24}  {known.article}", dim=True)
        click.echo("\nShow one with:  sidecar-conformance reproduce FAILURE")
        return
    wish = wishes.ask(failure, given)
    from conformance.run import reproduce as player

    found = player.reproduce(wish, lambda text: click.echo(harmless(text)))
    click.echo()
    for bundle in found.bundles:
        click.echo(f"every event and packet:  sidecar-conformance judge {bundle}")
    click.secho(harmless(player.sentence(found)), bold=True)
    end(found.exit_code)
