"""Sidecars of the user's own among the names of sidecars: SIDECAR=./mine.yaml, SIDECAR_FILE=.

The files are read by conformance.sidecars.own, which needs packages; make's check comes before
there are any, and looks only whether the file is there: the run checks the rest, before anything
is created. Standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from conformance.errors import UsageProblem
from conformance.plan.sidecars import REGISTRY, Registration

_READER = "conformance.sidecars.own.registering"
_NEEDS = ("yaml", "pydantic", "kubernetes")
_UNREAD = "own-file"  # the name that stands for a file which cannot be read yet


def is_file(word: str) -> bool:
    """Whether a name of a sidecar means a file."""
    return word.endswith((".yaml", ".yml")) or "/" in word


def sidecars(named: str | None, files: str | None) -> str | None:
    """What the two options ask for, as names of the registry, separated by commas; None for
    neither. The files' sidecars are registered. Raises UsageProblem."""
    if files is not None and not files.strip():
        raise UsageProblem("SIDECAR_FILE is empty; leave it out, or name a YAML file.")
    if named is None and files is None:
        return None
    words = [part.strip() for part in (named or "").split(",")]
    found = [admit(word) if is_file(word) else word for word in words if word or files is None]
    found += [admit(part.strip()) for part in (files or "").split(",") if part.strip()]
    return ",".join(found)


def admit(called: str) -> str:
    """Register the sidecar of a file; its name. Raises UsageProblem: file, line, field."""
    path = Path(called).expanduser()
    if not path.is_file():
        raise UsageProblem(
            f"SIDECAR={called} cannot be read: there is no such file; name a YAML file as in "
            "docs/own.md, or a sidecar."
        )
    if any(importlib.util.find_spec(name) is None for name in _NEEDS):
        REGISTRY[_UNREAD] = Registration(_UNREAD, "", path.parent, ("default",), file=path)
        return _UNREAD
    name: str = importlib.import_module(_READER).register(path, called)
    return name
