"""What the suite says to the user when it cannot go on: one sentence, and an exit code.

The sentence has three parts: what failed, what was seen, what to do.
Exit codes are those of the command line (see README, "Exit codes").
"""

from __future__ import annotations

import re

# C0 but for tab and line end, DEL, C1 (ECMA-48), and what turns the direction of text around
# (UAX 9, 2): a terminal takes them for orders.
_ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Text that others wrote (a log, a pod, a packet), as it may be printed on a terminal: what
    would be an order to it is spelt out (``\\x1b``)."""
    return _ORDERS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class Problem(Exception):
    """Something the user must know about. ``str()`` of it is the whole message, harmless."""

    exit_code = 3

    def __str__(self) -> str:
        return harmless(super().__str__())


class UsageProblem(Problem):
    """A wrong option or value (exit code 2). Raised before anything is created."""

    exit_code = 2


class EnvironmentProblem(Problem):
    """The machine lacks something, or something of it failed (exit code 3)."""

    exit_code = 3


class Unobtainable(EnvironmentProblem):
    """This machine cannot have a thing (an image, a version); its cells are not-verified."""
