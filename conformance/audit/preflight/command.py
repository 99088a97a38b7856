"""The command ``preflight``."""

from __future__ import annotations

import sys

import click

from conformance.audit import api, live
from conformance.audit import say as audit_say
from conformance.audit.examine import surroundings
from conformance.audit.preflight import say
from conformance.audit.preflight.check import Checked, Preflight
from conformance.audit.preflight.dry_run import DryRuns, Target
from conformance.errors import UsageProblem, harmless


@click.command()
@click.option("--kubeconfig", default="", help="the cluster that this file names")
@click.option("--context", default="", help="the cluster of this context")
@click.option("-n", "--namespace", default="", help="this namespace alone; without it all")
@click.option("--to-revision", default="", metavar="REV", help="Istio's next revision, or a tag")
@click.option("--to-namespace", default="", metavar="NS", help="one that the next injector serves")
@click.option("--output", type=click.Choice(["text", "json"]), default="text")
def preflight(
    kubeconfig: str,
    context: str,
    namespace: str,
    to_revision: str,
    to_namespace: str,
    output: str,
) -> None:
    """Ask the next revision's injector what it would make of the workloads that exist.

    Each workload's pod goes through admission twice, as a server-side dry run: as it is today, and
    marked for the next revision (--to-revision, the label istio.io/rev), or in a namespace that the
    next injector serves (--to-namespace). Nothing is created. Exit code 0: nothing changes but
    images; 1: a pattern, hook, probe, port or name changes, a pod is refused, or a hazard is new;
    2: wrong use; 3: the cluster could not be asked; 4: no workload has a sidecar; 5: undecided.
    """
    if not (to_revision or to_namespace):
        raise UsageProblem("Say where the upgrade leads: --to-revision REV, or --to-namespace NS.")
    cluster = live.Cluster(api.connect(kubeconfig, context), namespace)
    world = surroundings(cluster, None, every_space=True)
    if to_namespace and world.spaces and to_namespace not in world.spaces:
        raise UsageProblem(f"There is no namespace {to_namespace} in this cluster.")
    runs = DryRuns(cluster.api)
    checks = Preflight(cluster, runs, Target(to_revision, to_namespace), world)
    checked: list[Checked] = []
    for one in checks.workloads():
        checked.append(one)
        for line in say.text(one) if output == "text" else ():
            click.echo(harmless(line))
    if output == "json":
        click.echo(audit_say.as_json(say.data(checked, runs.sent, cluster.unread)))
    else:
        click.echo(say.summary(checked, runs.sent))
        for sentence in cluster.unread:
            click.echo(harmless(f"not read: {sentence}"))
    code = say.exit_code(checked, cluster.unread)
    if code:
        click.echo(f"sidecar-conformance: exit code {code} ({say.EXIT[code]})", err=True)
    sys.exit(code)
