"""Where things live: what comes with the package, the user's cache, the results."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "data"
"""Made by setup.py in a wheel; a checkout has none."""

CHECKOUT = _PACKAGE.parent
"""Where the package lies: the checkout, or the folder that a wheel was installed into."""
DATA = _INSTALLED if _INSTALLED.is_dir() else CHECKOUT
FIXTURES = DATA / "fixtures"
KIND_CONFIGS = DATA / "kind-configs"


def results_dir() -> Path:
    """Where runs leave their results unless they are told: beside the checkout's package, or, where
    a wheel was installed, in the current folder."""
    return (Path.cwd() if DATA == _INSTALLED else CHECKOUT) / "results"


def cache_dir() -> Path:
    """The suite's folder for what is worth keeping between runs (tools, images, engine data).

    ``SIDECAR_CONFORMANCE_CACHE`` names another one; otherwise the XDG cache folder is used.
    """
    own = os.environ.get("SIDECAR_CONFORMANCE_CACHE")
    if own:
        return Path(own).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "sidecar-conformance"
