"""What users bring in files: sidecars (SIDECAR=./mine.yaml, SIDECAR_FILE=), pods (PODS=), settings
of a mesh (ISTIO_VALUES=).

The files are read by conformance.sidecars, which needs packages; make's check comes before
there are any, and looks only whether the file is there: the run checks the rest, before anything
is created. Standard library only.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace

from conformance.errors import UsageProblem
from conformance.machine.paths import expanded
from conformance.plan.sidecars import REGISTRY, Registration

_READER = "conformance.sidecars.own.registering"
_PODS = "conformance.sidecars.pods.registering"
_SETTINGS = "conformance.sidecars.settings.files"
_WRITTEN = "conformance.sidecars.written.document"
_NEEDS = ("yaml", "pydantic", "kubernetes")
_UNREAD = "own-file"  # the name that stands for a file which cannot be read yet


def is_file(word: str) -> bool:
    """Whether a name of a sidecar means a file."""
    return word.endswith((".yaml", ".yml")) or "/" in word


def sidecars(named: str | None, files: str | None, pods: str | None = None) -> str | None:
    """What the three options ask for, as names of the registry, separated by commas; None for none
    of them. The files' sidecars are registered. Raises UsageProblem."""
    for variable, value in (("SIDECAR_FILE", files), ("PODS", pods)):
        if value is not None and not value.strip():
            raise UsageProblem(f"{variable} is empty; leave it out, or name a YAML file.")
    if named is None and files is None and pods is None:
        return None
    words = [part.strip() for part in (named or "").split(",")]
    brought = files is not None or pods is not None
    found = [admit(word) if is_file(word) else word for word in words if word or not brought]
    found += [admit(one) for one in _parts(files)]
    found += [admit(one, "PODS", _PODS) for one in _parts(pods)]
    return ",".join(found)


def admit(called: str, variable: str = "SIDECAR", reader: str = _READER) -> str:
    """Register what a file describes; its name. Raises UsageProblem: file, line, field."""
    path = expanded(called)
    if not path.is_file():
        raise UsageProblem(
            f"{variable}={called} cannot be read: there is no such file; name a YAML file as in "
            "docs/own.md."
        )
    if not _readable():
        REGISTRY[_UNREAD] = Registration(_UNREAD, "", path.parent, ("default",), file=path)
        return _UNREAD
    # What is no YAML is refused before the model of Kubernetes' objects is imported, which takes
    # the better part of a second.
    importlib.import_module(_WRITTEN).read(path, called)
    name: str = importlib.import_module(reader).register(path, called)
    return name


def _parts(files: str | None) -> list[str]:
    return [part.strip() for part in (files or "").split(",") if part.strip()]


def settings(sidecar: str, given: Mapping[str, str | None], *, chosen: bool) -> None:
    """Admit the settings of a mesh that an option or the environment names, and forget those of
    before. chosen: whether the mesh is part of the run. Raises UsageProblem."""
    driver = REGISTRY[sidecar]
    if not driver.values_option:
        return
    REGISTRY[sidecar] = replace(driver, values=None, rows=())
    asked = given.get(driver.values_option.replace("-", "_"))
    if asked is not None and not asked.strip():
        raise UsageProblem(f"{driver.values_variable} is empty; leave it out, or name a YAML file.")
    if asked is not None and not chosen:
        raise UsageProblem(
            f"{driver.values_variable}={asked} is for {sidecar}, which is not part of this run; "
            f"add it (SIDECAR={sidecar}), or leave the file out."
        )
    called = asked or (os.environ.get(driver.values_variable, "") if chosen else "")
    if not called:
        return
    path = expanded(called)
    if not path.is_file():
        raise UsageProblem(
            f"{driver.values_variable}={called} cannot be read: there is no such file; name a YAML "
            "file with your settings."
        )
    if _readable():
        importlib.import_module(_SETTINGS).admit(path, sidecar, called)


def _readable() -> bool:
    """Whether the packages are there that read such files."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDS)
