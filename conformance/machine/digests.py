"""A file of one's own with the digests that images must have to be pulled by their own names."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache as memory
from pathlib import Path

from conformance.errors import UsageProblem
from conformance.machine.paths import expanded

DIGESTS = "SIDECAR_CONFORMANCE_DIGESTS"
"""Names a file of one's own in place of images/digests.toml: for a registry that has images of its
own under the official names. An empty one pins nothing."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def own_file() -> Path | None:
    """The file of one's own; None where none is named. Raises UsageProblem."""
    given = os.environ.get(DIGESTS)
    return expanded(given) if given else None


def own() -> Mapping[str, str] | None:
    """What the file of one's own pins, image → digest; None where none is named. Raises
    UsageProblem for a wrong file."""
    file = own_file()
    return None if file is None else pinned(file)


@memory
def pinned(file: Path) -> Mapping[str, str]:
    """What a file pins: image → digest. Raises UsageProblem for a wrong file."""
    try:
        found = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:  # no text, no TOML, a name that no file can have
        raise UsageProblem(
            f"{DIGESTS}={file} cannot be read: {error}; name a file of the form of "
            "conformance/images/digests.toml, or leave it out."
        ) from error
    for name, digest in found.items():
        if not _DIGEST.fullmatch(str(digest)):
            raise UsageProblem(
                f"{DIGESTS}={file}: {name} has no digest of the form sha256:… (64 digits)."
            )
    return found


def sentence(prefix: str) -> str:
    """What a file of one's own does to a run, in a sentence; "" where none is named.

    prefix: of --image-prefix, below which nothing is pinned.
    """
    if (pins := own()) is None:
        return ""
    said = f"{DIGESTS}={own_file()} stands in place of the suite's own digests: "
    if prefix:
        return f"{said}below {prefix} nothing is pinned."
    if not pins:
        return f"{said}it pins nothing, so an image is believed by its name."
    return f"{said}it pins {', '.join(sorted(pins))}; every other image is believed by its name."
