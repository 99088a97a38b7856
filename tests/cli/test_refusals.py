"""Wrong words are refused in one sentence, before anything heavy is even imported."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.cli.group import COMMANDS
from conformance.machine.paths import CHECKOUT

# Each takes longer to import than a refusal may take on a busy machine.
HEAVY = ("kubernetes", "pydantic", "pytest", "scapy", "jinja2", "rich", "yaml", "cryptography")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nonsense"], "No such option '--nonsense'; see sidecar-conformance --help."),
        (["--versoin"], "Did you mean '--version'? See sidecar-conformance --help."),
        (["rnu"], "rnu is no command, did you mean run? Choose from run, upgrade-check"),
        (["nonsense"], "nonsense is no command; choose from run, upgrade-check"),
        (["run", "--sidecars", "x"], "'--sidecar-file'? See sidecar-conformance run --help."),
        (["run", "--k8s"], "requires an argument; see sidecar-conformance run --help."),
        (["run", "envoy"], "unexpected extra argument (envoy); see sidecar-conformance run"),
        (["judge"], "Missing argument 'PATH'; see sidecar-conformance judge --help."),
        (["compare"], "Missing argument 'BEFORE AFTER'; see sidecar-conformance compare"),
        (["compare", "a", "b", "--share", "x"], "'x' is not a valid float; see"),
        (["report-bug"], "Missing argument 'VERDICT'; see"),
        (["bisect", "stop.order"], "Missing argument 'GOOD'; see"),
        (["doctor", "--nodes", "2"], "No such option '--nodes'; see sidecar-conformance doctor"),
        (["audit", "--nonsense"], "No such option '--nonsense'; see sidecar-conformance audit"),
    ],
)
def test_a_wrong_word_is_one_sentence_that_says_where_the_right_ones_are(
    arguments: list[str], said: str
) -> None:
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 2 and not answer.stdout
    first, last = answer.stderr.splitlines()
    assert first.startswith("sidecar-conformance: ") and said in first
    assert last == "sidecar-conformance: exit code 2 (wrong use)"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["run", "--nonsense"],
        ["run", "--k8s", "9.99"],
        ["run", "--sidecar", "cilium", "--pattern", "native"],
        ["run", "--results", "/etc/passwd"],
        ["upgrade-check", "--from", "1,2"],
        ["reproduce", "startup-rac"],
        ["bisect", "stop.order", "1.33.1", "1.34.1"],
        ["list", "stop.ordr"],
        ["images"],
        ["cleanup"],
    ],
)
def test_a_refusal_imports_nothing_that_is_heavy(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print(sorted({set(HEAVY)!r} & set(sys.modules))))\n"
        "from conformance.cli import main\n"
        f"main({arguments!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says(name: str) -> None:
    module, function, about = COMMANDS[name]
    command = getattr(importlib.import_module(f"conformance.{module}"), function)
    assert isinstance(command, click.Command) and command.name == name
    assert about.endswith(".") and len(f"  upgrade-check  {about}") < 80


def test_the_help_names_every_command_whole() -> None:
    told = CliRunner().invoke(main, ["--help"]).stdout
    for name, (_, _, about) in COMMANDS.items():
        assert f"  {name} " in told and about in told
