"""What a sidecar says that it carried is what its output says: requests/ against logs/."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.sidecars.envoy import requests
from tests.evidence.contradicting import Break, reasons, whole
from tests.forge.bundle import World

FILE, LOG = "requests/subject.envoy.jsonl", "logs/subject.envoy.log"
EVIL = "spiffe://evil.example/ns/x/sa/y"
Told = list[dict[str, Any]]


def driven() -> World:
    """A whole world with requests/, as a driver of today writes it from the proxies' output."""
    world = whole()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        world.write(folder)
        requests.write(folder, "envoy")
        for file in sorted((folder / "requests").iterdir()):
            world.extra[f"requests/{file.name}"] = file.read_text()
    return world


def told(change: Callable[[Told], object]) -> Break:
    """A change of the lines of requests/."""

    def alter(world: World) -> None:
        lines = [json.loads(line) for line in world.extra[FILE].splitlines()]
        change(lines)
        world.extra[FILE] = "".join(json.dumps(line) + "\n" for line in lines)

    return alter


def said(world: World) -> Told:
    """The lines of the proxy's output, to be changed."""
    return world.logs["subject.envoy"]


def elsewhere(world: World) -> None:
    """Another proxy, of which only its drivers know how it writes."""
    world.index["cell"]["sidecar"] = "toy"


def served_to_evil(world: World) -> None:
    last = next(line for line in said(world) if line["direction"] == "inbound")
    said(world).append({**last, "peer_uri": EVIL, "response_code": 200})


@pytest.mark.parametrize("proxy", [lambda _: None, elsewhere], ids=["envoy", "another"])
def test_what_a_driver_wrote_contradicts_nothing(tmp_path: Path, proxy: Break) -> None:
    world = driven()
    proxy(world)
    before = whole()
    proxy(before)
    assert reasons(world, tmp_path / "now") == reasons(before, tmp_path / "before")


def test_a_record_that_names_no_line_is_its_own_source(tmp_path: Path) -> None:
    world = driven()
    own = {"direction": "inbound", "remote": "10.244.0.5:9", "status": 403}
    told(lambda lines: lines.append(own))(world)
    assert not reasons(world, tmp_path)


def test_output_of_another_kind_is_no_request(tmp_path: Path) -> None:
    world = driven()
    said(world).append({"level": "info", "message": "draining"})
    assert not reasons(world, tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (served_to_evil, f"tells of a request, and {FILE} does not (1 such lines)"),
        (told(lambda lines: lines.pop(3)), f"{LOG}:4 tells of a request, and {FILE} does not"),
        (told(lambda lines: lines[2].update(status=503)), f"line 3 of {LOG}, which says another s"),
        (told(lambda lines: lines[2].update(path="/x")), f"line 3 of {LOG}, which says another p"),
        (
            told(lambda lines: lines[2].update(remote="10.9.9.9:9")),
            f"{FILE}:3 was read from line 3 of {LOG}, which says another remote",
        ),
        (
            told(lambda lines: lines[2].update(source=f"{LOG}:99999")),
            f"line 99999 of {LOG}, which is no record of a request",
        ),
        (
            told(lambda lines: lines[2].update(source="logs/nobody.envoy.log:3")),
            "line 3 of logs/nobody.envoy.log, which is no record of a request",
        ),
    ],
    ids=["evil", "left-out", "status", "path", "remote", "beyond-the-end", "nobody"],
)
@pytest.mark.parametrize("proxy", [lambda _: None, elsewhere], ids=["envoy", "another"])
def test_records_and_output_that_differ(
    tmp_path: Path, change: Break, reason: str, proxy: Break
) -> None:
    world = driven()
    proxy(world)
    change(world)
    found = reasons(world, tmp_path)
    assert any(reason in one for one in found), found


def test_no_record_of_an_envoy_that_carried_requests(tmp_path: Path) -> None:
    world = driven()
    told(lambda lines: lines.clear())(world)
    (found,) = reasons(world, tmp_path)
    assert f"{LOG}:1 tells of a request, and {FILE} does not" in found


@pytest.mark.parametrize("key", ["own", "peer", "tls", "begin_ns", "direction"])
def test_of_an_envoy_all_that_a_record_says_is_compared(tmp_path: Path, key: str) -> None:
    world = driven()
    told(lambda lines: lines[2].update({key: 1 if key == "begin_ns" else "other"}))(world)
    (found,) = reasons(world, tmp_path)
    assert f"which says another {key}" in found


def test_whoever_another_proxys_client_was_is_compared(tmp_path: Path) -> None:
    world = driven()
    elsewhere(world)

    def evil(lines: Told) -> None:
        next(line for line in lines if line["direction"] == "inbound")["peer"] = EVIL

    told(evil)(world)
    assert any("which says another peer" in one for one in reasons(world, tmp_path))
