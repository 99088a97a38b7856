"""The options, the same on the command line, in pytest and in make."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import UsageProblem
from conformance.machine import digests
from conformance.machine.paths import CACHE, cache_dir, expanded, results_dir
from conformance.plan import elsewhere, size
from conformance.plan import selection as choices
from conformance.plan.sidecars import REGISTRY

MOST_WORKERS = 64


@dataclass(frozen=True)
class Option:
    """One option: its name on the command line, and what it is for."""

    name: str
    help: str
    flag: bool = False

    @property
    def dest(self) -> str:
        return self.name.replace("-", "_")


OPTIONS = (
    Option("k8s", "Kubernetes versions, comma-separated, or all"),
    Option(
        "sidecar",
        "sidecars, or files with one of your own (./mine.yaml), comma-separated; without it those "
        "that this machine can have",
    ),
    Option("sidecar-file", "a file with a sidecar of your own (docs/own.md)"),
    Option("pods", "a file with pods of your own: a Pod, a Deployment or a Job (docs/own.md)"),
    Option("pattern", "classic, native"),
    Option("mode", "a sidecar's modes, comma-separated"),
    Option("scenario", "scenarios, comma-separated"),
    Option("behaviour", "behaviours by id, comma-separated"),
    Option("level", "core, extended, or all; without it core, or all of what is named"),
    Option("repeat", "how many times each cell is played"),
    Option("nodes", "how many nodes each cluster has (1 to 4)"),
    Option("results", "folder that gets one folder for each run"),
    Option("images", "auto (pull, build what cannot be pulled), pull, or build"),
    Option("image-prefix", "where images are pulled from instead (registry.internal/mirror)"),
    *(
        Option(one.version_option, f"the version of {one.name} (or {one.version_variable})")
        for one in REGISTRY.values()
        if one.version_option
    ),
    *(
        Option(one.values_option, f"a file of your own settings of {one.name} (docs/own.md)")
        for one in REGISTRY.values()
        if one.values_option
    ),
    Option("workers", "how many cells are observed at once"),
    Option(
        "kubeconfig", "a cluster that is there already, by its kubeconfig file (KUBECONFIG_FILE)"
    ),
    Option("context", "a context of that file (default: its current one)"),
    Option("on-node", "the node of that cluster for all pods (default: the first that takes any)"),
    Option(
        "agent", "on that cluster: auto (a privileged pod on the node, where it may be) or none"
    ),
    Option(
        "with-controls",
        "there: control arms, a changed node status and cluster-wide objects too",
        flag=True,
    ),
    Option("take-away", "self-test: take away the beacon, the capture or the sidecar"),
    Option("keep", "leave the clusters up and say how to reach and remove them", flag=True),
    Option("strict-promises", "judge every native cell against the promise alone", flag=True),
)


# A host with a dot or a port (else it would be a folder of Docker Hub), then path components:
# Docker's reference grammar.
_PREFIX = re.compile(
    r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?|[A-Za-z0-9-]+:\d+)"
    r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
)


@dataclass(frozen=True)
class Existing:
    """A cluster that the suite did not make. context: "" for the file's current one. agent: auto
    or none. controls: control arms and cluster-wide objects are allowed, too. node: the
    one for all pods; "" for any. named: sidecars were asked for by name."""

    kubeconfig: Path
    context: str = ""
    agent: str = "auto"
    controls: bool = False
    node: str = ""
    named: bool = True


@dataclass(frozen=True)
class Options:
    """Every option, checked. existing: None for clusters that the run makes."""

    selection: choices.Selection
    results: Path
    images: str = "auto"
    image_prefix: str = ""
    workers: int | None = None
    take_away: str = ""
    keep: bool = False
    strict_promises: bool = False
    existing: Existing | None = None

    @classmethod
    def check(cls, given: Mapping[str, str | bool | None]) -> Options:
        """Raises UsageProblem, before anything is created."""
        text = {name: value if isinstance(value, str) else None for name, value in given.items()}
        taken, images = text.get("take_away"), text.get("images")
        existing = _existing(text, controls=bool(given.get("with_controls")))
        if existing:
            text |= elsewhere.defaults(text, controls=existing.controls)
        selection = choices.select(text)
        _require_alone(selection)
        if existing:
            _require_as_it_is(selection)
        size.check(selection)
        if cache := os.environ.get(CACHE):
            _folder(CACHE, cache, cache_dir())
        digests.own()
        if (results := text.get("results")) is not None and not results.strip():
            raise UsageProblem("RESULTS is empty; leave it out, or name a folder.")
        return cls(
            selection=selection,
            results=_folder("RESULTS", results, results_dir()),
            images="auto" if images is None else choices.one_of("IMAGES", images, choices.IMAGES),
            image_prefix=_prefix(text.get("image_prefix")),
            workers=choices.bounded("WORKERS", text.get("workers"), MOST_WORKERS),
            take_away=""
            if taken is None
            else choices.one_of("TAKE_AWAY", taken, choices.TAKE_AWAY),
            keep=bool(given.get("keep")),
            # Whoever looks at a mesh of their own asks what is promised, not what is known.
            strict_promises=bool(given.get("strict_promises")) or existing is not None,
            existing=existing,
        )


def _require_alone(selection: choices.Selection) -> None:
    """Raises UsageProblem where a sidecar that no other one can be beside is not the only one."""
    for name in selection.sidecars:
        if REGISTRY[name].exclusive and len(selection.sidecars) > 1:
            raise UsageProblem(
                f"SIDECAR={','.join(selection.sidecars)} cannot be: {name} changes the cluster for "
                f"every other one; run it by itself (SIDECAR={name})."
            )


def _require_as_it_is(selection: choices.Selection) -> None:
    """Raises UsageProblem for what is asked of a mesh that the run does not install."""
    for one in (REGISTRY[name] for name in selection.sidecars):
        asked = one.version_variable if selection.versions.get(one.name) else ""
        asked = asked or (one.values_variable if one.values is not None else "")
        if asked:
            raise UsageProblem(
                f"{asked} means something where the run installs {one.name}; leave it out: on a "
                "cluster that is there already the mesh stays as it is."
            )


def _prefix(given: str | None) -> str:
    """A registry, with a path or without: the first part of a reference. Raises UsageProblem."""
    prefix = (given or "").strip().rstrip("/")
    if given is not None and not _PREFIX.fullmatch(prefix):
        raise UsageProblem(
            f"IMAGE_PREFIX={given} is not valid: it is a registry and a path in it, without a "
            "scheme; write it as registry.internal:5000/mirror."
        )
    return prefix


def _existing(text: Mapping[str, str | None], *, controls: bool) -> Existing | None:
    """The cluster that is there already; None where the run makes its own. Raises UsageProblem."""
    given = text.get("kubeconfig")
    if given is None:
        alone = [name for name in ("context", "agent", "on_node") if text.get(name) is not None]
        alone += ["with_controls"] * controls
        if alone:
            raise UsageProblem(
                f"{alone[0].upper()} means something for a cluster that is there already; name its "
                "kubeconfig file too (KUBECONFIG_FILE)."
            )
        return None
    file = expanded(given).resolve()
    if not given.strip() or not file.is_file():
        raise UsageProblem(
            f"KUBECONFIG_FILE={given} is no file; name the kubeconfig file of the cluster."
        )
    if text.get("take_away") is not None:
        raise UsageProblem("TAKE_AWAY is a self-test on the suite's own clusters; leave it out.")
    agent = text.get("agent")
    agent = "auto" if agent is None else choices.one_of("AGENT", agent, elsewhere.AGENTS)
    node = text.get("on_node")
    if node is not None and not node.strip():
        raise UsageProblem("ON_NODE is empty; leave it out, or name a node of the cluster.")
    context = (text.get("context") or "").strip()
    named = any(text.get(name) is not None for name in ("sidecar", "sidecar_file", "pods"))
    return Existing(file, context, agent, controls, (node or "").strip(), named)


def _folder(variable: str, given: str | None, otherwise: Path) -> Path:
    """A folder that is to be written to. Raises UsageProblem for one that cannot be.

    otherwise: the one that is meant where none is given.
    """
    try:
        named = Path(given or otherwise).expanduser()
        _require_no_dangling_link(named)
        folder = named.resolve()
        there = next(place for place in (folder, *folder.parents) if place.exists())
        # exists() tells of a name that is too long up to Python 3.12 alone.
        longest = max(map(len, map(os.fsencode, folder.relative_to(there).parts)), default=0)
        if not there.is_dir():
            reason = f"{there} is no folder"
        elif longest > os.pathconf(there, "PC_NAME_MAX"):
            reason = f"a name in it has {longest} bytes, which is too long here"
        elif not _takes_files(there):
            reason = f"{there} cannot be written to"
        else:
            return folder
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no such user's home
        reason = str(error)
    raise UsageProblem(
        f"{variable}={given or otherwise} is not valid: {reason}; name another folder."
    )


def _require_no_dangling_link(path: Path) -> None:
    """Raises OSError for a link that leads nowhere: what it was to lead to is not what would be
    made in its place."""
    for place in (path, *path.parents):
        if place.is_symlink() and not place.exists():
            raise OSError(f"{place} is a link to {place.readlink()}, which is not there")


def _takes_files(folder: Path) -> bool:
    """Whether a file can be made in a folder; none is left there. To root every folder seems to be
    writable: /proc, and one on a file system that is mounted to be read."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
