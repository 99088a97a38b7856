"""The chain of CNI plugins that makes a pod's network: which one it was for a pod, and another one
for pods from now on.

libcni keeps for each pod what its network was made with (libcni/api.go, cacheAdd). Whether
containerd has read a changed conflist is seen from a pod that was made since.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from conformance.cluster import cni as conflists
from conformance.evidence.vocabulary import Step
from conformance.observe.pods import ROLE_LABEL
from conformance.observe.stage import Stage, Stuck

# A change is read within milliseconds: one herald is enough, and the others are patience.
HERALDS = tuple(f"herald-{number}" for number in range(5))
_READ = 'cat /var/lib/cni/results/*-"$1"-eth0 2>/dev/null || true'  # $1: id of a sandbox


def note(stage: Stage, pod: str) -> Sequence[str]:
    """Write down which plugins made a pod's network, as soon as it is made. Raises Stuck."""
    plugins: Sequence[str] = stage.wait(
        f"the network of pod {pod}",
        lambda: _plugins_of(stage, pod),
        seconds=60,
        seen=lambda: stage.describe(pod),
        every=0.3,
    )
    stage.step(Step.CHAIN, pod=pod, plugins=plugins)
    return plugins


def put(stage: Stage, *plugins: str) -> None:
    """Put plugins before the capture, and see a pod whose network is made with them; the node has
    its former chain back when the cell is over. Raises Stuck."""
    folder = conflists.folder_of(stage.handle.kubeconfig)
    stage.afterwards.callback(conflists.write, folder)
    conflists.write(folder, *plugins)
    for name in HERALDS:
        (herald,) = stage.documents("herald")
        herald["metadata"] |= {"name": name, "labels": {ROLE_LABEL: name}}
        stage.create_pod(herald)
        if set(plugins) <= set(note(stage, name)):
            return
    raise Stuck(f"{len(HERALDS)} new pods were made without {' and '.join(plugins)}")


def _plugins_of(stage: Stage, pod: str) -> Sequence[str]:
    """The types of the plugins, in their order; none before the network is made."""
    net = stage.bundle / "capture" / pod / "net.json"
    if not net.exists():
        return ()
    sandbox = json.loads(net.read_text())["sandbox"]
    what = f"reading what the network of pod {pod} was made with"
    kept = stage.on_node("sh", "-c", _READ, "sh", sandbox, what=what)
    if not kept.strip():
        return ()
    conflist = json.loads(base64.b64decode(json.loads(kept)["config"]))
    return [one["type"] for one in conflist["plugins"]]
