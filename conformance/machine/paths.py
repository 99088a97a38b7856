"""Where things live: what comes with the package, the user's cache, the results."""

from __future__ import annotations

import os
import re
from pathlib import Path

from conformance.errors import UsageProblem

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "data"
"""Made by setup.py in a wheel; a checkout has none."""

CHECKOUT = _PACKAGE.parent
"""Where the package lies: the checkout, or the folder that a wheel was installed into."""
DATA = _INSTALLED if _INSTALLED.is_dir() else CHECKOUT
FIXTURES = DATA / "fixtures"
KIND_CONFIGS = DATA / "kind-configs"


def kind_config(k8s: str) -> Path:
    """The kind config of a version ("1.33", "1.28-nogate"). A patch ("1.33.4") has its minor's, and
    a pre-release of a minor without any ("1.38.0-beta.0") the newest one."""
    if not is_patch(k8s):
        return KIND_CONFIGS / f"v{k8s}.yaml"
    minor = ".".join(k8s.split(".")[:2])
    own = KIND_CONFIGS / f"v{minor}.yaml"
    plain = (path for path in KIND_CONFIGS.glob("v*.yaml") if "-" not in path.stem)
    newest = max(plain, key=lambda path: int(path.stem.split(".")[1]))
    return own if own.is_file() or "-" not in k8s else newest


def is_patch(k8s: str) -> bool:
    """Whether a version names its patch: "1.33.4", "1.38.0-beta.0"."""
    return re.fullmatch(r"1\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?", k8s) is not None


def results_dir() -> Path:
    """Where runs leave their results unless they are told: beside the checkout's package, or, where
    a wheel was installed, in the current folder."""
    return (Path.cwd() if DATA == _INSTALLED else CHECKOUT) / "results"


CACHE = "SIDECAR_CONFORMANCE_CACHE"
"""Names the folder for what is worth keeping between runs."""


def cache_dir() -> Path:
    """The suite's folder for what is worth keeping between runs (tools, images, engine data).

    ``SIDECAR_CONFORMANCE_CACHE`` names another one; otherwise the XDG cache folder is used.
    Raises UsageProblem where that is below a home folder and none is known.
    """
    own = os.environ.get(CACHE)
    if own:
        return expanded(own).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(base).resolve() / "sidecar-conformance"


def expanded(path: Path | str) -> Path:
    """With the home folder that its ~ stands for. Raises UsageProblem where none is known: a user
    that is only a number has none without HOME."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageProblem(
            f"No home folder is known for the ~ in {path}: set HOME, or name the whole path "
            f"({CACHE} names the cache's)."
        ) from error
