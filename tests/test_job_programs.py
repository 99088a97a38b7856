"""The mains of Jobs and the webhook, as processes: what they do, and how they end."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from conformance.paths import FIXTURES
from conformance.sidecars.certificates import Authority

HOST, PORT = "localhost", 18443


def start(program: str, stamps: Path, **environment: object) -> subprocess.Popen[bytes]:
    settings = {"SC_STAMPS": stamps, "SC_WORK": 0.05, **environment}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", FIXTURES / "app" / f"{program}.py"],
        env={**os.environ, **{name: str(value) for name, value in settings.items()}},
    )


def run(program: str, stamps: Path, **environment: object) -> int:
    return start(program, stamps, **environment).wait(20)


def events(stamps: Path) -> list[str]:
    return [json.loads(line)["event"] for line in stamps.read_text().splitlines()]


def test_a_task_fails_only_its_first_starts(tmp_path: Path) -> None:
    stamps = tmp_path / "stamps.jsonl"
    settings = {"SC_EXIT_CODE": 42, "SC_FAIL_STARTS": 1}
    assert [run("task", stamps, **settings) for _ in range(3)] == [42, 0, 0]
    assert events(stamps) == ["app.started", "app.last"] * 3


@pytest.mark.parametrize(("index", "code"), [("0", 0), ("1", 42)])
def test_a_task_fails_only_at_its_index(tmp_path: Path, index: str, code: int) -> None:
    settings = {"SC_EXIT_CODE": 42, "SC_FAIL_INDEX": 1, "JOB_COMPLETION_INDEX": index}
    assert run("task", tmp_path / "stamps.jsonl", **settings) == code


def test_a_task_goes_on_until_it_is_released(tmp_path: Path) -> None:
    stamps, released = tmp_path / "stamps.jsonl", tmp_path / "released"
    task = start("task", stamps, SC_UNTIL=released)
    with pytest.raises(subprocess.TimeoutExpired):
        task.wait(0.5)
    released.touch()
    assert task.wait(20) == 0


def test_a_main_marks_that_it_is_done_or_crashes_before(tmp_path: Path) -> None:
    stamps, marker = tmp_path / "stamps.jsonl", tmp_path / "done"
    # Nobody listens there: it gives up waiting for its sidecar, which is not what this is about.
    settings = {"SC_READY_URL": "http://127.0.0.1:1/", "SC_PATIENCE": 0, "SC_AFTER": 0.1}
    assert run("workaround", stamps, SC_WORKAROUND="crash", SC_MARKER=marker, **settings) == 137
    assert not marker.exists()
    assert run("workaround", stamps, SC_WORKAROUND="marker", SC_MARKER=marker, **settings) == 0
    assert marker.exists()
    assert events(stamps)[-3:] == ["workaround.begin", "workaround.end", "app.last"]


def test_the_webhook_removes_what_its_types_do_not_have(tmp_path: Path) -> None:
    authority = Authority("test")
    leaf = authority.issue_for_host(HOST)
    (tmp_path / "tls.crt").write_bytes(leaf.certificate)
    (tmp_path / "tls.key").write_bytes(leaf.key)
    settings = {"SC_WEBHOOK_PORT": PORT, "SC_CERTIFICATES": tmp_path}
    webhook = start("webhook", tmp_path / "stamps.jsonl", **settings)
    try:
        answer = ask(authority, {"initContainers": [{}, {"restartPolicy": "Always"}]})
        patch = json.loads(base64.b64decode(answer["patch"]))
        assert patch == [{"op": "remove", "path": "/spec/initContainers/1/restartPolicy"}]
        assert answer["uid"] == "u"
        assert "patch" not in ask(authority, {"containers": [{}]})
    finally:
        webhook.kill()
        webhook.wait()


@retry(
    retry=retry_if_exception_type((ConnectionError, urllib.error.URLError)),
    stop=stop_after_delay(20),
    wait=wait_fixed(0.05),
)
def ask(authority: Authority, spec: dict[str, Any]) -> dict[str, Any]:
    pod = {"metadata": {"name": "p"}, "spec": spec}
    review = {"apiVersion": "v1", "kind": "R", "request": {"uid": "u", "object": pod}}
    trusted = ssl.create_default_context(cadata=authority.certificate.decode())
    request = urllib.request.Request(f"https://{HOST}:{PORT}/", json.dumps(review).encode())
    with urllib.request.urlopen(request, timeout=5, context=trusted) as answer:
        found: dict[str, Any] = json.load(answer)["response"]
    return found
