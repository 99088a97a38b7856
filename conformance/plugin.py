"""The pytest plugin: what every pytest run of this environment loads, suites or not.

It adds nothing to a run of anyone else's tests: no option, no fixture, no marker. Only when the
suites below conformance/suites are named (by their path, or as ``--pyargs conformance.suites``)
are their hooks registered, which bring the options.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import pytest

from conformance.suites import HOOKS

SUITES = Path(__file__).parent / "suites"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser) -> None:
    """The first moment at which the arguments are known, and the last for options to be added."""
    if not names_suites(early_config.known_args_namespace.file_or_dir):
        return
    from conformance.suites import hooks

    try:
        early_config.pluginmanager.register(hooks, HOOKS)
        parser.parse_known_args([])  # where pytest puts all options together
    except (ValueError, argparse.ArgumentError) as error:  # the name of an option is taken
        raise pytest.UsageError(
            f"The suites' options are another plugin's too ({error}); leave that one out with "
            "-p no:NAME, or use sidecar-conformance run."
        ) from error


def names_suites(arguments: Iterable[str]) -> bool:
    """Whether one of pytest's arguments is of the suites."""

    def below(argument: str) -> bool:
        path = argument.split("::")[0]
        module = path == "conformance.suites" or path.startswith("conformance.suites.")
        return module or Path(path).resolve().is_relative_to(SUITES)

    return any(below(argument) for argument in arguments)
