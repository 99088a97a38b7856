"""A signal to a process of a container, sent from the node: what a container's first process
ignores from inside, it does not ignore from there."""

from __future__ import annotations

from collections.abc import Sequence

# $1: a container's id. $2: a signal. $3: the name of the main process' child, "" for itself.
_SIGNAL = """
pid=$(ctr -n k8s.io tasks ls | awk -v id="$1" '$1 == id { print $2 }')
if [ -n "$3" ]; then pid=$(pgrep -P "$pid" -x "$3"); fi
kill -s "$2" "$pid"
"""


def command(container: str, signal: str, program: str = "") -> Sequence[str]:
    """What to run on the node to send a signal ("KILL") to a container of an id, or to its first
    process' child of a name."""
    return ("sh", "-euc", _SIGNAL, "signal", container, signal, program)
