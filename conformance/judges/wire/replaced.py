"""Whether the agents of all nodes were replaced by those of a newer release, by all who know of it:
the pods as they were admitted, the nodes' runtimes, the agents themselves, and helm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.evidence.bundle import Bundle
from conformance.evidence.parse import Line, RuntimeEvent
from conformance.evidence.timeline import PUBLISH_LAG_NS
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.vocabulary import File, When
from conformance.model import Evidence, Window

# The running agent's own word (cilium-dbg version asks it over its socket); the line "Client" is of
# the program that asks, which the image has whatever runs.
_SAYS = re.compile(r"^Daemon:\s+v?(\d+\.\d+\.\d+)\b", re.MULTILINE)
_TAGGED = re.compile(r":v(\d+\.\d+\.\d+)(?:@|$)")
_CHART = re.compile(r"-(\d+\.\d+\.\d+)$")


@dataclass(frozen=True)
class Agent:
    """One node's agent at a moment, of which all who know of it say the same."""

    line: Line
    pod: str
    container: str
    version: str

    @property
    def evidence(self) -> Evidence:
        """Where it is described."""
        text = f"{self.line['node']}: {self.version} {self.line['when']} the upgrade"
        return Evidence(File.UPGRADE, self.line.number, ns=self.line.ns, text=text)


@dataclass(frozen=True)
class Replaced:
    """One node's agent, and the one that took its place. ended, made: the former's end and the
    other's creation, by the runtime."""

    node: str
    former: Agent
    present: Agent
    ended: RuntimeEvent
    made: RuntimeEvent

    @property
    def away(self) -> Window:
        """While the node had no agent, at the least."""
        end = min(self.ended.ns, self.ended.exited_ns or self.ended.ns)
        return Window(f"away on {self.node}", end, self.made.ns - PUBLISH_LAG_NS)

    @property
    def evidence(self) -> Sequence[Evidence]:
        """Where that is told."""
        ends = Evidence(File.RUNTIME, self.ended.number, ns=self.ended.ns, text="it ends")
        made = Evidence(File.RUNTIME, self.made.number, ns=self.made.ns, text="the other is made")
        return (self.former.evidence, ends, made, self.present.evidence)


def require_replaced(bundle: Bundle, window: Window, ready_ns: int) -> Sequence[Replaced]:
    """Every node's agent, replaced within the window. ready_ns: when all were said to be ready.

    Raises Unjudgeable unless on every node one pod with its one container was replaced by another
    one of a newer version, the same from everywhere; the former's container ended, and the other's
    was made after that and did not end, all by the runtime's events.
    """
    lines = list(bundle.records(File.UPGRADE))
    found = [_replaced(bundle, lines, node, window, ready_ns) for node in bundle.index.nodes]
    for when in ("former", "present"):
        versions = {getattr(one, when).version for one in found}
        if len(versions) != 1:
            told = " and ".join(sorted(versions))
            raise Unjudgeable(f"the {when} agents of the nodes are not of one version: {told}")
    return found


def _replaced(
    bundle: Bundle, lines: Sequence[Line], node: str, window: Window, ready_ns: int
) -> Replaced:
    former = _agent(lines, node, When.BEFORE)
    present = _agent(lines, node, When.AFTER)
    if former.line.ns > window.start or present.line.ns < window.end:
        raise Unjudgeable(f"the agents of {node} were not described before and after the upgrade")
    if former.pod == present.pod or former.container == present.container:
        raise Unjudgeable(f"the agent of {node} was not replaced: it is the same one as before")
    if _number(former.version) >= _number(present.version):
        raise Unjudgeable(
            f"the agent of {node} was {former.version} before the upgrade, and is "
            f"{present.version} after it: not a newer one"
        )
    ends = _events(bundle, "/tasks/exit", former.container)
    made = _events(bundle, "/tasks/create", present.container)
    if len(ends) != 1 or len(made) != 1:
        raise Unjudgeable(
            f"runtime.log has {len(ends)} ends of the former agent of {node}, and {len(made)} "
            "creations of the present one, not one each"
        )
    its = Replaced(node, former, present, ends[0], made[0])
    if not window.start < its.away.start < its.away.end < ready_ns:
        raise Unjudgeable(
            f"on {node} the present agent was not made after the former one had ended, within the "
            "upgrade"
        )
    if _events(bundle, "/tasks/exit", present.container):
        raise Unjudgeable(f"the present agent of {node} ended, too")
    return its


def _agent(lines: Sequence[Line], node: str, when: When) -> Agent:
    """What the one line on a node's agent says. Raises Unjudgeable where it contradicts itself."""
    its = [one for one in lines if (one["node"], one["when"]) == (node, when)]
    if len(its) != 1:
        raise Unjudgeable(f"{len(its)} lines of {File.UPGRADE} are of {node} {when} the upgrade")
    (line,) = its
    container, running = str(line["container"]), line["running"]
    if not container or list(running) != [container]:
        raise Unjudgeable(
            f"{when} the upgrade the pod's agent on {node} is {container[:12] or 'none'}, and its "
            f"runtime has {', '.join(one[:12] for one in running) or 'none'} running",
            evidence=(Evidence(File.UPGRADE, line.number, ns=line.ns),),
        )
    said = {
        "the pod": _TAGGED.search(line["image"]),
        "the runtime": _TAGGED.search(running[container]),
        "the agent": _SAYS.search(line["says"]),
        "helm": _CHART.search(line["release"]),
    }
    versions = {who: match[1] if match else "?" for who, match in said.items()}
    if len(set(versions.values())) != 1 or "?" in versions.values():
        told = ", ".join(f"{version} by {who}" for who, version in versions.items())
        raise Unjudgeable(
            f"{when} the upgrade the agent of {node} is {told}",
            evidence=(Evidence(File.UPGRADE, line.number, ns=line.ns),),
        )
    return Agent(line, str(line["pod"]), container, versions["the agent"])


def _events(bundle: Bundle, topic: str, container: str) -> list[RuntimeEvent]:
    return [
        one
        for one in bundle.runtime()
        if one.topic == topic and one.container_id == one.process_id == container
    ]


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
