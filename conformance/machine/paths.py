"""Where things live: the checkout, the user's cache, the results."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
FIXTURES = CHECKOUT / "fixtures"
KIND_CONFIGS = CHECKOUT / "kind-configs"


def cache_dir() -> Path:
    """The suite's folder for what is worth keeping between runs (tools, images, engine data).

    ``SIDECAR_CONFORMANCE_CACHE`` names another one; otherwise the XDG cache folder is used.
    """
    own = os.environ.get("SIDECAR_CONFORMANCE_CACHE")
    if own:
        return Path(own).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "sidecar-conformance"
