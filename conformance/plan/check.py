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
# What only one target takes; and what a target takes that does not take every option.
OWN = {
    "reproduce": ("FAILURE",),
    "upgrade-check": ("FROM", "TO", "VALUES"),
    "soak": ("N", "FOLDERS"),
    "bench-judges": ("RUN",),
    "bench-capture": ("RESULTS",),
}
FEW = {"reproduce": ("K8S", "SIDECAR", "PATTERN", "IMAGES", "RESULTS", "KEEP")}
ALWAYS = ("PYTHON", "PYTEST_ARGS")
YES, NO = ("1", "yes", "true"), ("0", "no", "false")
# What make passes on to programs below it, which may well want it.
OTHERS = re.compile(
    r"(SIDECAR_CONFORMANCE_|DOCKER_|BUILDKIT_|XDG_|GO[A-Z]|PIP_|SSL_|MAKE|LC_).*"
    r"|(https?|no|all)_proxy|SHELL|PATH|HOME|TMPDIR|TERM|COLUMNS|NO_COLOR|LANG|KUBECONFIG",
    re.IGNORECASE,
)


def variables(target: str = "") -> Sequence[str]:
    """The variables that make knows; of a target, those that it takes."""
    named = [
        OTHER_NAMES.get(option.name, option.name.replace("-", "_").upper()) for option in OPTIONS
    ]
    own = OWN.get(target, ()) if target else [name for names in OWN.values() for name in names]
    return (*FEW.get(target, named), *own, *ALWAYS)


def check_variables(given: Sequence[str], target: str = "") -> None:
    """Raises UsageProblem for a variable that make, or the target, would ignore."""
    taken, known = variables(target), variables()
    for name in given:
        if name in taken or (OTHERS.fullmatch(name) and name.upper() not in known):
            continue
        if name in known:
            raise UsageProblem(f"make {target} takes no {name}; it takes {', '.join(taken)}.")
        near = did_you_mean(name, known)
        raise UsageProblem(
            f"make knows no variable {name}{near or ';'} choose from {', '.join(taken)}.".replace(
                "? choose", "? Choose"
            )
        )


def check_switches(given: Sequence[str]) -> None:
    """Raises UsageProblem for a switch (NAME=value) that is neither on nor off."""
    for name, _, value in (one.partition("=") for one in given):
        if value.strip() not in (*YES, *NO):
            raise UsageProblem(
                f"{name}={value} is not valid; choose from {', '.join(YES)}, or {', '.join(NO)}."
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
    parser.add_argument("--switch", action="append", default=[])
    parser.add_argument("--target", default="")
    parser.add_argument("--failure", help="of reproduce")
    given = vars(parser.parse_args(argv))
    try:
        check_variables(given.pop("variable"), given.pop("target"))
        check_switches(given.pop("switch"))
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
