"""The webhook scenario: an admission webhook that knows nothing of native sidecars meets one.

The webhook is the suite's own, sees this namespace only, and does what a round trip through an old
client library does. Around it the same pod is only tried (a dry run): before the webhook is there
and after it has gone, so that what is lost in between is known to be its doing.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator

from kubernetes import client as k8s

from conformance.evidence.vocabulary import Role, Step
from conformance.observe.scenarios.move.outdated import meet, native_pod, sidecar_of
from conformance.observe.stage import Stage
from conformance.sidecars.driver import Manifest
from conformance.sidecars.envoy.certificates import Authority

REFUSED = "refused"


def observe(stage: Stage) -> str:
    """Play the scenario to its end; returns the name of the pod under test. Raises Stuck."""
    stage.without_capture()
    stage.create("services")
    document = native_pod(stage)
    _await_dry_run(stage, document, "before", "Always")
    with _webhook(stage):
        _await_dry_run(stage, document, "with", "")
        subject = meet(stage, document)
    _await_dry_run(stage, document, "after", "Always")
    return subject


@contextlib.contextmanager
def _webhook(stage: Stage) -> Iterator[None]:
    """The webhook serves inside the block, and is unregistered after it."""
    authority = Authority(f"webhook of {stage.namespace}")
    leaf = authority.issue_for_host(f"{Role.WEBHOOK}.{stage.namespace}.svc")
    content = {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}
    stage.core.create_namespaced_secret(
        stage.namespace, {"metadata": {"name": Role.WEBHOOK}, "stringData": content}
    )
    stage.create(Role.WEBHOOK)
    stage.await_ready(Role.WEBHOOK)
    (registration,) = stage.documents("registration")
    for one in registration["webhooks"]:
        one["clientConfig"]["caBundle"] = base64.b64encode(authority.certificate).decode()
    api = k8s.AdmissionregistrationV1Api(stage.client)
    api.create_mutating_webhook_configuration(registration)
    stage.step(Step.WEBHOOK_REGISTERED)
    try:
        yield
    finally:
        api.delete_mutating_webhook_configuration(registration["metadata"]["name"])
        stage.step(Step.WEBHOOK_UNREGISTERED)


def _await_dry_run(stage: Stage, document: Manifest, when: str, wanted: str) -> None:
    """Wait until a dry run of the pod gives what is wanted: API servers learn of webhooks late.

    What it gives is the sidecar's restartPolicy as it would be admitted, or "" when that is gone or
    the pod is refused.
    """
    seen = ""

    def tried() -> bool:
        nonlocal seen
        seen = _dry_run(stage, document)
        return (seen == wanted) if wanted else seen in ("", REFUSED)

    stage.wait(
        f"a dry run {when} the webhook that gives restartPolicy {wanted or 'no more'}",
        tried,
        seconds=30,
        seen=lambda: seen or "no restartPolicy",
    )
    stage.step(Step.DRY_RUN, when=when, restart_policy=seen)


def _dry_run(stage: Stage, document: Manifest) -> str:
    # By a name of its own: the pod that was really sent may still be there.
    tried = {**document, "metadata": {**document["metadata"], "name": "tried"}}
    try:
        admitted = stage.create_pod(tried, dry_run=True)
    except k8s.ApiException as error:
        if error.status == 500:  # the way to the webhook is not there yet: kube-proxy is late
            return str(error.body)[:300]
        if error.status != 422:
            raise
        return REFUSED
    name = sidecar_of(document)["name"]
    (sidecar,) = (one for one in admitted["spec"]["initContainers"] if one["name"] == name)
    return str(sidecar.get("restartPolicy", ""))
