"""Captures of the nodes' own interfaces, for one cell: what goes from one node to the other.

Each is the observer's agent on the node's eth0, from before the cell's first pod until after its
last one: wire/<node>/eth0.pcap, and the agent's diary beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.engine import client
from conformance.engine.client import Engine

INTERFACE = "eth0"  # kind's: every node has this one, and no other that leads out
FOLDER = "wire"
_START_SECONDS = 30.0
# In the node. See fixtures/observer/sidecar-capture.
_RUN = """
mkdir -p /run/sidecar-capture && exec 7</run/sidecar-capture 8</evidence
exec chroot /opt/sidecar-conformance /usr/bin/python3 -B -E -s -S /opt/observer/wire.py "$@"
"""


def start(engine: Engine, nodes: Sequence[str], namespace: str) -> None:
    """Return when every node's interface is watched. Raises EnvironmentProblem."""
    for node in nodes:
        folder = f"{namespace}/{FOLDER}/{node}"
        _run(engine, node, "start", _name(namespace), folder, INTERFACE)


def stop(engine: Engine, nodes: Sequence[str], namespace: str) -> None:
    """End what was started, if anything. Any number of times. Raises EnvironmentProblem."""
    for node in nodes:
        _run(engine, node, "stop", _name(namespace))


def _name(namespace: str) -> str:
    return f"wire-{namespace}"


def _run(engine: Engine, node: str, *words: str) -> None:
    client.in_node(
        engine,
        node,
        *("sh", "-c", _RUN, "sh", *words),
        what=f"watching {INTERFACE} of node {node} ({words[0]})",
        timeout=_START_SECONDS,
    )
