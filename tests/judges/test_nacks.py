"""A proxy that refused what its control plane sent is not the proxy that was to be judged: whatever
its pod did, nothing is known of the promise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.plan.catalogue import behaviours, scenarios
from tests.judges.test_judge import world_of

# As seen with a filter that istiod passes on and Envoy cannot load.
SAID = (
    "warn\tdelta\tADS:LDS: ACK ERROR subject.ns-4 Internal:Error adding/updating listener(s) "
    "0.0.0.0_8080: script load error: [string \"this is not lua\"]:1: '=' expected near 'is'"
)
# Where the suite writes the sidecar's configuration itself, no control plane can be refused; where
# there is none, nobody is there to refuse it.
JUDGED = [
    id_
    for id_, one in behaviours().items()
    if one.pattern != "sidecarless" and "spec" not in scenarios()[one.scenarios[0]].needs
]


@pytest.mark.parametrize("behaviour", JUDGED)
def test_every_behaviour_is_inconclusive_and_names_it(tmp_path: Path, behaviour: str) -> None:
    world = world_of(behaviour)
    refused = {"by": "istiod", "file": "mesh/istiod-1.log", "line": 109, "text": SAID}
    world.extra["mesh/nacks.jsonl"] = json.dumps(refused) + "\n"
    world.extra["mesh/istiod-1.log"] = "info\tready\n" * 108 + SAID + "\n"
    found = world.judged(behaviour, tmp_path)
    assert found.observed == "inconclusive"
    assert "refused by a proxy" in found.reason and "script load error" in found.reason
    assert (found.evidence[0].file, found.evidence[0].line) == ("mesh/istiod-1.log", 109)
