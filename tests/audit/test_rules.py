"""Rows, the table of what is known, and the readings that rules lean on."""

from __future__ import annotations

import re

import pytest

from conformance.audit import account, hooks, known
from conformance.audit.document import Document
from conformance.audit.rule import rules
from conformance.audit.subject import Container, subject
from conformance.machine.paths import CHECKOUT
from conformance.plan.catalogue import behaviours
from tests.audit.planted import all_of


def test_every_rule_is_proved_by_the_catalogue_or_names_a_report() -> None:
    for row in rules().values():
        assert row.behaviour in behaviours() or (not row.behaviour and row.source), row.id
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", row.id)
        assert row.see.endswith(".") or row.see.endswith("'"), row.id
        assert row.repair.endswith("."), row.id


def test_what_hits_say_of_behaviours_is_in_the_catalogue() -> None:
    named = {one.behaviour for planted in all_of("hazards") for one in planted.findings()}
    assert named - {""} <= set(behaviours())


def test_the_table_holds_together() -> None:
    for injector in known.injectors():
        assert injector.sidecar in known.sidecars()
    for tool in known.tools():
        assert tool.source, tool.images


@pytest.mark.parametrize(
    ("name", "image", "words", "is_"),
    [
        ("x", "istio/proxyv2:1.27.3", "", "istio"),
        ("x", "mirror.local:5000/a/b/proxyv2@sha256:00", "", "istio"),
        ("linkerd-proxy", "anything", "", "linkerd"),
        ("x", "acme/proxy:1", "", None),
        ("x", "hashicorp/vault:1.20", "server -config=/agent.hcl", None),
        ("x", "hashicorp/vault:1.20", "agent -config=/v.hcl", "vault-agent"),
        ("x", "acme/envoy-authz:1", "", None),
        ("x", "gce-proxy:1.33", "", "cloud-sql-proxy-1"),
    ],
)
def test_who_is_who(name: str, image: str, words: str, is_: str | None) -> None:
    found = known.sidecar(name, image, words)
    assert (found.id if found else None) == is_


@pytest.mark.parametrize(
    ("command", "quits"),
    [
        ("curl -XPOST localhost:15020/quitquitquit", True),
        ("kill -TERM 1", True),
        ("kill 1", True),
        ("/bin/kill -15 7", True),
        ("pkill envoy", True),
        ("pilot-agent request POST quitquitquit", True),
        ("wget -qO- http://localhost:4191/shutdown", True),
        ("sleep 10", False),
        ("kill -0 1", False),
        ("while kill -0 7; do sleep 1; done; kill 1", False),
        ("until ! nc -z localhost 8080; do sleep 1; done; curl localhost/quitquitquit", False),
        ("/app/skill-check now", False),
        ("pilot-agent request POST drain", False),
        ("/opt/shutdown-notes --print", False),
    ],
)
def test_what_takes_a_proxy_away(command: str, quits: bool) -> None:
    hook = {"exec": {"command": ["sh", "-c", command]}}
    assert bool(hooks.quits(container({"lifecycle": {"preStop": hook}}))) is quits


@pytest.mark.parametrize(
    ("spec", "sure", "most"),
    [
        ({"lifecycle": {"preStop": {"sleep": {"seconds": 7}}}}, 7, 0),
        ({"lifecycle": {"preStop": {"exec": {"command": ["sleep", "1m"]}}}}, 60, 0),
        ({"args": ["--max-sigterm-delay=45s"]}, 0, 45),
        ({"args": ["-term_timeout=2m"]}, 0, 120),
        ({"args": ["--graceful-timeout", "20"]}, 0, 20),
        ({"env": [{"name": "TERMINATION_DRAIN_DURATION_SECONDS", "value": "25"}]}, 0, 25),
        ({"env": [{"name": "SHUTDOWN_TIMEOUT", "value": "soon"}]}, 0, 0),
        ({}, 0, 0),
    ],
)
def test_how_long_a_container_takes_to_end(spec: dict[str, object], sure: int, most: int) -> None:
    end = hooks.ending(container(spec))
    assert (end.sure, end.most) == (sure, most)


def test_a_pod_counts_with_its_sidecars_or_its_largest_init_step() -> None:
    def asks(cpu: str, **more: object) -> dict[str, object]:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **more}

    native = asks("200m", restartPolicy="Always")
    inits = [native, asks("900m"), asks("100m", restartPolicy="Always"), asks("50m")]
    spec = {"initContainers": inits, "containers": [asks("500m"), asks("100m")]}
    found = subject(Document({"kind": "Pod", "metadata": {"name": "x"}, "spec": spec}))
    assert found is not None
    assert account.effective(found)["cpu"] == pytest.approx(1.1)  # 200m + 900m
    assert account.naive(found)["cpu"] == pytest.approx(0.9)


def container(spec: dict[str, object]) -> Container:
    return Container({"name": "x", **spec}, ("spec", "initContainers", 0), init=True)


def test_the_page_has_every_rule_with_its_proof() -> None:
    page = (CHECKOUT / "docs" / "audit.md").read_text()
    listed = dict(re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE))
    assert list(listed) and set(listed) == set(rules())
    for row in rules().values():
        assert (row.behaviour or row.source) in listed[row.id], row.id
