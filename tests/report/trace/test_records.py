"""The cell's logs in one: which lines of the containers' output stand there, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.report.trace import records

STAMP = "2026-11-30T10:00:19.228000000Z"  # the kubelet's
ACCESS = '{"client.addr":"10.0.0.2:1","timestamp":"2026-11-30T10:00:19.1Z","status":200}'


@pytest.mark.parametrize(
    ("line", "there"),
    [
        (f"{STAMP} [    18.727732s]  INFO linkerd_proxy::signal: received SIGTERM", True),
        ("2026-11-30T10:00:19.228Z\tinfo\tEnvoy proxy is ready", True),
        ("[2026-11-30 10:00:19.228][1][info] shutting down", True),
        ("[    18.727732s]  INFO nobody knows when", False),
        (f"{STAMP} {ACCESS}", False),
        (ACCESS, False),
    ],
)
def test_a_line_that_says_when_and_is_no_access_record(
    line: str, there: bool, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "subject.proxy.log").write_text(f"{line}\n")
    found = records.records(tmp_path)
    assert [one.ns // 1_000_000 for one in found] == [1796032819228] * there
