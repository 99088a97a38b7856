"""Is this the evidence of the cell that cell.json names?

The name of the folder and of the namespace, the objects in the watch, and the tokens in the stamps
all say which cell it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from conformance.evidence.bundle import Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.packets.tokens import parse
from conformance.model import Evidence

_ELSEWHERE = re.compile(r"sc-\d{6}-[0-9a-f]{4}-")  # cluster.state.run_name
_MINOR = re.compile(r"v?(\d+\.\d+)")
_PATCH = re.compile(r"\d+\.\d+\.\d+")


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """What names another cell, another run or another version than the index does."""
    yield from _named(bundle)
    yield from _version(bundle)
    yield from _watched(bundle)
    yield from _nonce(bundle)


def _refused(reason: str, *evidence: Evidence) -> Contradiction:
    return Contradiction(
        reason, evidence=(Evidence("cell.json"), *evidence), strikes_proof=True
    )  # it is in doubt whose evidence this is


def _named(bundle: Bundle) -> Iterator[Contradiction]:
    """A namespace is a cell's slug, with the attempt's number after the first one; on a cluster of
    others the run's id stands before it. A run keeps a bundle in evidence/<version>/<slug>;
    elsewhere a folder may be called anything."""
    index = bundle.index
    slug = index.cell.slug
    if not re.fullmatch(re.escape(slug) + r"(-\d+)?", index.folder):
        turned = replace(index.cell, turn=1).slug
        again = re.fullmatch(re.escape(turned) + r"-t\d+(-\d+)?", index.folder)
        if index.cell.turn != 1 or not again:
            yield _refused(f"cell.json is of {slug}, and of the namespace {index.folder}")
    if index.folder != index.namespace and not _ELSEWHERE.match(index.namespace):
        yield _refused(f"cell.json is of {index.folder}, and of the namespace {index.namespace}")
    root = bundle.root.resolve()
    kept = len(root.parts) > 3 and root.parents[1].name == "evidence"
    if kept and root.name != index.folder:
        yield _refused(f"the folder is {root.name}, and cell.json is of {index.folder}")
    if kept and _MINOR.match(root.parent.name) and root.parent.name != index.cell.k8s:
        yield _refused(
            f"the folder is one of {root.parent.name}, and cell.json is of {index.cell.k8s}"
        )


def _version(bundle: Bundle) -> Iterator[Contradiction]:
    k8s, server = bundle.index.cell.k8s, bundle.index.server
    said, answered = _MINOR.match(k8s), _MINOR.match(server)
    other = said is not None and answered is not None and said[1] != answered[1]
    if other or (_PATCH.match(k8s) and server and server != f"v{k8s}"):
        yield _refused(
            f"cell.json is of a cell of {bundle.index.cell.k8s}, and its API server was "
            f"{bundle.index.server}"
        )


def _watched(bundle: Bundle) -> Iterator[Contradiction]:
    for line in bundle.watch() if bundle.has("watch.jsonl") else ():
        found = line["object"]["metadata"].get("namespace")
        if found is not None and found != bundle.index.namespace:
            where = Evidence("watch.jsonl", line=line.number, ns=line.ns)
            yield _refused(
                f"cell.json is of the namespace {bundle.index.namespace}, and watch.jsonl of "
                f"{found}",
                where,
            )
            return


def _nonce(bundle: Bundle) -> Iterator[Contradiction]:
    """Each cell of each run has a nonce of its own in every token."""
    for file in bundle.stamp_files():
        for line in bundle.records(file):
            token = parse(line.get("token", ""))
            if token and token.nonce != bundle.index.nonce:
                where = Evidence(file, line=line.number, ns=line.ns, text=token.text)
                yield _refused(
                    f"cell.json has the nonce {bundle.index.nonce}, and {file} has {token.nonce}",
                    where,
                )
                return
