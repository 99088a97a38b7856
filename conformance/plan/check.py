"""The check that make does first: ``python3 -m conformance.plan.check --k8s 1.33 …``.

Standard library only: it answers in well under 2 s on a machine that has nothing of the project
yet, with exit code 2 and one sentence for a wrong value.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from conformance.errors import Problem, UsageProblem
from conformance.plan import wish
from conformance.plan.options import OPTIONS, Options
from conformance.plan.spelling import did_you_mean

# make's own name for an option, where it is another one.
OTHER_NAMES = {"strict-promises": "STRICT", "kubeconfig": "KUBECONFIG_FILE"}
OWN = ("FAILURE", "FROM", "TO", "VALUES", "N", "RUN", "FOLDERS", "PYTHON", "PYTEST_ARGS")
# What make passes on to programs below it, which may well want it.
OTHERS = re.compile(
    r"(SIDECAR_CONFORMANCE_|DOCKER_|BUILDKIT_|XDG_|GO[A-Z]|PIP_|SSL_|MAKE|LC_).*"
    r"|(https?|no|all)_proxy|SHELL|PATH|HOME|TMPDIR|TERM|COLUMNS|NO_COLOR|LANG|KUBECONFIG",
    re.IGNORECASE,
)


def variables() -> Sequence[str]:
    """The variables that make knows."""
    named = [
        OTHER_NAMES.get(option.name, option.name.replace("-", "_").upper()) for option in OPTIONS
    ]
    return (*named, *OWN)


def check_variables(given: Sequence[str]) -> None:
    """Raises UsageProblem for a variable that make would ignore."""
    for name in given:
        if name not in variables() and (name.upper() in variables() or not OTHERS.fullmatch(name)):
            near = did_you_mean(name, variables())
            raise UsageProblem(
                f"make knows no variable {name}{near or ';'} choose from "
                f"{', '.join(variables())}.".replace("? choose", "? Choose")
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Check the options of a run. Returns the exit code: 0 or 2."""
    parser = argparse.ArgumentParser(prog="conformance.plan.check", allow_abbrev=False)
    for option in OPTIONS:
        if option.flag:
            parser.add_argument(f"--{option.name}", action="store_true")
        else:
            parser.add_argument(f"--{option.name}")
    parser.add_argument("--variable", action="append", default=[])
    parser.add_argument("--failure", help="of reproduce")
    given = vars(parser.parse_args(argv))
    try:
        check_variables(given.pop("variable"))
        if failure := (given.pop("failure") or "").strip():
            wish.ask(failure, given)
        else:
            Options.check(given)
    except Problem as problem:
        print(f"sidecar-conformance: {problem}", file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
