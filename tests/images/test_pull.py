"""Pulling: why it failed is understood, and a registry that is silent is asked once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from conformance.images import pull
from conformance.machine import digests
from conformance.machine.paths import KIND_CONFIGS
from tests.stand_ins.docker import GET, LOOKUP, NO_HOST, client

# By silence, DNS, routes.
NO_NETWORK = (
    NO_HOST,
    f"{LOOKUP}: Temporary failure in name resolution",
    f"{LOOKUP} on [::1]:53: server misbehaving",
    f"{LOOKUP} on 10.0.0.2:53: read udp 10.0.0.1:4->10.0.0.2:53: i/o timeout",
    f"{LOOKUP} on [::1]:53: read udp [::1]:4->[::1]:53: read: connection refused",
    f"{GET}dial tcp 10.1.2.3:443: connect: connection refused",
    f"{GET}dial tcp 10.1.2.3:443: connect: network is unreachable",
    f"{GET}dial tcp 10.1.2.3:443: connect: no route to host",
    f"{GET}dial tcp 10.1.2.3:443: i/o timeout",
    f"{GET}net/http: TLS handshake timeout",
    f"{GET}net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
    f"{GET}context deadline exceeded",
    f"{GET}proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
    f'failed to resolve reference "r.example/a:b": failed to do request: {LOOKUP}: no such host',
    f"failed to authorize: failed to fetch anonymous token: {LOOKUP}: no such host",
    "no answer within 20 s",
)
ABSENT = (
    "manifest for kindest/node:v1.99.0 not found: manifest unknown: manifest unknown",
    'r.example/a:b: failed to resolve reference "r.example/a:b": not found',
    "repository name not known to registry: NAME_UNKNOWN",
)
# Of rate, and of rights.
REFUSED = (
    "toomanyrequests: You have reached your pull rate limit. You may increase the limit",
    "received unexpected HTTP status: 429 Too Many Requests",
    "unexpected status from HEAD request to https://registry.example/v2/a: 403 Forbidden",
    "unauthorized: authentication required",
    f"{GET}no basic auth credentials",
    "pull access denied for a/b, repository does not exist or may require 'docker login': denied",
)
OTHER = (
    "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
    "write /var/lib/docker/tmp/x: no space left on device",
    f"{GET}tls: failed to verify certificate: x509: certificate signed by unknown authority",
    "no matching manifest for linux/riscv64 in the manifest list entries",
    "sha256:a4290a3d5403e0f401: filesystem layer verification failed",
    "",
)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("unreachable", said) for said in NO_NETWORK]
    + [("absent", said) for said in ABSENT]
    + [("refused", said) for said in REFUSED]
    + [("other", said) for said in OTHER],
)
def test_a_failure_is_understood(kind: str, said: str) -> None:
    assert pull.classify(said) == kind


@pytest.mark.usefixtures("own_cache")
def test_a_registry_that_cannot_be_reached_is_asked_once(tmp_path: Path) -> None:
    engine = client(tmp_path, f"echo asked >> {tmp_path}/calls; echo 'no such host' >&2; exit 1")
    first = pull.pull(engine, "debian:bookworm-slim")
    second = pull.pull(engine, "kindest/node:v1.33.12")
    assert first == second == pull.PullFailure("unreachable", "no such host")
    assert (tmp_path / "calls").read_text().split() == ["asked"]
    pull.pull(engine, "other.example/debian:x")
    assert (tmp_path / "calls").read_text().split() == ["asked", "asked"]


@pytest.mark.usefixtures("own_cache")
def test_a_silent_registry_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "ANSWER_WITHIN", 0.5)
    began = time.monotonic()
    failure = pull.pull(client(tmp_path, "exec sleep 60"), "debian:x")
    assert failure is not None
    assert failure.kind == "unreachable"
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("own_cache")
def test_a_slow_download_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "ANSWER_WITHIN", 0.5)
    engine = client(tmp_path, "echo 'x: Pulling from debian'; sleep 1.5")
    assert pull.pull(engine, "debian:x") is None


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("debian:bookworm-slim", ""),
        ("kindest/node:v1.33.12", ""),
        ("docker.io/istio/pilot:1.30.5", ""),
        ("registry.example/a/b:c", "registry.example"),
        ("localhost/a:b", "localhost"),
        ("host:5000/a", "host:5000"),
    ],
)
def test_the_registry_of_a_reference(reference: str, registry: str) -> None:
    assert pull.registry_of(reference) == registry


@pytest.mark.parametrize(
    ("reference", "below"),
    [
        ("kindest/node:v1.33.12", "kindest/node:v1.33.12"),
        ("debian:bookworm-slim", "library/debian:bookworm-slim"),
        ("docker.io/istio/pilot:1.30.5", "istio/pilot:1.30.5"),
        ("cr.l5d.io/linkerd/proxy:edge-26.8.3", "linkerd/proxy:edge-26.8.3"),
    ],
)
def test_below_a_prefix_an_image_keeps_its_path(reference: str, below: str) -> None:
    assert pull.pulled_as(reference, "r.internal/m") == f"r.internal/m/{below}"
    assert pull.pulled_as(reference, "") == reference


def test_what_was_pulled_below_a_prefix_gets_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(pull.PREFIX_VARIABLE, "r.internal/m")
    engine = client(tmp_path, f'echo "$@" >>{tmp_path}/asked')
    assert pull.pull(engine, "kindest/node:v1.33.12@sha256:ab") is None
    assert (tmp_path / "asked").read_text().splitlines() == [
        "pull r.internal/m/kindest/node:v1.33.12@sha256:ab",
        "tag r.internal/m/kindest/node:v1.33.12@sha256:ab kindest/node:v1.33.12",
    ]


NODE = "kindest/node:v1.33.12"


@pytest.mark.usefixtures("own_cache")
def test_what_has_a_digest_is_pulled_by_it_and_gets_its_name(tmp_path: Path) -> None:
    engine = client(tmp_path, f'echo "$@" >>{tmp_path}/asked')
    assert pull.pull(engine, NODE) is None
    by_digest = f"kindest/node@{pull.digest_of(NODE)}"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [f"pull {by_digest}", f"tag {by_digest} {NODE}"]


@pytest.mark.usefixtures("own_cache")
def test_a_registry_with_another_image_of_that_name_is_not_believed(tmp_path: Path) -> None:
    engine = client(tmp_path, 'case "$*" in *@*) echo "manifest unknown" >&2; exit 1;; esac')
    failure = pull.pull(engine, NODE)
    assert failure is not None
    assert failure.kind == "absent"
    assert pull.digest_of(NODE) in failure.said
    assert digests.DIGESTS in failure.said


def test_a_file_of_ones_own_says_what_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'ab' * 32}"
    (tmp_path / "own.toml").write_text(f'"debian:bookworm-slim" = "{digest}"\n')
    monkeypatch.setenv(digests.DIGESTS, str(tmp_path / "own.toml"))
    assert pull.digest_of("debian:bookworm-slim") == digest
    assert not pull.digest_of(NODE)
    (tmp_path / "none.toml").write_text("")
    monkeypatch.setenv(digests.DIGESTS, str(tmp_path / "none.toml"))
    assert not pull.digest_of("debian:bookworm-slim")


def test_below_a_prefix_nothing_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pull.PREFIX_VARIABLE, "r.internal/m")
    assert not pull.digest_of(NODE)


def test_the_node_of_every_kind_config_is_pinned() -> None:
    wanted = {name for path in KIND_CONFIGS.glob("v*.yaml") for name in _node_images(path)}
    assert wanted
    assert not {name for name in wanted if not pull.digest_of(name)}


def _node_images(path: Path) -> list[str]:
    return [node["image"] for node in yaml.safe_load(path.read_text())["nodes"] if "image" in node]


def test_each_registry_of_a_prefix_is_silent_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pull, "_failures", pull._Failures())
    engine = client(tmp_path, f'echo "$@" >>{tmp_path}/asked; echo "{NO_HOST}" >&2; exit 1')
    monkeypatch.setenv(pull.PREFIX_VARIABLE, "r.internal/m")
    for reference in ("kindest/node:v1.33.12", "cr.l5d.io/linkerd/proxy:edge-26.8.3"):
        failure = pull.pull(engine, reference)
        assert failure is not None and failure.kind == "unreachable"
    assert (tmp_path / "asked").read_text().count("pull") == 1
