"""What Linkerd's proxies say of themselves, with the kubelet's stamps."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.sidecars.linkerd import records

FILE = "logs/subject.linkerd-proxy.log"
BORN = "2026-11-30T10:00:00.500000000Z [     0.1s]  INFO linkerd2_proxy: Local identity is x\n"
MISSES = (
    "2026-11-30T10:00:01.123456789Z [     0.7s]  WARN identity: linkerd_reconnect: Failed to "
    "connect error=endpoint 10.0.0.1:8080: Connection refused\n"
)
TOLD = (
    "2026-11-30T10:00:19.228000000Z [    18.727732s]  INFO ThreadId(01) linkerd_proxy::signal: "
    "received SIGTERM, starting shutdown\n"
)


def stamps(tmp_path: Path, output: str) -> list[object]:
    log = tmp_path / "proxy.log"
    log.write_text(output)
    return list(records.stamps(log, FILE))


@pytest.mark.parametrize(
    ("said", "event", "ns"),
    [
        (MISSES, "sidecar.unserved", 1796032801123456789),
        (TOLD, "sidecar.sigterm", 1796032819228000000),
    ],
)
def test_a_proxys_words_become_a_stamp(tmp_path: Path, said: str, event: str, ns: int) -> None:
    expected = {"ns": ns, "event": event, "source": f"{FILE}:2"}
    assert stamps(tmp_path, BORN + said) == [expected]


def test_half_a_line_is_no_word(tmp_path: Path) -> None:
    assert stamps(tmp_path, BORN + TOLD[:-1]) == []


def test_the_apis_refusal_in_place_of_output_is_no_word(tmp_path: Path) -> None:
    assert stamps(tmp_path, "no log: 404 Not Found\n") == []
