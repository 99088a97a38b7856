"""The plain sidecar: its life as a process, and its place in a pod."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.model import Cell, Pattern
from conformance.paths import FIXTURES
from conformance.sidecars import fixture

PORT = 18021
APP = FIXTURES / "app"


class Run:
    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._path = path

    def events(self) -> list[str]:
        if not self._path.exists():
            return []
        return [json.loads(line)["event"] for line in self._path.read_text().splitlines()]

    def wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not until():
            assert time.monotonic() < end, self.events()
            time.sleep(0.02)

    def ask(self, method: str, path: str) -> int:
        """The answer's status; 0 when nobody listens yet."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
        try:
            connection.request(method, path)
        except ConnectionRefusedError:
            return 0
        return connection.getresponse().status


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Run]:
    stamps = folder / "sidecar.jsonl"
    started = {"SC_STAMPS": str(stamps), "SC_HEALTH_PORT": str(PORT), "SC_DRAIN": "0.1"}
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(APP / "sidecar.py")],
        env={**os.environ, **started, **environment},
    )
    try:
        yield Run(stamps, process)
    finally:
        process.kill()
        process.wait()


def test_it_is_ready_after_its_delay_and_drains_when_told_to_end(tmp_path: Path) -> None:
    with running(tmp_path, SC_START_DELAY="0.2", SC_EXIT_CODE="7") as its:
        its.wait(lambda: "sidecar.ready" in its.events())
        assert its.ask("GET", "/healthz/ready") == 200
        assert its.ask("GET", "/healthz/live") == 200
        assert its.ask("POST", "/nonsense") == 404
        its.process.send_signal(signal.SIGTERM)
        assert its.process.wait(10) == 7
        assert its.events() == [
            "sidecar.started", "sidecar.exec", "sidecar.ready", "sidecar.sigterm",
            "sidecar.drained", "sidecar.last",
        ]  # fmt: skip


def test_a_signal_during_its_start_ends_it_at_once(tmp_path: Path) -> None:
    with running(tmp_path, SC_START_DELAY="60") as its:
        its.wait(lambda: "sidecar.started" in its.events())
        its.process.send_signal(signal.SIGTERM)
        assert its.process.wait(10) == 0
        assert its.events()[1:] == ["sidecar.sigterm", "sidecar.last"]


def test_it_does_wrong_when_asked_to(tmp_path: Path) -> None:
    with running(tmp_path, SC_READY="never") as its:
        its.wait(lambda: "sidecar.exec" in its.events())
        its.wait(lambda: its.ask("GET", "/healthz/ready") == 503)
        assert its.ask("POST", "/unlive") == 200
        assert its.ask("GET", "/healthz/live") == 503
        assert its.ask("POST", "/allocate/2") == 200
        assert its.events()[-2:] == ["sidecar.allocate", "sidecar.allocated"]
        asking = [sys.executable, str(APP / "ask.py"), str(PORT), "/quit"]
        assert subprocess.run(asking, capture_output=True).stdout == b"200\n"
        assert its.process.wait(10) == 0


def test_it_is_not_ready_before_what_it_waits_for_is_there(tmp_path: Path) -> None:
    file = tmp_path / "configuration"
    with running(tmp_path, SC_WAITS_FOR=str(file)) as its:
        its.wait(lambda: "sidecar.exec" in its.events())
        its.wait(lambda: its.ask("GET", "/healthz/ready") == 503)
        file.touch()
        its.wait(lambda: its.ask("GET", "/healthz/ready") == 200)
        assert its.ask("POST", "/unready") == 200
        assert its.ask("GET", "/healthz/ready") == 503
        assert its.ask("POST", "/ready") == 200
        assert its.ask("GET", "/healthz/ready") == 200


def test_a_signal_ends_it_while_it_waits(tmp_path: Path) -> None:
    with running(tmp_path, SC_WAITS_FOR=str(tmp_path / "never")) as its:
        its.wait(lambda: "sidecar.exec" in its.events())
        its.process.send_signal(signal.SIGTERM)
        assert its.process.wait(10) == 0
        assert "sidecar.ready" not in its.events()


def test_without_what_it_needs_it_fails_at_once(tmp_path: Path) -> None:
    file = tmp_path / "configuration"
    with running(tmp_path, SC_NEEDS=str(file), SC_FAIL_CODE="3") as its:
        assert its.process.wait(10) == 3
        assert its.events() == ["sidecar.started", "sidecar.last"]
    file.touch()
    with running(tmp_path, SC_NEEDS=str(file)) as its:
        its.wait(lambda: "sidecar.ready" in its.events())


def test_it_ends_by_itself_when_told_so_beforehand(tmp_path: Path) -> None:
    with running(tmp_path, SC_START_DELAY="60", SC_FAIL_AFTER="0.1", SC_FAIL_CODE="3") as its:
        assert its.process.wait(10) == 3


@pytest.mark.parametrize("pattern", ["native", "classic"])
def test_it_stands_where_its_pattern_says(pattern: Pattern) -> None:
    driver = fixture.Driver()
    cell = Cell("1.33", "fixture", pattern, "default", "lifecycle")
    pod = driver.inject({"spec": {"containers": [{"name": "app"}]}}, cell, "subject")
    admitted = driver.admitted(pod, cell)
    assert (admitted.pattern, admitted.sidecars) == (pattern, ("sidecar",))
    bare = {"spec": {"containers": [{"name": "app"}]}}
    assert driver.inject(bare, cell, "peer") == bare
