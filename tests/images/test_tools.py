"""Tools: those on PATH that are recent enough, and what is built where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem
from conformance.images import tools
from conformance.machine.paths import CHECKOUT


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('{"clientVersion": {"minor": "32+", "gitVersion": "v1.32.4-dispatcher"}}', (1, 32)),
        ('{"clientVersion": {"gitVersion": "v1.28.2"}, "kustomizeVersion": "v5.0.4"}', (1, 28)),
        ("0.33.0\n", (0, 33)),
        ("kind v0.32.0 go1.26.1 linux/amd64", (0, 32)),
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("", None),
        ("{}", None),
    ],
)
def test_versions_are_read_from_what_tools_say(said: str, version: tuple[int, int] | None) -> None:
    assert tools.version_in(said) == version


def fake(folder: Path, name: str, said: str) -> Path:
    """A program that says one thing."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\n")
    program.chmod(0o755)
    return program


def test_a_recent_tool_on_path_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = fake(tmp_path / "bin", "kind", "0.32.0")
    monkeypatch.setenv("PATH", str(kind.parent))
    assert tools.kind() == kind


def test_an_old_tool_and_no_go_is_a_problem_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "bin", "kind", "0.27.0")
    fake(tmp_path / "bin", "go", "go version go1.22.1 linux/amd64")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(EnvironmentProblem, match=r"there is Go 1\.22; install kind, or Go 1\.26"):
        tools.kind()
    (tmp_path / "bin" / "go").unlink()
    with pytest.raises(EnvironmentProblem, match="there is no Go"):
        tools.kind()


def test_a_built_tool_is_built_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A go that "builds" after a while; two processes want the same tool at once."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(
        "#!/bin/sh\n"
        '[ "$1" = version ] && { echo go version go1.26.1 x; exit; }\n'
        f'echo built >> "{tmp_path}/built"; sleep 0.5; echo made > "$GOBIN/kind"\n'
    )
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/bin:/usr/bin")
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    program = (
        "from conformance.images import tools as t; print(t._built('kind', 'v1', t._make_kind))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = {one.communicate()[0].strip() for one in both}
    assert said == {str(tmp_path / "cache" / "tools" / "kind-v1" / "kind")}
    assert (tmp_path / "built").read_text() == "built\n"
    left = sorted(entry.name for entry in (tmp_path / "cache" / "tools").iterdir())
    assert left == ["kind-v1"]
