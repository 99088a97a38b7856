"""Pins a Kubernetes patch version: for a run that asks for it, or for maintainers.

``python -m conformance.images.pin 1.38.1`` writes go.mod and go.sum of
kind-configs/node-image/kubernetes/1.38. With a kind config v1.38.yaml beside them, that is all a
new minor needs. It fails for patches of which a module that is compiled cannot be had: take
another patch then. What only tests of Kubernetes need may be missing.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.errors import EnvironmentProblem, Problem, UsageProblem
from conformance.images import cache
from conformance.images.go_build import TOOLCHAIN
from conformance.machine import paths, process

SOURCE = paths.KIND_CONFIGS / "node-image" / "kubernetes"
MODULE = "sidecar-conformance/node-image/kubernetes"

TAGS = "providerless"
"""Build tags of Kubernetes. Up to 1.30 the clouds' own SDKs are linked in; upstream checks that it
builds without."""

# "<tab>package: module@version: reading <address>: reason", as ``go mod tidy -e`` says it.
_REFUSED = re.compile(r"^\t(\S+): (\S+@v\S+): (?:reading \S+: )?(.+)$", re.MULTILINE)


def render_go_mod(theirs: str, version: str) -> str:
    """A go.mod that requires Kubernetes ``version`` ("1.33.13"), from Kubernetes' own go.mod.

    A replacement counts in the main module only. Kubernetes points its staging modules at folders
    of its repository; published, they carry the same numbers under v0.
    """
    language = re.search(r"^go \S+$", theirs, re.MULTILINE)
    behaviour = re.search(r"^godebug .+$", theirs, re.MULTILINE)
    staging = re.findall(r"^\t(k8s\.io/\S+) => \./staging/", theirs, re.MULTILINE)
    if language is None or not staging:
        raise UsageProblem(f"The go.mod of Kubernetes {version} has no go line or staging modules.")
    published = f"v0.{version.partition('.')[2]}"
    blocks = [f"module {MODULE}", language[0]]
    if behaviour is not None:
        blocks.append(behaviour[0])
    blocks.append(f"require k8s.io/kubernetes v{version}")
    replaced = "".join(f"\t{module} => {module} {published}\n" for module in staging)
    blocks.append(f"replace (\n{replaced})")
    return "\n\n".join(blocks) + "\n"


def pin(version: str, folder: Path) -> Path:
    """Write the go.mod and go.sum of a version into a folder; that folder.

    Raises UsageProblem for what is no patch version, EnvironmentProblem where Go finds no such
    version, or not all modules that are compiled; then it names each of them.
    """
    if not paths.is_patch(version):
        raise UsageProblem(f"{version} is no patch version; write it as 1.38.1.")
    env = {"GOFLAGS": "", "GOWORK": "off", **TOOLCHAIN}
    said = process.run(
        ["go", "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"],
        what=f"downloading Kubernetes {version}",
        env=env,
    )
    theirs = Path(json.loads(said)["GoMod"]).read_text()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copy(SOURCE / "main.go", work)
        (work / "go.mod").write_text(render_go_mod(theirs, version))
        _resolve(version, work, env)
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("go.mod", "go.sum"):
            shutil.copy(work / file, folder)
    return folder


def _resolve(version: str, work: Path, env: Mapping[str, str]) -> None:
    """Have Go write the whole go.mod and go.sum into ``work``.

    Tidying asks for the tests of all dependencies too; what those alone need stops nothing (-e).
    """
    what, log = f"resolving Kubernetes {version}", cache.fresh_log(f"pin-{version}")
    process.run(["go", "mod", "tidy", "-e"], what=what, log=log, env=env, cwd=work)
    asked = ["go", "list", "-e", "-deps", "-mod=readonly", "-tags", TAGS]
    lacking = process.run(
        [*asked, "-f", "{{if .Error}}{{.ImportPath}}{{end}}", "."], what=what, env=env, cwd=work
    )
    if lacking.split():
        refused = ", ".join(unobtainable(lacking.split(), log.read_text()))
        raise EnvironmentProblem(
            f"{what} failed: it cannot be compiled without {refused}; the whole log is {log}"
        )


def unobtainable(lacking: Sequence[str], said: str) -> list[str]:
    """The modules of packages that Go could not get, each once and with Go's reason:
    "k8s.io/api@v0.38.0 (404 Not Found)". A package that it gave no reason for stands by itself.

    said: what ``go mod tidy -e`` said.
    """
    reasons = {package: f"{module} ({why})" for package, module, why in _REFUSED.findall(said)}
    return list(dict.fromkeys(reasons.get(package, package) for package in lacking))


if __name__ == "__main__":
    try:
        for wanted in sys.argv[1:]:
            print(pin(wanted, SOURCE / ".".join(wanted.split(".")[:2])))
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
