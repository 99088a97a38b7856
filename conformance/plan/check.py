"""The check that make does first: ``python3 -m conformance.plan.check --k8s 1.33 …``.

Standard library only: it answers in well under 2 s on a machine that has nothing of the project
yet, with exit code 2 and one sentence for a wrong value.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from conformance.errors import Problem
from conformance.plan.options import OPTIONS, Options


def main(argv: Sequence[str] | None = None) -> int:
    """Check the options of a run. Returns the exit code: 0 or 2."""
    parser = argparse.ArgumentParser(prog="conformance.plan.check", allow_abbrev=False)
    for option in OPTIONS:
        if option.flag:
            parser.add_argument(f"--{option.name}", action="store_true")
        else:
            parser.add_argument(f"--{option.name}")
    try:
        Options.check(vars(parser.parse_args(argv)))
    except Problem as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
