"""The flip scenario: an upgrade changes a mesh's default pattern.

Of each workload a dry run tells what it is and what it will be, before anything changes; then it is
really made before the change and after it. Nothing is run: what the API server admitted is all.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from dataclasses import replace

from conformance.evidence.vocabulary import File, Step
from conformance.model import Pattern
from conformance.observe.stage import Stage, Stuck
from conformance.observe.watch import Json
from conformance.sidecars import manifests
from conformance.sidecars.driver import FlipsPattern, Manifest

# Workloads that name their pattern.
SAYS: Mapping[str, Pattern] = {"says-classic": "classic", "says-native": "native"}
SHOWN = "says-native-before"  # the pod under test: native whatever the default is


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    driver, tag = stage.driver, stage.namespace
    if not isinstance(driver, FlipsPattern):
        raise Stuck(f"{stage.cell.sidecar} has no default pattern that could change")
    driver.before_flip(stage.handle, stage.client, tag)
    documents = stage.documents("workloads")

    def sent(document: Manifest) -> Manifest:
        said = SAYS.get(document["metadata"]["name"])
        cell = replace(stage.cell, pattern=said or "native")
        pod = driver.inject_by(tag, document, cell, "subject")
        return manifests.place_images(pod if said else driver.undecided(pod), stage.images)

    for document in documents:
        pod = sent(document)
        for when, tried in (("before", pod), ("after", driver.foretold(stage.handle, pod))):
            said = stage.create_pod(tried, dry_run=True)
            _note(stage, document, when, said, dry=True)
    for document in documents:
        _make(stage, document, "before", sent(document))
    driver.flip(stage.handle, stage.client, tag)
    stage.step(Step.UPGRADED)
    for document in documents:
        _make(stage, document, "after", sent(document))
    stage.wait(
        "the pod under test in the watch",
        lambda: stage.watch.newest("Pod", SHOWN),
        seconds=10,
        seen=lambda: "nothing",
    )
    return SHOWN


def _make(stage: Stage, document: Manifest, when: str, pod: Manifest) -> None:
    pod = copy.deepcopy(pod)
    pod["metadata"]["name"] += f"-{when}"
    _note(stage, document, when, stage.create_pod(pod), dry=False)


def _note(stage: Stage, document: Manifest, when: str, admitted: Json, *, dry: bool) -> None:
    line = {
        "ns": time.time_ns(),
        "workload": document["metadata"]["name"],
        "when": when,
        "dry": dry,
        "pod": admitted,
    }
    with (stage.bundle / File.ADMISSIONS).open("a") as sink:
        sink.write(json.dumps(line, separators=(",", ":")) + "\n")
