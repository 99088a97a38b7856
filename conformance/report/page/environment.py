"""The templates of all pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_FOLDERS = ("page", "trace", "compare")


@cache
def environment() -> Environment:
    """One environment: what is quoted is escaped, and a name that is missing is an error."""
    here = Path(__file__).parent.parent
    return Environment(
        loader=FileSystemLoader([here / folder for folder in _FOLDERS]),
        autoescape=select_autoescape(("html", "j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
