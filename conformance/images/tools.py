"""kind and kubectl: those on PATH when recent enough, else built from their Go modules.

Built tools lie in the cache, one folder for each version, and appear there whole or not at all.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from conformance.errors import EnvironmentProblem
from conformance.images import cache
from conformance.machine import process
from conformance.machine.paths import cache_dir
from conformance.machine.progress import board

# From 0.32 on, kind knows the newest minors' images and only warns about cgroup v1.
KIND_LEAST, KIND_BUILT = (0, 32), "v0.33.0"
# Older clients stumble over the restartPolicy of an init container (added to the API in 1.28).
KUBECTL_LEAST, KUBECTL_BUILT = (1, 29), "v0.37.2"
GO_LEAST = (1, 26)

_GO_ENV = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOWORK": "off", "CGO_ENABLED": "0"}

# kubectl's commands are the module k8s.io/kubectl; its program is only these lines, and the
# published one (k8s.io/kubernetes/cmd/kubectl) drags the whole of Kubernetes along.
_KUBECTL_MAIN = """package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/kubectl/pkg/cmd"
)

func main() { os.Exit(cli.Run(cmd.NewDefaultKubectlCommand())) }
"""


def kind() -> Path:
    """kind 0.32 or newer. Raises EnvironmentProblem when there is none and none can be built."""
    return _on_path("kind", ["version", "-q"], KIND_LEAST) or _built("kind", KIND_BUILT, _make_kind)


def kubectl() -> Path:
    """kubectl 1.29 or newer. Raises EnvironmentProblem when there is none and none can be built."""
    arguments = ["version", "--client", "-o", "json"]
    found = _on_path("kubectl", arguments, KUBECTL_LEAST)
    return found or _built("kubectl", KUBECTL_BUILT.replace("v0.", "v1."), _make_kubectl)


def version_in(said: str) -> tuple[int, int] | None:
    """(major, minor) that a tool or Go says it is; None when nothing like a version is there.

    Understands kubectl's JSON, whose gitVersion may carry a wrapper's name
    ("v1.32.4-dispatcher"), and plain "0.33.0", "kind v0.33.0 go1.26", "go1.26.8".
    """
    text = said
    with suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(said)["clientVersion"]["gitVersion"])
    match = re.search(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _on_path(name: str, arguments: list[str], least: tuple[int, int]) -> Path | None:
    path, said = _asked(name, arguments)
    version = version_in(said)
    return path if version is not None and version >= least else None


def released_on_path(name: str, release: str, arguments: list[str]) -> Path | None:
    """A program on PATH, if it says that it is of exactly this release.

    arguments: what makes it print its version. One that cannot be run is not there.
    """
    path, said = _asked(name, arguments)
    return path if release in said.split() else None


def _asked(name: str, arguments: list[str]) -> tuple[Path | None, str]:
    """A program on PATH, and what it says of its version; "" where it cannot be run: a broken one
    is no reason to stop."""
    path = shutil.which(name)
    if path is None:
        return None, ""
    try:
        said = process.run([path, *arguments], what=f"asking {name} for its version", timeout=20)
    except EnvironmentProblem:
        return None, ""
    return Path(path), said


def _built(name: str, version: str, make: Callable[[Path], None]) -> Path:
    def build(folder: Path) -> None:
        _check_go(name)
        with board.phase(f"building {name} {version} from its Go module"):
            make(folder)

    folder = f"{name}-{version}"
    return cache.once(cache_dir() / "tools" / folder, f"tool-{folder}", build) / name


def _make_kind(folder: Path) -> None:
    _go(["install", f"sigs.k8s.io/kind@{KIND_BUILT}"], folder.parent, {"GOBIN": str(folder)})


def _make_kubectl(folder: Path) -> None:
    source = folder.parent / "kubectl"
    source.mkdir()
    (source / "main.go").write_text(_KUBECTL_MAIN)
    (source / "go.mod").write_text(
        "module kubectl\n\ngo 1.26\n\n"
        f"require k8s.io/kubectl {KUBECTL_BUILT}\n"
        f"require k8s.io/component-base {KUBECTL_BUILT}\n"
    )
    stamp = "-X k8s.io/component-base/version.gitVersion=" + KUBECTL_BUILT.replace("v0.", "v1.")
    _go(["mod", "tidy"], source, {})
    _go(["build", "-trimpath", "-ldflags", f"-s -w {stamp}", "-o", folder, "."], source, {})


def _go(arguments: list[str | Path], cwd: Path, env: dict[str, str]) -> None:
    """One go command, with no toolchain but the installed one, and none of the user's flags."""
    process.run(
        ["go", *arguments],
        what=f"go {arguments[0]} (is there a network or a filled module cache?)",
        cwd=cwd,
        env={**_GO_ENV, **env},
        timeout=1800,
    )


def _check_go(name: str) -> None:
    path = shutil.which("go")
    said = process.run([path, "version"], what="asking Go for its version") if path else ""
    version = version_in(said)
    if version is None or version < GO_LEAST:
        have = f"Go {version[0]}.{version[1]}" if version else "no Go"
        raise EnvironmentProblem(
            f"{name} is not on PATH in a recent version and cannot be built: there is {have}; "
            f"install {name}, or Go {GO_LEAST[0]}.{GO_LEAST[1]} or newer (https://go.dev/dl)."
        )
