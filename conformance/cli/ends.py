"""How the command ends."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from conformance.report.decision import summary


def end(code: int) -> NoReturn:
    """End the process, and say what its exit code means: make shows the user another one."""
    if code:
        meaning = summary.MEANING.get(code, "pytest failed")
        click.echo(f"sidecar-conformance: exit code {code} ({meaning})", err=True)
    sys.exit(code)
