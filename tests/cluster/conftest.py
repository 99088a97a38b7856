"""What tests of clusters share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's cache is touched."""
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker client, kind and kubectl that note their arguments and say what a script says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, said in (("kind", "0.33.0"), ("kubectl", "v1.33.0"), ("docker", "")):
        program = folder / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $@" >> "{folder}/called"\n'
            f'[ -x "{folder}/{name}.does" ] && exec "{folder}/{name}.does" "$@"\n'
            f'echo "{said}"\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder
