"""The command line: ``sidecar-conformance``.

A wrong word is refused within a moment on a busy machine, too: a command's module is imported when
it is called, and what it works with after its options were looked at.
"""

from conformance.cli.group import main

__all__ = ["main"]
