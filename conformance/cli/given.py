"""The options of a run, as a command takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from conformance.plan.options import OPTIONS


def options(*names: str) -> Callable[[Any], Any]:
    """Adds the options of a run to a command, or those that are named."""

    def add(command: Any) -> Any:
        for option in reversed([one for one in OPTIONS if not names or one.name in names]):
            command = click.option(
                f"--{option.name}",
                option.dest,
                help=option.help,
                **({"is_flag": True} if option.flag else {"metavar": "VALUE"}),
            )(command)
        return command

    return add
