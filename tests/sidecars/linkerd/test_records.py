"""What Linkerd's proxies say of themselves, with the kubelet's stamps."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.sidecars.linkerd import records
from conformance.sidecars.linkerd.driver import Driver

FILE = "logs/subject.linkerd-proxy.log"
BORN = "2026-11-30T10:00:00.500000000Z [     0.1s]  INFO linkerd2_proxy: Local identity is x\n"
WARNED = "2026-11-30T10:00:01.123456789Z [     0.7s]  WARN ThreadId(01) "
MISSES = (
    f"{WARNED}policy:controller{{addr=linkerd-policy.linkerd.svc.cluster.local:8090}}:"
    "endpoint{addr=10.0.0.1:8090}: linkerd_reconnect: Failed to connect "
    "error=endpoint 10.0.0.1:8090: Connection refused (os error 111)\n"
)
UNKNOWN = (
    f"{WARNED}dst:controller{{addr=linkerd-dst-headless.linkerd.svc.cluster.local:8086}}: "
    "linkerd_app_core::control::balance: Failed to resolve control-plane component "
    "error=failed SRV and A record lookups\n"
)
# It hangs up, as it is made to.
WITNESS = (
    f"{WARNED}outbound:proxy{{addr=10.96.2.1:9000}}:service{{ns=ns name=witness port=9000}}:"
    "endpoint{addr=10.0.0.1:9000}: linkerd_reconnect: Failed to connect "
    "error=client: Connection reset by peer (os error 104)\n"
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
        (UNKNOWN, "sidecar.unserved", 1796032801123456789),
        (TOLD, "sidecar.sigterm", 1796032819228000000),
    ],
)
def test_a_proxys_words_become_a_stamp(tmp_path: Path, said: str, event: str, ns: int) -> None:
    expected = {"ns": ns, "event": event, "source": f"{FILE}:2"}
    assert stamps(tmp_path, BORN + said) == [expected]


def test_who_misses_one_of_the_apps_destinations_does_not_miss_the_control_plane(
    tmp_path: Path,
) -> None:
    assert stamps(tmp_path, BORN + WITNESS) == []
    assert not Driver().misses_plane(WITNESS)
    assert Driver().misses_plane(BORN + MISSES)


def test_half_a_line_is_no_word(tmp_path: Path) -> None:
    assert stamps(tmp_path, BORN + TOLD[:-1]) == []


def test_the_apis_refusal_in_place_of_output_is_no_word(tmp_path: Path) -> None:
    assert stamps(tmp_path, "no log: 404 Not Found\n") == []
