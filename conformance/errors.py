"""What the suite says to the user when it cannot go on: one sentence, and an exit code.

The sentence has three parts: what failed, what was seen, what to do.
Exit codes are those of the command line (see README, "Exit codes").
"""

from __future__ import annotations


class Problem(Exception):
    """Something the user must know about. ``str()`` of it is the whole message."""

    exit_code = 3


class UsageProblem(Problem):
    """A wrong option or value (exit code 2). Raised before anything is created."""

    exit_code = 2


class EnvironmentProblem(Problem):
    """The machine lacks something, or something of it failed (exit code 3)."""

    exit_code = 3


class Unobtainable(EnvironmentProblem):
    """This machine cannot have a thing (an image, a version); its cells are not-verified."""
