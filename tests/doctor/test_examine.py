"""The doctor's lines, from forged machines."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.doctor import examine
from conformance.doctor.facts import LATE, EngineFacts, Facts
from conformance.doctor.line import Line, exit_code, text, troubles
from tests.doctor.machines import (
    FEDORA,
    NO_HOST,
    UNKNOWN,
    engine,
    here,
    machine,
    users,
)


def told(facts: Facts, what: str) -> Line:
    """The one line about a thing."""
    (found,) = [line for line in examine.lines(facts) if line.what == what]
    return found


def test_a_machine_that_builds_everything_is_ready() -> None:
    lines = examine.lines(here())
    assert exit_code(lines) == 0
    assert {line.what for line in troubles(lines)} == {"registry", "Kubernetes", "sidecars"}
    assert told(here(), "Kubernetes").seen == "can be built here: 1.33; cannot be had: 1.30"
    assert (
        told(here(), "sidecars").seen == "can be built here: envoy, istio; cannot be had: linkerd"
    )
    assert told(here(), "to build").seen.startswith(
        "the base and the fixtures, containerd (2 min each), kubernetes-v1.33.13, istio-server "
        "(5 min each); 12 min in all"
    )
    assert "told to go on" in told(here(), "cgroups").seen


def test_a_users_machine_is_ready_without_root_and_without_go() -> None:
    lines = examine.lines(users())
    assert exit_code(lines) == 0
    assert told(users(), "Kubernetes").seen == "can be pulled: 1.30, 1.33"
    assert (
        told(users(), "sidecars").seen == "can be pulled: istio, linkerd; can be built here: envoy"
    )
    assert told(users(), "Go").state == "note"
    assert told(users(), "to build").seen.startswith("nothing but fixtures")
    assert text(told(users(), "packages")) == (
        "· packages: not installed: tcpdump; sudo apt-get install tcpdump "
        "(without tcpdump some of make test is skipped)"
    )


def test_troubles_come_the_worst_first() -> None:
    lines = examine.lines(machine(here(), memory=10**9, instances=256))
    first, *others = troubles(lines)
    assert (first.what, first.state) == ("memory", "bad")
    assert {line.state for line in others} == {"note"}
    assert exit_code(lines) == 3


@pytest.mark.parametrize(
    ("changed", "what", "state", "words"),
    [
        ({"system": "Darwin"}, "machine", "bad", "runs on Linux"),
        ({"architecture": "aarch64"}, "machine", "note", "only x86-64 was tried"),
        ({"memory": 2 * 10**9}, "memory", "bad", "8 GB are wanted"),
        ({"memory": 4 * 10**9, "limited": " of 25 GB"}, "memory", "note", "4 GB of 25 GB"),
        ({"memory": 8 * 10**9}, "memory", "good", "8 GB"),
        ({"processors": 1}, "processors", "note", "2 are wanted"),
        ({"disk_free": 2 * 10**9}, "disk", "bad", "make room"),
        ({"disk_free": 9 * 10**9}, "disk", "note", "choose one"),
        ({"instances": 64}, "inotify", "bad", "sysctl fs.inotify.max_user_instances=512"),
        ({"instances": 128}, "inotify", "note", "sysctl"),
        ({"watches": 8192}, "inotify", "note", "max_user_watches=524288"),
        ({"files": 1024}, "open files", "note", "ulimit -n"),
        ({"programs": {}}, "kind", "bad", "put kind 0.32 or newer on PATH, or Go 1.26"),
        ({"programs": {"kind": "0.20.0"}}, "kind", "bad", "0.20.0; put kind"),
        ({"programs": {"kubectl": "v1.28.1"}}, "kubectl", "bad", "put kubectl 1.29"),
        ({"programs": {"go": "go version go1.22.2 linux/amd64"}}, "Go", "note", "go1.22.2"),
    ],
)
def test_what_a_machine_lacks_is_said_with_what_to_do(
    changed: dict[str, Any], what: str, state: str, words: str
) -> None:
    line = told(machine(here(), **changed), what)
    assert line.state == state
    assert words in text(line)


@pytest.mark.parametrize(
    ("changed", "what", "state", "words"),
    [
        ({"problem": "x; do y", "answers": False}, "Docker engine", "bad", "x; do y"),
        ({"problem": "x", "late": True}, "Docker engine", "note", "not known; x; ask again"),
        ({"rootless": True}, "Docker engine", "note", "rootless with cgroup v2 was not tried"),
        ({"here": False, "system": "Docker Desktop"}, "Docker engine", "note", "Docker Desktop"),
        ({"here": False}, "kernel", "note", "the engine's is not this one"),
        ({"storage": "vfs"}, "storage", "note", "vfs copies every layer"),
        ({"storage": "overlayfs"}, "storage", "good", "overlayfs"),
        ({"containerd": True}, "storage", "good", "overlay2, images in containerd's store"),
        ({"cgroup": "v2"}, "cgroups", "good", "v2"),
        ({"memory": 2 * 10**9}, "memory", "bad", "2 GB"),
        ({"disk_free": 10**9}, "disk of the engine", "bad", "make room"),
    ],
)
def test_what_an_engine_lacks_is_said_with_what_to_do(
    changed: dict[str, Any], what: str, state: str, words: str
) -> None:
    line = told(engine(users(), **changed), what)
    assert line.state == state
    assert words in text(line)


def test_an_engine_that_will_be_started_is_no_trouble() -> None:
    facts = here(engine=EngineFacts(own=True), registries={})
    assert exit_code(examine.lines(facts)) == 0
    assert "starts one of its own" in told(facts, "Docker engine").seen
    assert "not asked" in told(facts, "registry").seen
    assert told(facts, "Kubernetes").seen == "can be built here: 1.33; not known: 1.30"
    assert told(machine(facts, file_system="overlay"), "file system").state == "bad"


@pytest.mark.parametrize(
    ("has", "state", "words"),
    [
        ({"owner": "no"}, "bad", "without owner match"),
        ({"legacy": "no"}, "good", "nft tables, owner match, REDIRECT"),
        ({"legacy": "no", "nft": "no"}, "bad", "without iptables, legacy or nft"),
        ({"owner": "unknown"}, "note", "unknown: owner match"),
    ],
)
def test_a_kernel_without_redirection_is_told(has: dict[str, Any], state: str, words: str) -> None:
    facts = here()
    facts = machine(facts, kernel_has={**facts.machine.kernel_has, **has})
    assert told(facts, "kernel").state == state
    assert words in told(facts, "kernel").seen


@pytest.mark.parametrize(
    ("said", "state", "words"),
    [
        ("toomanyrequests: You have reached your pull rate limit", "bad", "docker login"),
        ("x509: certificate signed by unknown authority", "bad", "docs/machines.md"),
        ("manifest unknown", "note", "has not what is wanted"),
        (NO_HOST, "note", "building needs root and Go"),
        (LATE, "note", "too slow"),
        ("", "good", "answers"),
    ],
)
def test_what_a_registry_says_is_told(said: str, state: str, words: str) -> None:
    line = told(users(registries={"": said}), "registry")
    assert line.state == state
    assert words in text(line)


def test_nothing_to_pull_and_nothing_to_build_with_is_the_end() -> None:
    facts = users(registries={"": NO_HOST, "cr.l5d.io": NO_HOST})
    for what in ("Kubernetes", "sidecars"):
        assert told(facts, what).state == "bad"
        assert "images --load" in told(facts, what).do
    assert exit_code(examine.lines(facts)) == 3


def test_a_registry_that_refuses_is_not_built_around() -> None:
    facts = here(registries={"": "toomanyrequests: slow down", "cr.l5d.io": ""})
    assert "refused by the registry: 1.30, 1.33" in told(facts, "Kubernetes").seen


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"programs": {"make": "/usr/bin/make"}}, "sudo dnf install tcpdump moby-engine"),
        ({"distribution": UNKNOWN, "programs": {}}, "install make, tcpdump, docker, iptables, ip"),
    ],
)
def test_packages_are_named_as_the_distribution_names_them(
    changed: dict[str, Any], words: str
) -> None:
    facts = users(engine=EngineFacts(problem="none answers"))
    assert words in told(machine(facts, **{"distribution": FEDORA, **changed}), "packages").do


def test_what_a_run_installs_by_itself_is_said() -> None:
    facts = machine(here(), programs={"make": "x", "go": "go version go1.26.8 linux/amd64"})
    line = told(facts, "packages")
    assert "apt-get install tcpdump debootstrap" in line.do
    assert "a run installs debootstrap by itself" in line.do
