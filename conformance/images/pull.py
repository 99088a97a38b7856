"""Pulling an image, and understanding why it could not be pulled.

Only two reasons lead from pulling to building: the registry answered that it has no such image, or
no registry could be reached. A refusal (rate, rights) is the user's to settle: building around it
would hide it.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from conformance.engine import client
from conformance.engine.client import Engine
from conformance.errors import EnvironmentProblem
from conformance.images import cache
from conformance.machine import digests, process
from conformance.machine.progress import board

Kind = Literal["absent", "unreachable", "refused", "other"]

ANSWER_WITHIN = 20.0
"""Seconds until the registry must have named the image's layers. A working one takes 1 to 3 s."""

DEFAULT_REGISTRY = "docker.io"
"""Served when a reference names none (Docker's reference grammar)."""

PULL_WITHIN = 1800.0
"""Seconds for the layers themselves: 400 MB at some 2 Mbit/s."""

# Words of Docker, containerd, the registry protocol (distribution spec, error codes) and Go's net
# package. The order matters: a refusal may mention a network, a DNS failure may say "not found".
_WORDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (
        "other",
        (
            r"docker daemon",  # "Cannot connect to the Docker daemon": it is not about a registry
            r"docker api",
            r"no space left",
            r"x509:",
            r"no matching manifest for",  # the image is there, but not for this machine type
        ),
    ),
    (
        "refused",
        (
            r"toomanyrequests",
            r"too many requests",
            r"rate limit",
            r"unauthorized",
            r"forbidden",
            r"\bdenied\b",
            r"authentication required",
            r"no basic auth credentials",
            r"status(?: code)?:? (?:401|403|429)\b",
        ),
    ),
    (
        "unreachable",
        (
            r"no such host",
            r"server misbehaving",
            r"temporary failure in name resolution",
            r"\blookup \S+.*(?:timeout|not found|refused)",
            r"connection refused",
            r"connection reset by peer",
            r"network is unreachable",
            r"no route to host",
            r"host is down",
            r"i/o timeout",
            r"tls handshake timeout",
            r"deadline exceeded",
            r"client\.timeout",
            r"request canceled while waiting for connection",
            r"no answer within",
        ),
    ),
    (
        "absent",
        (
            r"manifest unknown",
            r"manifest_unknown",
            r"name unknown",
            r"name_unknown",
            r"not found",
            r"repository does not exist",
        ),
    ),
)


@dataclass(frozen=True)
class PullFailure:
    """Why an image could not be pulled: the kind of reason, and what was said."""

    kind: Kind
    said: str


def classify(said: str) -> Kind:
    """The kind of failure that an error message of ``docker pull`` tells of."""
    text = said.lower()
    for kind, patterns in _WORDS:
        if any(re.search(pattern, text) for pattern in patterns):
            return kind
    return "other"


def registry_of(reference: str) -> str:
    """The registry that serves a reference; "" for the engine's default one, named or not."""
    first, slash, _ = reference.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    return first if named and first != DEFAULT_REGISTRY else ""


PREFIX_VARIABLE = "SIDECAR_CONFORMANCE_IMAGE_PREFIX"
"""Names where images are pulled from in place of their own registries; set by --image-prefix."""


def pulled_as(reference: str, prefix: str | None = None) -> str:
    """The name under which an image is pulled: its own, or the one that it has below the prefix.

    ("kindest/node:v1.33.12", "r.internal/m") → "r.internal/m/kindest/node:v1.33.12". An image of
    Docker's own library has its full name there ("library/debian:…"), as in a pull-through cache.
    prefix: default: that of the environment.
    """
    prefix = os.environ.get(PREFIX_VARIABLE, "") if prefix is None else prefix
    if not prefix:
        return reference
    named = registry_of(reference)
    plain = reference.removeprefix(f"{named}/" if named else f"{DEFAULT_REGISTRY}/")
    return f"{prefix}/{plain if '/' in plain else f'library/{plain}'}"


OURS = Path(__file__).with_name("digests.toml")


def digest_of(reference: str) -> str:
    """The digest that an image must have to be pulled by its own name; "" where none is known, and
    below a prefix, whose registry is the user's. Raises UsageProblem for a wrong file."""
    if os.environ.get(PREFIX_VARIABLE) or "@" in reference:
        return ""
    pins = digests.own()
    return (digests.pinned(OURS) if pins is None else pins).get(reference, "")


class _Failures:
    """What could not be pulled in this run: no second wait for the same nothing.

    An unreachable registry is remembered for all of its images, an absent image for itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], PullFailure] = {}

    def known(self, engine: Engine, reference: str) -> PullFailure | None:
        host = engine.env.get("DOCKER_HOST", "")
        with self._lock:
            return self._failures.get((host, _place(reference))) or self._failures.get(
                (host, reference)
            )

    def remember(self, engine: Engine, reference: str, failure: PullFailure) -> None:
        all_of_it = {"unreachable": _place(reference), "absent": reference}
        if failure.kind in all_of_it:
            with self._lock:
                host = engine.env.get("DOCKER_HOST", "")
                self._failures[host, all_of_it[failure.kind]] = failure


def _place(reference: str) -> str:
    """The registry that an image is pulled from."""
    return f"{registry_of(pulled_as(reference))}/"


_failures = _Failures()


def known_failure(engine: Engine, reference: str) -> PullFailure | None:
    """Why an image cannot be pulled, if this run has found that out already."""
    return _failures.known(engine, reference)


def pull(engine: Engine, reference: str) -> PullFailure | None:
    """Pull an image; None when the engine has it now, else why not.

    A machine without network is found out within 20 s, once for each registry and run.
    """
    failure = known_failure(engine, reference)
    if failure is not None:
        return failure
    digest = digest_of(reference)
    source = f"{reference.rpartition(':')[0]}@{digest}" if digest else pulled_as(reference)
    try:
        with board.phase(f"Pulling {pulled_as(reference)}"):
            _pull(engine, source)
            if source != reference:
                what = f"naming what was pulled {reference}"
                plain = reference.partition("@")[0]  # a digest is no part of a name that is given
                client.docker(engine, "tag", source, plain, what=what)
    except _NotPulled as problem:
        failure = PullFailure(classify(problem.said), problem.said)
        if digest and failure.kind == "absent":
            failure = PullFailure(
                "absent",
                f"the registry has none of the digest that is pinned, {digest} ({problem.said}); "
                f"another that may stand for it is named in a file of your own, {digests.DIGESTS}",
            )
        _failures.remember(engine, reference, failure)
        return failure
    return None


class _NotPulled(Exception):
    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


def _pull(engine: Engine, reference: str) -> None:
    name = re.sub(r"[^\w.-]", "_", reference)
    with cache.locked(f"pull-{name}"), cache.scratch(f"pull-{name}") as folder:
        output = folder / "output"
        with output.open("wb") as sink:
            child = client.start(engine, "pull", reference, stdout=sink, stderr=sink)
        try:
            code = process.finish(child, timeout=ANSWER_WITHIN)
        except subprocess.TimeoutExpired:
            # The first line ("…: Pulling from …") comes when the registry has answered.
            if not output.read_bytes().strip():
                process.stop(child)
                raise _NotPulled(f"no answer within {ANSWER_WITHIN:.0f} s") from None
            try:
                code = process.finish(child, timeout=PULL_WITHIN)
            except subprocess.TimeoutExpired as error:
                raise EnvironmentProblem(
                    f"Pulling {reference} did not end within {PULL_WITHIN / 60:.0f} min; "
                    "pull it by hand, or build it (IMAGES=build)."
                ) from error
        finally:
            process.stop(child)
        said = output.read_text(errors="replace").strip()
    if code != 0:
        last = said.splitlines()[-1] if said else f"exit code {code}"
        raise _NotPulled(last.removeprefix("Error response from daemon: "))
