"""A world for each scenario, in which every promise is kept.

A scenario's world is named in WORLDS of the module that has it; nothing else has to name it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache

from tests.forge.bundle import World


@cache
def worlds() -> Mapping[str, Callable[[str], World]]:
    """Scenario → its world, made for a pattern: the WORLDS of all modules of this package."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    ]
    return {
        scenario: make
        for module in modules
        for scenario, make in getattr(module, "WORLDS", {}).items()
    }
