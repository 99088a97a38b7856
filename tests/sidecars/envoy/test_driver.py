"""The driver of the reference mesh: where the sidecar comes to stand, and what it is told."""

from __future__ import annotations

import copy
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from conformance.machine.paths import FIXTURES
from conformance.model import Cell
from conformance.observe import workloads
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars import manifests
from conformance.sidecars.driver import Manifest, load
from conformance.sidecars.envoy.certificates import Authority, identity
from conformance.sidecars.envoy.driver import Driver, envoy_version, secrets

MODES = REGISTRY["envoy"].modes
DRIVER = Driver()
POD = {
    "kind": "Pod",
    "metadata": {"name": "subject"},
    "spec": {
        "initContainers": [{"name": "migrate"}],
        "containers": [{"name": "app", "env": [{"name": "SC_ROLE", "value": "subject"}]}],
        "volumes": [{"name": "evidence"}],
    },
}


def cell(pattern: str, mode: str = "init-rules") -> Cell:
    return Cell("1.33", "envoy", pattern, mode, "lifecycle")  # type: ignore[arg-type]


def names(pod: Manifest, group: str) -> list[str]:
    return [container["name"] for container in pod["spec"].get(group, ())]


def container(pod: Manifest, name: str = "envoy") -> Manifest:
    found = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    return next(one for one in found if one["name"] == name)


def environment(pod: Manifest, name: str = "envoy") -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(pod, name)["env"]}


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"fixture_envoy_{name}", FIXTURES / "envoy" / f"{name}.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_native_stands_first_among_the_init_containers() -> None:
    pod = DRIVER.inject(POD, cell("native"), "subject")
    assert names(pod, "initContainers") == ["rules", "envoy", "migrate"]
    assert names(pod, "containers") == ["app"]
    assert container(pod)["restartPolicy"] == "Always"
    assert "restartPolicy" not in container(pod, "rules")


def test_classic_stands_last() -> None:
    pod = DRIVER.inject(POD, cell("classic"), "subject")
    assert names(pod, "initContainers") == ["migrate", "rules"]
    assert names(pod, "containers") == ["app", "envoy"]
    assert "restartPolicy" not in container(pod)


@pytest.mark.parametrize("mode", MODES)
def test_the_patterns_differ_in_nothing_else(mode: str) -> None:
    native, classic = (
        container(DRIVER.inject(POD, cell(pattern, mode), "subject"))
        for pattern in ("native", "classic")
    )
    assert native.pop("restartPolicy") == "Always"
    assert native == classic


def test_who_sets_the_rules_may_set_them() -> None:
    by_itself = DRIVER.inject(POD, cell("native", "sidecar-rules"), "subject")
    assert names(by_itself, "initContainers") == ["envoy", "migrate"]
    assert "NET_ADMIN" in container(by_itself)["securityContext"]["capabilities"]["add"]
    by_init = DRIVER.inject(POD, cell("native", "init-rules"), "subject")
    assert "NET_ADMIN" in container(by_init, "rules")["securityContext"]["capabilities"]["add"]
    assert "securityContext" not in container(by_init)


@pytest.mark.parametrize("validated", [True, False])
def test_a_cni_plugin_leaves_nothing_to_set(validated: bool) -> None:
    guard = ["validation"] if validated else []
    for pattern, inits in (
        ("native", [*guard, "envoy", "migrate"]),
        ("classic", ["migrate", *guard]),
    ):
        injected = DRIVER.inject(POD, cell(pattern), "subject")
        pod = DRIVER.by_cni(injected, "subject", validated=validated)
        assert names(pod, "initContainers") == inits
        assert names(pod, "containers") == names(injected, "containers")
        assert "rules" in names(injected, "initContainers")
        assert "NET_ADMIN" not in json.dumps(pod)


@pytest.mark.parametrize("mode", MODES)
def test_the_app_falls_back_in_mode_fallback_alone(mode: str) -> None:
    pod = DRIVER.inject(POD, cell("classic", mode), "subject")
    told = environment(pod, "app").get("SC_EGRESS")
    assert told == ("proxy-fallback" if mode == "fallback" else None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pattern", ["classic", "native"])
def test_the_peer_is_native_and_undelayed_whatever_the_cell(pattern: str, mode: str) -> None:
    pod = DRIVER.inject(POD, cell(pattern, mode), "peer")
    assert DRIVER.admitted(pod, cell(pattern, mode)).pattern == "native"
    told = environment(pod)
    assert (told["SC_MODE"], told["SC_START_DELAY"]) == ("init-rules", "0")
    assert float(told["SC_DRAIN"]) > float(environment(subject(pattern, mode))["SC_DRAIN"])
    assert "SC_EGRESS" not in environment(pod, "app")


def subject(pattern: str, mode: str) -> Manifest:
    return DRIVER.inject(POD, cell(pattern, mode), "subject")


def test_what_is_told_is_what_the_facts_say() -> None:
    facts = DRIVER.facts(cell("native"), "ns-1")
    told = environment(subject("native", "init-rules"))
    assert float(told["SC_START_DELAY"]) == facts.start_delay_seconds == 3
    assert float(told["SC_DRAIN"]) == facts.sidecar_drain_seconds == 1.5
    assert told["SC_STAMPS"] == "/evidence/stamps/subject.envoy.jsonl"
    assert facts.identities["subject"] == "spiffe://sc.local/ns/ns-1/sa/subject"
    assert container(subject("native", "init-rules"))["startupProbe"] == {
        "httpGet": {"path": "/healthz/ready", "port": facts.ports["health"]},
        "periodSeconds": 1,
        "failureThreshold": 60,
    }


def test_the_pod_that_was_given_stays_as_it_was() -> None:
    before = copy.deepcopy(POD)
    DRIVER.inject(POD, cell("classic", "fallback"), "subject")
    assert before == POD


def test_admitted_is_read_from_the_pod() -> None:
    asked = cell("native")
    assert DRIVER.admitted(subject("native", "fallback"), asked).sidecars == ("envoy",)
    assert DRIVER.admitted(subject("classic", "fallback"), asked).pattern == "classic"
    assert DRIVER.admitted(POD, asked).pattern == "none"
    # What an API server without the feature makes of a native sidecar.
    stripped = subject("native", "fallback")
    del container(stripped)["restartPolicy"]
    admitted = DRIVER.admitted(stripped, asked)
    assert (admitted.pattern, admitted.sidecars) == ("none", ())
    assert "restartPolicy None" in admitted.why


def test_the_driver_is_registered_and_its_image_is_a_fixture() -> None:
    driver = load("envoy")
    assert driver.name == "envoy"
    assert [(FIXTURES / folder / "Dockerfile").exists() for folder in driver.fixture_images()]
    assert envoy_version().count(".") == 2


def test_the_quit_command_is_python_without_surprises() -> None:
    *start, code = DRIVER.quit_command()
    assert start == ["python3", "-I", "-S", "-c"]
    # No admin port listens here: it must fail, and not hang or claim success.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=20)
    assert done.returncode != 0


def test_it_is_made_ill_by_the_gate_of_its_own_health_endpoint() -> None:
    *_, code = DRIVER.ail_command()
    config = program("config")
    assert f"/runtime_modify?{config.GATE}=0" in code
    assert DRIVER.live_path in json.dumps(config.health(ipv6=False))


def test_each_role_has_a_certificate_of_the_same_authority() -> None:
    made = {one["metadata"]["name"]: one["stringData"] for one in secrets(cell("native"), "ns-1")}
    assert set(made) == {"mesh-subject", "mesh-peer"}
    authorities = {content["ca.crt"] for content in made.values()}
    (authority,) = [x509.load_pem_x509_certificate(pem.encode()) for pem in authorities]
    for role in ("subject", "peer"):
        leaf = x509.load_pem_x509_certificate(made[f"mesh-{role}"]["tls.crt"].encode())
        leaf.verify_directly_issued_by(authority)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        assert uris == [identity("ns-1", role)]
        assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def test_an_authority_does_not_vouch_for_another_ones_leaf() -> None:
    leaf = x509.load_pem_x509_certificate(Authority("a").issue("spiffe://sc.local/x").certificate)
    stranger = x509.load_pem_x509_certificate(Authority("a").certificate)
    with pytest.raises(Exception, match=r".*"):
        leaf.verify_directly_issued_by(stranger)


ENVIRON = {
    "SUBJECT_SERVICE_HOST": "10.96.0.11",
    "SUBJECT_SERVICE_PORT": "8080",
    "PEER_SERVICE_HOST": "10.96.0.12",
    "PEER_SERVICE_PORT": "8080",
    "WITNESS_SERVICE_HOST": "10.96.0.13",
    "WITNESS_SERVICE_PORT": "9000",
    "WITNESS_SERVICE_PORT_MESH": "9000",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
}


@pytest.mark.parametrize("mode", MODES)
def test_inbound_demands_a_certificate_and_the_admin_port_is_private(mode: str) -> None:
    settings = program("config").bootstrap(mode, ENVIRON, "/etc/mesh", ipv6=True)
    listeners = {one["name"]: one for one in settings["static_resources"]["listeners"]}
    chains = listeners["inbound"]["filter_chains"]
    assert [one["name"] for one in chains] == ["app", "raw"]
    for chain in chains:
        tls = chain["transport_socket"]["typed_config"]
        assert tls["require_client_certificate"] is True
        trusted = tls["common_tls_context"]["validation_context"]
        assert trusted["trusted_ca"] == {"filename": "/etc/mesh/ca.crt"}
        assert trusted["match_typed_subject_alt_names"][0]["matcher"] == {
            "prefix": "spiffe://sc.local/"
        }
    assert settings["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    assert ("explicit" in listeners, "outbound" in listeners) == (
        mode == "fallback",
        mode != "fallback",
    )
    assert "retry" not in json.dumps(settings)


def test_the_explicit_proxy_knows_the_mesh_and_nothing_else() -> None:
    settings = program("config").bootstrap("fallback", ENVIRON, "/etc/mesh", ipv6=False)
    listeners = {one["name"]: one for one in settings["static_resources"]["listeners"]}
    (chain,) = listeners["explicit"]["filter_chains"]
    hosts = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    domains = [host["domains"] for host in hosts]
    assert domains == [["10.96.0.11:8080"], ["10.96.0.12:8080"], ["10.96.0.13:9000"]]


def test_the_transaction_hooks_a_chain_only_once() -> None:
    rules = program("rules")
    hooks = ["PREROUTING", "OUTPUT"]
    fresh = rules.setting(hooks, set(), "127.0.0.0/8")
    again = rules.setting(hooks, set(hooks), "127.0.0.0/8")
    assert "-A OUTPUT -p tcp -j SC_OUTBOUND" in fresh
    assert "-A OUTPUT -p tcp -j SC_OUTBOUND" not in again
    outbound = [line for line in fresh.splitlines() if line.startswith("-A SC_OUTBOUND")]
    assert outbound[0] == "-A SC_OUTBOUND -m owner --uid-owner 1337 -j RETURN"
    assert outbound[-1] == "-A SC_OUTBOUND -p tcp -j REDIRECT --to-ports 15001"


@pytest.mark.skipif(
    not (shutil.which("unshare") and shutil.which("iptables")),
    reason="needs unshare and iptables",
)
@pytest.mark.parametrize("mode", MODES)
def test_rules_can_be_set_twice_and_leave_no_trace(mode: str) -> None:
    """In a network namespace of its own, which ends with the command."""
    script = (
        "set -e; list() { for b in nft legacy; do iptables-$b -t nat -S 2>/dev/null || :; done; }; "
        '"$0" -I -S "$1" set; "$0" -I -S "$1" set; echo ---; list; echo ---; '
        '"$0" -I -S "$1" remove; "$0" -I -S "$1" remove; echo ---; list'
    )
    inside = ["unshare", "--net"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("only root may make a network namespace in which uid 1337 exists")
    done = subprocess.run(
        [*inside, "sh", "-c", script, sys.executable, str(FIXTURES / "envoy" / "rules.py")],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SC_MODE": mode},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    _, there, _, gone = done.stdout.split("---")
    assert there.count("-A PREROUTING -p tcp -j SC_INBOUND") == 1
    assert there.count("-A OUTPUT -p tcp -j SC_OUTBOUND") == (0 if mode == "fallback" else 1)
    assert "SC_" not in gone


def test_rules_can_be_for_one_family_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = program("rules")
    done: list[str] = []

    def noted(family: str, *_: object) -> str:
        done.append(family)
        return family

    monkeypatch.setattr(rules, "_set", noted)
    assert rules.set_rules("init-rules") == "iptables, ip6tables"
    monkeypatch.setenv("SC_FAMILIES", "iptables")
    assert rules.set_rules("init-rules") == "iptables"
    assert done == ["iptables", "ip6tables", "iptables"]


REUSED_PORT = """
import os, socket
proxy = socket.create_server(("0.0.0.0", 15001))
for uid in (1337, 0):
    if os.fork() == 0:
        os.setuid(uid)
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("10.9.9.1", 40000))
        one.settimeout(0.3)
        try:
            one.connect(("10.9.9.2", 8080))
            print(uid, "at the proxy")
        except OSError:
            print(uid, "past the proxy")
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(
    not (shutil.which("unshare") and shutil.which("iptables")),
    reason="needs unshare and iptables",
)
def test_a_reused_source_port_does_not_lead_past_the_proxy() -> None:
    """The proxy tries in vain; then the app, from the same port, to the same destination."""
    inside = ["unshare", "--net"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("only root may make a network namespace in which uid 1337 exists")
    script = (
        "set -e; ip link set lo up; ip link add v0 type veth peer name v1; ip link set v1 up; "
        "ip addr add 10.9.9.1/24 dev v0; ip link set v0 up; "
        "ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:01 dev v0; "
        '"$0" -I -S "$1" set; "$0" -u -c "$2"'
    )
    rules = str(FIXTURES / "envoy" / "rules.py")
    done = subprocess.run(
        [*inside, "sh", "-c", script, sys.executable, rules, REUSED_PORT],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SC_MODE": "init-rules"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "1337 past the proxy" in done.stdout
    assert "0 at the proxy" in done.stdout.splitlines(), done.stdout


@pytest.mark.parametrize("scenario", ["ipv6", "ipv6-unruled"])
def test_a_scenario_is_like_another_manifest_by_manifest(scenario: str) -> None:
    values: dict[str, Any] = {"namespace": "n", "nonce": "0" * 12, "images": {"app": "app:1"}}
    services = workloads.load(scenario, "services", **values)
    assert [one["metadata"]["name"] for one in services] == [
        "peer", "peer-six", "witness", "witness-six",
    ]  # fmt: skip
    (pod,) = workloads.load(scenario, "subject", **values)
    assert pod == workloads.load("lifecycle", "subject", **values)[0]
    with pytest.raises(FileNotFoundError):
        workloads.load(scenario, "nobody", **values)


WITH_PODS = ("Pod", "Job", "CronJob", "Deployment", "ReplicaSet")


@pytest.mark.parametrize("path", sorted((FIXTURES / "manifests").glob("*/*.yaml")), ids=str)
def test_manifests_hold_placeholders_and_no_sidecar(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        kind, metadata = document["kind"], document["metadata"]
        if not kind.endswith("WebhookConfiguration"):  # no namespace has it
            assert metadata["namespace"] == "NAMESPACE"
        if kind == "Service" and metadata["name"] == "peer":
            # Else its client's proxy answers for a peer that is not ready.
            assert document["spec"]["publishNotReadyAddresses"] is True
        if kind not in WITH_PODS:
            continue
        spec = manifests.pod_of(document)["spec"]
        if "ephemeralContainers" in spec:  # no pod, but what is added to one
            assert [one["image"] for one in spec["ephemeralContainers"]] == ["app"]
            continue
        assert spec["automountServiceAccountToken"] is False
        assert [one["image"] for one in spec["containers"]] == ["app"]
        for volume in spec.get("volumes") or ():
            if volume["name"] == "evidence":
                assert volume["hostPath"]["path"] == "/evidence/NAMESPACE"
        own = [one["name"] for one in spec.get("initContainers") or ()]
        assert own in ([], ["init"], ["migrate"], ["before", "between", "after"])
