"""The docker client: what it is asked, and that nobody else runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import conformance
from conformance.engine import client
from conformance.errors import EnvironmentProblem

ROOT = Path(conformance.__file__).parent


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that says where it would go, and what it was asked."""
    program = tmp_path / "docker"
    program.write_text('#!/bin/sh\necho "$DOCKER_HOST: $@"\n[ "$1" != fail ]\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("DOCKER_HOST", raising=False)


@pytest.mark.usefixtures("docker")
def test_it_goes_to_the_engine_that_is_named() -> None:
    assert client.docker(client.at("unix:///there"), "ps", "-a") == "unix:///there: ps -a\n"
    assert client.docker(client.at(), "ps") == ": ps\n"
    said = client.in_node(client.at("unix:///there"), "sc-1-33", "stat", "/")
    assert said == "unix:///there: exec sc-1-33 stat /\n"


@pytest.mark.usefixtures("docker")
def test_a_failure_names_what_was_asked() -> None:
    with pytest.raises(EnvironmentProblem, match=r"^docker fail now failed: .*: fail now please"):
        client.docker(client.at(), "fail", "now", "please")


def test_without_a_client_the_user_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EnvironmentProblem, match=r"not on PATH; install it"):
        client.at()


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        # engine.py looks whether there is a client at all before it installs one.
        (r"which\(\"docker\"\)", {"engine/client.py", "engine/engine.py"}),
        (r"^\s*(from|import) tenacity", {"machine/waiting.py"}),
    ],
)
def test_it_is_done_in_one_place(pattern: str, home: set[str]) -> None:
    """Whoever needs a client or a wait has one: with a sentence for the user, and a deadline."""
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if re.search(pattern, path.read_text(), re.MULTILINE)
    }
    assert found == home
