"""The command line: ``sidecar-conformance``."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from conformance import __version__, upgrade
from conformance import bisect as bisection
from conformance.audit.command import audit
from conformance.audit.preflight.command import preflight
from conformance.doctor import examine, gather
from conformance.doctor import line as lines
from conformance.errors import Problem, UsageProblem
from conformance.plan import failures, own
from conformance.plan.options import OPTIONS, Options
from conformance.plan.sidecars import REGISTRY
from conformance.report import commands, document, listing, pack, story, table
from conformance.report.decision import summary
from conformance.run import offline, own_images, rejudge
from conformance.verdicts import expectations

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
@click.version_option(__version__, prog_name="sidecar-conformance", message="%(prog)s %(version)s")
def main() -> None:
    """Measured verdicts on sidecar containers, on real Kubernetes clusters."""


# What the images of a run depend on.
OF_IMAGES = (
    "k8s",
    "sidecar",
    "images",
    "image-prefix",
    *(one.version_option for one in REGISTRY.values() if one.version_option),
)


def _image_options(command: Any) -> Any:
    return _options(command, OF_IMAGES)


def _bisect_options(command: Any) -> Any:
    return _options(command, ("sidecar", "pattern", "mode", "images", "repeat", "results"))


def _cluster_options(command: Any) -> Any:
    return _options(command, ("kubeconfig", "context"))


def _options(command: Any, names: Sequence[str] = ()) -> Any:
    """The options of a run, or those that are named."""
    for option in reversed([one for one in OPTIONS if not names or one.name in names]):
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
    options = Options.check(given)
    expectations.table()  # a row that is wrong is found before anything is created
    if options.existing:  # the version is the cluster's to say
        from conformance.run.existing import minor_of

        given["k8s"] = minor_of(options, given["k8s"])
    if (two := upgrade.of_versions(options)) is not None:
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


@main.command("upgrade-check")
@click.option("--from", "before", metavar="VERSION", help="the version that is there")
@click.option("--to", "after", metavar="VERSION", help="the version that is to come")
@click.option("--values", metavar="FILE", help="your settings, for both runs, or BEFORE,AFTER")
@_options
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
    code, runs = upgrade.play(asked, given, lambda text: click.echo(text, err=True))
    if runs is None:
        end(code)
    for sentence in upgrade.flips(asked.driver.name, runs):
        click.echo(sentence)
    commands.compare.main([*map(str, runs), "--html", str(runs[0].parents[1] / "diff")])
    raise AssertionError("compare ends by itself")


@main.command()
@click.argument("behaviour")
@click.argument("good")
@click.argument("bad")
@_bisect_options
def bisect(behaviour: str, good: str, bad: str, **given: Any) -> None:
    """Name the patch of Kubernetes that changed BEHAVIOUR, between GOOD and BAD of one minor.

    On the native pattern of the reference mesh, unless options say otherwise. Each patch is pulled
    or built as it is needed, and played once: a bisection that was stopped goes on where it stood.
    Exit code 0 with an answer, 5 without.
    """
    question = bisection.ask(behaviour, good, bad, given)

    def say(text: str) -> None:
        click.echo(text, err=True)

    answer = bisection.find(question, bisection.player(question, say), say)
    click.secho(answer.said, bold=True)
    end(answer.exit_code)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--strict-promises", is_flag=True, help="judge native cells by the promise alone")
@click.option("--pack", "packs", is_flag=True, help="pack the run into one file, without secrets")
@click.option("--compress", is_flag=True, help="keep the run's large files compressed, in place")
def judge(path: Path, strict_promises: bool, packs: bool, compress: bool) -> None:
    """Judge again what is kept in PATH: a run's folder, its pack, or one bundle. Needs no cluster.

    A bundle is told whole: its timeline, its verdicts, and the packets that they stand on. Nothing
    is written. The exit codes are those of a run. With --pack nothing is judged: the run becomes
    one file beside its folder, which judge, compare and report read as they read the folder. With
    --compress the folder itself becomes a quarter of its size, and is read as before.
    """
    if compress:
        before, after = pack.compress(path)
        click.echo(f"{path}: {before / 1e6:.1f} MB, now {after / 1e6:.1f} MB")
        return
    if packs:
        target = pack.pack(path)
        click.echo(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
        return
    with pack.opened(path) as folder:
        _judge(folder, strict_promises)


def _judge(path: Path, strict_promises: bool) -> None:
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


@main.command()
def doctor() -> None:
    """Say what this machine has, what it lacks, and what to do about it. Changes nothing.

    A line each for the engine, the kernel, room, tools, and what can be pulled or must be built.
    Exit code 0, or 3 when a run could not be set up.
    """
    styles = {"good": "green", "note": "yellow", "bad": "red"}
    found = examine.lines(gather.facts())
    for one in found:
        Console().print(lines.text(one), style=styles[one.state], markup=False, soft_wrap=True)
    end(lines.exit_code(found))


@main.command()
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
    from conformance.run import reproduce as player

    found = player.reproduce(player.ask(failure, given), click.echo)
    click.echo()
    for bundle in found.bundles:
        click.echo(f"every event and packet:  sidecar-conformance judge {bundle}")
    click.secho(player.sentence(found), bold=True)
    end(found.exit_code)


@main.command()
@click.option("--list", "list_", is_flag=True, help="name every image, with its digest if known")
@click.option("--save", type=click.Path(path_type=Path), help="make them, and write them to FILE")
@click.option("--load", "load_", type=click.Path(path_type=Path), help="load what was saved")
@click.option("--build", is_flag=True, help="make the suite's own, for a cluster of yours")
@click.option("--push", is_flag=True, help="the same, and push them to --image-prefix")
@_image_options
def images(
    list_: bool, save: Path | None, load_: Path | None, build: bool, push: bool, **given: Any
) -> None:
    """List, save, load, build or push the images of a selection.

    For machines without a network, and for clusters that the suite did not make.
    """
    if [list_, save is not None, load_ is not None, build, push].count(True) != 1:
        raise UsageProblem("Say one of --list, --save FILE, --load FILE, --build and --push.")
    options = Options.check(given)
    if build or push:
        for made in own_images.make(options, push=push):
            click.echo(f"{made.reference}\t{made.archive}")
        return
    if save is not None:
        for sentence in offline.save(options, save.resolve()):
            click.echo(sentence, err=True)
        click.echo(f"saved: {save} ({save.stat().st_size / 1e9:.1f} GB)")
    elif load_ is not None:
        about = offline.loaded(load_.resolve())
        click.echo(f"loaded: {len(about.images)} images, and the tools into the cache")
    else:
        for one in offline.listed(options):
            click.echo("\t".join((one.name, one.digest or "-", one.use)))


@main.command()
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--all", "everything", is_flag=True, help="what every run has there")
@_cluster_options
def cleanup(run_id: str | None, everything: bool, **given: Any) -> None:
    """Remove what a run left on a cluster that the suite did not make, after a SIGKILL too.

    RUN is the run's id, which is its folder's name below results. Without RUN or --all, list them.
    """
    from conformance.run import existing

    there = Options.check(given).existing
    if there is None:
        raise UsageProblem("Name the cluster: --kubeconfig FILE, and --context NAME.")
    for sentence in existing.cleanup(there, run_id or "", everything=everything):
        click.echo(sentence)


@main.command("list")
@click.argument("filters", nargs=-1, metavar="[ID|GLOB|BEGINNING]...")
@click.option("--sidecar", metavar="NAME", help="what this sidecar is asked, and why not the rest")
@click.option("--pods", metavar="FILE", help="the same of pods of your own")
@click.option("--markdown", is_flag=True, help="as the page docs/behaviours.md")
@click.option("--json", "as_json", is_flag=True, help="everything, for programs")
def list_(
    filters: tuple[str, ...],
    sidecar: str | None,
    pods: str | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """List the behaviours, or tell all about one of them (list stop.order)."""
    named = own.sidecars(sidecar, None, pods)
    if named is not None:
        for name in named.split(","):
            for line in listing.of_sidecar(name):
                click.echo(line)
        return
    listed = listing.chosen(filters)
    if as_json:
        click.echo(json.dumps(listing.data(listed), indent=1))
    elif markdown:
        for line in listing.markdown(listed):
            click.echo(line)
    elif filters and len(listed) == 1:
        for line in listing.whole(listed[0]):
            click.echo(line)
        nodes = f" --nodes {listed[0].nodes}" if listed[0].nodes > 1 else ""
        click.echo(f"\nRun it with:  sidecar-conformance run --behaviour {listed[0].id}{nodes}")
    else:
        for line in listing.short(listed, shutil.get_terminal_size((100, 24)).columns):
            click.echo(line)
        click.echo("\nMore on one:  sidecar-conformance list ID")


commands.add_to(main)
for reading in (audit, preflight):
    main.add_command(reading)

if __name__ == "__main__":
    main()
