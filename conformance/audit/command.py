"""The command ``audit``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import cast

import click

from conformance.audit import api, examine, junit, live, manifests, rule, sarif, say
from conformance.audit.examine import Audited
from conformance.errors import UsageProblem, harmless


@click.command()
@click.argument("paths", nargs=-1, metavar="[FILE|FOLDER|-]...")
@click.option("--kubeconfig", default="", help="audit the cluster that this file names")
@click.option("--context", default="", help="audit the cluster of this context")
@click.option("-n", "--namespace", default="", help="this namespace alone; without it all")
@click.option("--k8s", default="", metavar="1.33", help="the Kubernetes version to audit for")
@click.option("--least", type=click.Choice(rule.LEVELS), default="note", help="leave lesser out")
@click.option("--short", is_flag=True, help="a line for each finding")
@click.option("--output", type=click.Choice(["text", "json", "sarif", "junit"]), default="text")
@click.option("--rules", "list_", is_flag=True, help="list the rules")
def audit(
    paths: Sequence[str],
    kubeconfig: str,
    context: str,
    namespace: str,
    k8s: str,
    least: str,
    short: bool,
    output: str,
    list_: bool,
) -> None:
    """Find sidecar hazards in manifests, or in a cluster, by reading alone.

    PATHS are files, folders, or - for standard input. Without them the cluster that kubectl would
    use is read: get and list alone, nothing is created. Exit code 0: nothing was found; 1: there
    are findings; 2: wrong use; 3: something could not be read, so there may be more.
    """
    if list_:
        for row in rule.rules().values():
            click.echo(f"{row.level:8} {row.id:34} {row.behaviour or row.source:26} {row.title}")
        return
    if paths and (kubeconfig or context or namespace):
        raise UsageProblem("Name files, or a cluster (--kubeconfig, --context, -n), and not both.")
    wanted = minor(k8s)
    audited = (
        _of_files(paths, wanted) if paths else _of_cluster(kubeconfig, context, namespace, wanted)
    )
    findings = audited.findings.ordered(cast(rule.Level, least))
    if output == "json":
        click.echo(say.as_json(say.data(audited, findings)))
    elif output == "junit":
        click.echo(junit.document(findings, audited.unread))
    elif output == "sarif":
        click.echo(say.as_json(sarif.log(audited, findings)))
    else:
        for line in say.text(audited, findings, short=short):
            click.echo(harmless(line))
    code = say.exit_code(findings, audited.unread)
    if code:
        click.echo(f"sidecar-conformance: exit code {code} ({say.EXIT[code]})", err=True)
    sys.exit(code)


def minor(k8s: str) -> int | None:
    """33 for "1.33" or "v1.33.2"; None for "". Raises UsageProblem."""
    found = re.fullmatch(r"v?1\.(\d+)(?:[.+-].*)?", k8s)
    if k8s and not found:
        raise UsageProblem(f"--k8s={k8s}: name a Kubernetes version, such as 1.33.")
    return int(found[1]) if found else None


def _of_files(paths: Sequence[str], k8s: int | None) -> Audited:
    read = manifests.read(paths)
    audited = examine.manifests(read.documents, k8s)
    audited.unread = read.unread
    if not read.documents and not read.unread:
        raise UsageProblem(
            f"There is no Kubernetes object in {' '.join(paths)} ({read.others} other documents)."
        )
    return audited


def _of_cluster(kubeconfig: str, context: str, namespace: str, k8s: int | None) -> Audited:
    source = live.Cluster(api.connect(kubeconfig, context), namespace)
    return examine.cluster(source, k8s)
