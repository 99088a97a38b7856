"""A wheel works from where it is installed: what lies beside the package in a checkout is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conformance.images import cache
from conformance.machine.paths import CHECKOUT, FIXTURES, KIND_CONFIGS

FOLDERS = ("conformance", "fixtures", "kind-configs")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a wheel of this checkout was installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves things where it works
    source.mkdir()
    for name in FOLDERS:
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, source / name, symlinks=True, ignore=left_out)
    for name in FILES:
        shutil.copy(CHECKOUT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels = folder / "wheels"
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source)
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "__pycache__" in name]
    _run(*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    return folder / "site"


def command(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command of that wheel, run from another folder."""
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "PYTHONNOUSERSITE": "1"},
        capture_output=True,
        text=True,
    )


def test_it_lists_the_promises(installed: Path, tmp_path: Path) -> None:
    told = command(installed, tmp_path, "list")
    assert told.returncode == 0, told.stderr
    assert "stop.order" in told.stdout


def test_a_version_that_is_not_there_is_refused_with_those_that_are(
    installed: Path, tmp_path: Path
) -> None:
    told = command(installed, tmp_path, "run", "--k8s", "9.99")
    assert told.returncode == 2, told.stderr
    assert "9.99" in told.stderr and "1.33" in told.stderr
    assert not list(tmp_path.iterdir())


def test_it_has_what_images_and_clusters_are_made_from(installed: Path) -> None:
    """With the same names: what a checkout has built, a wheel uses, and the other way round."""
    data = installed / "conformance" / "data"
    for here, there in ((FIXTURES / "app", "fixtures/app"), (KIND_CONFIGS, "kind-configs")):
        assert cache.digest_of_files(data / there) == cache.digest_of_files(here)
    assert os.access(data / "fixtures" / "observer" / "sidecar-capture", os.X_OK)


def test_its_results_go_into_the_current_folder(installed: Path, tmp_path: Path) -> None:
    program = "from conformance.machine import paths; print(paths.FIXTURES, paths.results_dir())"
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    fixtures = installed / "conformance" / "data" / "fixtures"
    assert told.stdout.split() == [str(fixtures), str(tmp_path / "results")], told.stderr


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
