"""A driver of another project: two files, found by its entry point, as docs/adding.md shows it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.machine.paths import CHECKOUT
from conformance.plan.sidecars import installed

TOY = Path(__file__).parent
FILES = ("registration.toml", "driver.py")
ASK = """
import json
from conformance.plan import cells, selection
from conformance.plan.sidecars import REGISTRY
from conformance.plan.unasked import unasked
from conformance.sidecars.driver import load
from conformance.verdicts.expectations import expected
driver = load("toy")
chosen = selection.select({"k8s": "1.33", "sidecar": "toy"})
pod = {"spec": {"containers": [{"name": "app"}]}}
cell = cells.cells(selection.select({"k8s": "1.33", "sidecar": "toy", "pattern": "native"}))[0]
print(json.dumps({
    "names": list(REGISTRY),
    "unasked": unasked("toy"),
    "admitted": driver.admitted(driver.inject(pod, cell, "subject"), cell).pattern,
    "expected": {
        f"{item.cell.pattern} {item.cell.mode} {item.behaviour}":
            expected(item.behaviour, item.cell).expect
        for item in cells.items(chosen)
    },
}))
"""


def install(folder: Path, **points: str) -> Path:
    """What an installer leaves of a project with these entry points."""
    info = folder / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[sidecar_conformance.drivers]\n{lines}")
    return folder


def ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python, in an environment in which the toy is installed."""
    path = os.pathsep.join(map(str, (CHECKOUT, TOY, folder)))
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_is_two_short_files() -> None:
    files = [path for path in (TOY / "toy_sidecar").iterdir() if path.is_file()]
    assert sorted(path.name for path in files) == sorted(FILES)
    assert sum(len(path.read_text().splitlines()) for path in files) <= 150


def test_it_is_found_and_listed_and_its_expectations_are_read(tmp_path: Path) -> None:
    done = ask(install(tmp_path, toy="toy_sidecar"), "-c", ASK)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert "toy" in told["names"] and "envoy" in told["names"]
    assert told["admitted"] == "native"
    assert "lifecycle" not in told["unasked"] and "mesh" in told["unasked"]["keepalive"]
    expected = told["expected"]
    assert expected["native default start.order"] == "holds"  # the common table's
    assert expected["classic default stop.order"] == "broken"
    assert expected["native unprobed start.order"] == "broken"  # the toy's own


def test_the_list_tells_of_it_and_of_its_own_rows(tmp_path: Path) -> None:
    folder = install(tmp_path, toy="toy_sidecar")
    done = ask(folder, "-m", "conformance", "list", "--sidecar", "toy")
    said = " ".join(done.stdout.split())
    assert "toy: asked 5 of" in said
    assert "start.order, mode unprobed: broken (wrong-order)" in said
    assert "no cell of toy" not in said
    wrong = ask(folder, "-m", "conformance", "list", "toy")
    assert wrong.returncode == 2 and "list --sidecar toy" in wrong.stderr


def test_it_can_be_chosen(tmp_path: Path) -> None:
    folder = install(tmp_path, toy="toy_sidecar")
    check = ("-m", "conformance.plan.check", "--sidecar", "toy", "--mode", "unprobed")
    assert ask(folder, *check).returncode == 0
    absent = ask(tmp_path / "elsewhere", *check)
    assert absent.returncode == 2 and "SIDECAR=toy is not valid" in absent.stderr


def test_one_that_cannot_be_read_is_refused_by_its_name_and_disturbs_no_other(
    tmp_path: Path,
) -> None:
    folder = install(tmp_path, broken="no_such_package", fixture="toy_sidecar")
    check = ("-m", "conformance.plan.check", "--sidecar")
    broken = ask(folder, *check, "broken")
    assert broken.returncode == 2 and "SIDECAR=broken cannot be used" in broken.stderr
    assert "no_such_package" in broken.stderr and "Traceback" not in broken.stderr
    assert ask(folder, *check, "fixture,envoy").returncode == 2
    assert ask(folder, *check, "envoy").returncode == 0


def test_the_name_of_one_of_the_suites_own_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, envoy="toy_sidecar"))
    found, refused = installed()
    assert not found and "of the suite's own" in refused["envoy"]


@pytest.mark.parametrize("name", FILES)
def test_the_documentation_shows_these_files(name: str) -> None:
    assert (TOY / "toy_sidecar" / name).read_text() in (CHECKOUT / "docs/adding.md").read_text()


def test_a_row_that_is_wrong_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that went on would say that its engine does not answer."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    shutil.copytree(TOY / "toy_sidecar", tmp_path / "wrong_toy")
    file = tmp_path / "wrong_toy" / FILES[0]
    file.write_text(file.read_text().replace("start.order", "start.oder"))
    folder = install(tmp_path, wrong="wrong_toy")
    done = ask(folder, "-m", "conformance", "run", "--sidecar", "wrong")
    assert done.returncode == 2
    assert f"{file}: the row for start.oder is wrong" in done.stderr
