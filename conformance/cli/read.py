"""The commands that read: judge, list."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from conformance.cli.ends import end
from conformance.errors import UsageProblem
from conformance.plan import own
from conformance.report import pack
from conformance.report.decision import summary


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--strict-promises", is_flag=True, help="judge native cells by the promise alone")
@click.option("--pack", "packs", is_flag=True, help="pack the run into one file, without secrets")
@click.option("--compress", is_flag=True, help="keep the run's large files compressed, in place")
@click.option("--report", type=click.Path(path_type=Path), help="write what is judged as pages")
def judge(
    path: Path, strict_promises: bool, packs: bool, compress: bool, report: Path | None
) -> None:
    """Judge again what is kept in PATH: a run's folder, its pack, or one bundle. Needs no cluster.

    A bundle is told whole: its timeline, its verdicts, and the packets that they stand on. Nothing
    is written, unless --report names a folder: then report.json, which compare reads, junit.xml and
    the pages are of what the evidence gives today. The exit codes are those of a run.

    With --pack nothing is judged anew: the run becomes one file beside its folder, which judge,
    compare and report read as they read the folder. With --compress the folder itself becomes a
    quarter of its size, and is read as before.
    """
    if compress:
        before, after = pack.compress(path)
        click.echo(f"{path}: {before / 1e6:.1f} MB, now {after / 1e6:.1f} MB")
        return
    if packs:
        from conformance.run import rejudge

        target = pack.pack(path, asked=rejudge.asked(path.resolve()))
        click.echo(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
        return
    with pack.opened(path) as folder:
        _judge(folder, strict_promises, report)


def _judge(path: Path, strict_promises: bool, pages: Path | None) -> None:
    from conformance.machine import terminal
    from conformance.report import document, remake, story, table
    from conformance.run import rejudge

    found = []
    console = terminal.console()
    alone = rejudge.is_bundle(path)
    if alone and pages is not None:
        raise UsageProblem(f"{path} is one bundle; --report is about a run's folder, or its pack.")
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
    if pages is not None:
        made = remake.judged(path, [(one.verdict, one.bundle) for one in found])
        console.print(f"report: {remake.write(path, made, pages)}", soft_wrap=True)
    counted = summary.counts(one.verdict for one in found)
    console.print(summary.sentence(counted))
    end(summary.exit_code(counted))


@click.command("list")
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
    from conformance.report import listing

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
