"""The sequence scenario: pods with several sidecars are started, and deleted.

- subject: two sidecars, and init containers of its own before, between and after them. The order
  that is meant is the same in both patterns; it is written down as it is meant.
- mixed (native only): one sidecar of each pattern beside the app.
"""

from __future__ import annotations

from conformance.evidence.vocabulary import Container, Role, Step
from conformance.observe.scenarios.lifecycle import SUBJECT
from conformance.observe.stage import APP_CONTAINER, Stage
from conformance.sidecars.driver import Manifest
from conformance.sidecars.fixture import driver as fixture

SECOND_PORT = 15022
SECOND_DELAY = 2.0  # seconds; like the first's, longer than what could close a gap by chance
# As it is meant: a name, and the health port of what is a sidecar.
ORDER = (
    ("before", None),
    (fixture.CONTAINER, fixture.HEALTH_PORT),
    ("between", None),
    (Container.SECOND, SECOND_PORT),
    ("after", None),
    (APP_CONTAINER, None),
)


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture(Role.MIXED)
    stage.step(Step.ORDER, containers=[{"name": name, "port": port} for name, port in ORDER])
    stage.step(Step.SUBJECT_CREATE)
    stage.create("subject", role="subject", alter=lambda pod: _in_order(stage, pod))
    pods = [SUBJECT]
    if stage.cell.pattern == "native":
        stage.create(Role.MIXED, alter=_one_of_each)
        pods.append(Role.MIXED)
    for pod in pods:
        stage.await_ready(pod)
    stage.step(Step.SUBJECT_READY)
    for pod in pods:
        stage.step(Step.DELETE_ASKED, pod=pod)
        stage.core.delete_namespaced_pod(pod, stage.namespace)
    stage.step(Step.DELETE_ACCEPTED)
    stage.wait(
        "the end of the deleted pods",
        lambda: all(stage.watch.gone("Pod", pod) for pod in pods),
        seconds=90,
        seen=lambda: "; ".join(stage.describe(pod) for pod in pods),
    )
    stage.step(Step.SUBJECT_GONE)
    return SUBJECT


def _second(role: str) -> Manifest:
    return fixture.container(role, Container.SECOND, port=SECOND_PORT, start_delay=SECOND_DELAY)


def _in_order(stage: Stage, pod: Manifest) -> None:
    """Add the second sidecar; where sidecars are init containers, bring all into the order."""
    native = stage.cell.pattern == "native"
    fixture.add(pod, _second(SUBJECT), native=native)
    if native:
        names = [name for name, _ in ORDER[:-1]]
        pod["spec"]["initContainers"].sort(key=lambda one: names.index(one["name"]))


def _one_of_each(pod: Manifest) -> None:
    fixture.add(pod, fixture.container(Role.MIXED), native=True)
    fixture.add(pod, _second(Role.MIXED), native=False)
