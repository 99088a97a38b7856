"""make's own part: values checked first, words passed on whole, codes told, signals delivered."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.machine.paths import CHECKOUT
from conformance.plan import check


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is complete and whose command is a stand-in."""
    made = tmp_path / "checkout"
    made.mkdir()
    shutil.copy(CHECKOUT / "Makefile", made)
    for package in ("conformance", "conformance/machine", "conformance/plan"):
        (made / package).mkdir()
        (made / package / "__init__.py").write_text("")
    (made / "conformance" / "plan" / "check.py").write_text(
        "import sys\nprint(sys.argv[1:])\nsys.exit(2 if '--k8s=9.99' in sys.argv else 0)\n"
    )
    (made / "conformance" / "machine" / "venv.py").write_text("")
    command = made / ".venv" / "bin" / "sidecar-conformance"
    command.parent.mkdir(parents=True)
    command.write_text(
        f"#!{sys.executable}\n"
        "import signal, sys\n"
        "seen = []\n"
        "for one in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(one, lambda number, _: seen.append(number))\n"
        "print('run', sys.argv[1:], flush=True)\n"
        "if 'KEEP' in sys.argv[-1].upper():\n"
        "    signal.pause()\n"
        "    signal.setitimer(signal.ITIMER_REAL, 1)\n"
        "    signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "    signal.pause()\n"
        "print('signals', [int(one) for one in seen], flush=True)\n"
    )
    command.chmod(0o755)
    return made


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        cwd=checkout,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )


def clean_environment() -> dict[str, str]:
    """Without the variables of a make that runs these tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def test_make_passes_every_variable_on_as_one_word(checkout: Path) -> None:
    done = make(
        checkout,
        "conformance",
        "K8S=1.28,1.33",
        "RESULTS=/a folder/it's",
        "KEEP=0",
        "STRICT=1",
        "TAKE_AWAY=beacon",
    )
    assert done.returncode == 0, done.stderr
    options = "'--k8s=1.28,1.33', '--take-away=beacon', \"--results=/a folder/it's\", "
    assert f"{options}'--strict-promises']" in done.stdout
    for name in ("PYTHON", "K8S", "RESULTS", "KEEP", "STRICT", "TAKE_AWAY"):
        assert f"'--variable={name}'" in done.stdout
    assert (
        "run ['run', '--k8s=1.28,1.33', '--take-away=beacon', \"--results=/a folder/it's\", "
        "'--strict-promises']"
    ) in done.stdout


def test_make_checks_values_before_anything_else_and_prints_the_code(checkout: Path) -> None:
    shutil.rmtree(checkout / ".venv")
    done = make(checkout, "conformance", "K8S=9.99")
    assert done.returncode == 2
    assert "sidecar-conformance: exit code 2 (wrong use)" in done.stderr
    assert "run [" not in done.stdout


def test_an_empty_variable_is_passed_on_to_be_refused(checkout: Path) -> None:
    assert "'--sidecar='" in make(checkout, "conformance", "SIDECAR=").stdout


def test_make_knows_its_variables() -> None:
    """Each that the Makefile passes on is one that the check knows, and the reverse."""
    text = (CHECKOUT / "Makefile").read_text()
    passed = set(re.findall(r"\$\(call (?:option|flag),[a-z0-9-]+,([A-Z0-9_]+)\)", text))
    assert passed | {"FAILURE", "N", "RUN", "FOLDERS", "PYTHON", "PYTEST_ARGS"} == set(
        check.variables()
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [("K8s=1.33", "K8S"), ("BEHAVIOR=stop.order", "BEHAVIOUR"), ("SIDECARS=envoy", "SIDECAR")],
)
def test_a_misspelt_variable_is_refused(given: str, meant: str) -> None:
    done = subprocess.run(
        ["make", "conformance", given, f"PYTHON={sys.executable}"],
        cwd=CHECKOUT,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and f"did you mean {meant}?" in done.stderr
    assert "exit code 2 (wrong use)" in done.stderr


def test_make_names_a_missing_python(checkout: Path) -> None:
    done = make(checkout, "conformance", "PYTHON=python-not-there")
    assert "python-not-there is not installed" in done.stderr
    assert "exit code 3" in done.stderr


def test_make_names_an_old_python(checkout: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    done = make(checkout, "conformance", f"PYTHON={old}")
    assert "Python 3.11 or newer is needed, and Python 3.9.2 is" in done.stderr


def test_ctrl_c_reaches_the_run_once_and_make_waits_for_it(checkout: Path) -> None:
    """On a terminal, as a user's: Ctrl-C goes to the whole foreground group."""
    said = on_a_terminal(checkout, lambda terminal, _: os.write(terminal, b"\x03"))
    assert "signals [2]" in said


def test_a_signal_to_make_alone_reaches_the_run(checkout: Path) -> None:
    said = on_a_terminal(checkout, lambda _, pid: os.kill(pid, 15))
    assert "signals [15]" in said


def on_a_terminal(checkout: Path, act: Callable[[int, int], object]) -> str:
    """Start ``make conformance KEEP=1`` on a terminal, act when it runs; all that was printed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(checkout)
        command = ["make", f"PYTHON={sys.executable}", "conformance", "KEEP=1"]
        os.execvpe("make", command, clean_environment())
    said, acted = "", False
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # EIO: everyone has closed the terminal
            break
        if not chunk:
            break
        said += chunk.decode(errors="replace")
        if "run [" in said and not acted:
            acted = True
            time.sleep(0.3)  # the stand-in pauses right after this line
            act(terminal, pid)
    os.waitpid(pid, 0)
    os.close(terminal)
    return said
