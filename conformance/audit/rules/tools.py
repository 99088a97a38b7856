"""Tools that are known to misread native sidecars."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.audit import known
from conformance.audit.rule import Hit, Rule, whole_rule
from conformance.audit.world import Tally, World


@whole_rule(
    Rule(
        id="tool-misreads-native-sidecars",
        title="A tool is known to misread native sidecars",
        level="note",
        behaviour="see.naive-tools",
        see="kubectl get pod POD -o jsonpath='{.status.initContainerStatuses[?(@.state.running)]"
        ".name}' names containers that run and that the tool does not list.",
        repair="Update the tool, or know what it gets wrong.",
    )
)
def misread(tally: Tally, world: World) -> Iterator[Hit]:
    """Only where there is a native sidecar to misread."""
    del world
    told: set[str] = set()
    for subject in tally.tools if tally.natives else ():
        for one in (*subject.regular, *subject.inits):
            for tool in known.misread_by(one.image) if one.image not in told else ():
                told.add(one.image)
                yield Hit(
                    (*one.path, "image"),
                    f"{one.image} {tool.misreads} ({tool.source}).",
                    one.name,
                    document=subject.document,
                )
