"""The commands about the machine, and about a cluster of the user's: doctor, images, cleanup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from conformance.cli.ends import end
from conformance.cli.given import options
from conformance.errors import UsageProblem, harmless
from conformance.plan.options import Options
from conformance.plan.sidecars import REGISTRY

# What the images of a run depend on.
OF_IMAGES = (
    "k8s",
    "sidecar",
    "images",
    "image-prefix",
    *(one.version_option for one in REGISTRY.values() if one.version_option),
)


@click.command()
def doctor() -> None:
    """Say what this machine has, what it lacks, and what to do about it. Changes nothing.

    A line each for the engine, the kernel, room, tools, and what can be pulled or must be built.
    Exit code 0, or 3 when a run could not be set up.
    """
    from conformance.doctor import examine, gather
    from conformance.doctor import line as lines
    from conformance.machine import terminal

    styles = {"good": "green", "note": "yellow", "bad": "red"}
    found = examine.lines(gather.facts())
    console = terminal.console()
    for one in found:
        console.print(lines.text(one), style=styles[one.state], markup=False, soft_wrap=True)
    end(lines.exit_code(found))


@click.command()
@click.option("--list", "list_", is_flag=True, help="name every image, with its digest if known")
@click.option("--save", type=click.Path(path_type=Path), help="make them, and write them to FILE")
@click.option("--load", "load_", type=click.Path(path_type=Path), help="load what was saved")
@click.option("--build", is_flag=True, help="make the suite's own, for a cluster of yours")
@click.option("--push", is_flag=True, help="the same, and push them to --image-prefix")
@options(*OF_IMAGES)
def images(
    list_: bool, save: Path | None, load_: Path | None, build: bool, push: bool, **given: Any
) -> None:
    """List, save, load, build or push the images of a selection.

    For machines without a network, and for clusters that the suite did not make.
    """
    if [list_, save is not None, load_ is not None, build, push].count(True) != 1:
        raise UsageProblem("Say one of --list, --save FILE, --load FILE, --build and --push.")
    chosen = Options.check(given)
    from conformance.run import offline, own_images

    if build or push:
        for made in own_images.make(chosen, push=push):
            click.echo(f"{made.reference}\t{made.archive}")
        return
    if save is not None:
        for sentence in offline.save(chosen, save.resolve()):
            click.echo(sentence, err=True)
        click.echo(f"saved: {save} ({save.stat().st_size / 1e9:.1f} GB)")
    elif load_ is not None:
        about = offline.loaded(load_.resolve())
        click.echo(f"loaded: {len(about.images)} images, and the tools into the cache")
    else:
        for one in offline.listed(chosen):
            click.echo("\t".join((one.name, one.digest or "-", one.use)))


@click.command()
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--all", "everything", is_flag=True, help="what every run has there")
@options("kubeconfig", "context")
def cleanup(run_id: str | None, everything: bool, **given: Any) -> None:
    """Remove what a run left on a cluster that the suite did not make, after a SIGKILL too.

    RUN is the run's id, which is its folder's name below results. Without RUN or --all, list them.
    """
    there = Options.check(given).existing
    if there is None:
        raise UsageProblem("Name the cluster: --kubeconfig FILE, and --context NAME.")
    from conformance.run import existing

    for sentence in existing.cleanup(there, run_id or "", everything=everything):
        click.echo(harmless(sentence))
