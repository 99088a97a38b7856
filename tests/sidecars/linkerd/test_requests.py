"""Linkerd's access records, in the suite's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.sidecars.linkerd import requests

CONTAINER = "linkerd-proxy"
STAMP = "2026-11-30T10:00:05.000000001Z"  # the kubelet's
SUFFIX = "ns.serviceaccount.identity.linkerd.cluster.local"
STARTED = (
    "[     0.004s] INFO ThreadId(01) linkerd2_proxy: Local identity is {name}\n"
    "[     0.036s]  INFO ThreadId(01) linkerd_app: Certified identity id={name}\n"
)


def access(client: str, address: str, status: int = 200, uri: str = "/echo/token") -> str:
    """A line of a proxy's output, as linkerd2-proxy writes it."""
    return json.dumps(
        {
            "client.addr": address,
            "client.id": client,
            "timestamp": "2026-11-30T10:00:00.123456789Z",
            "method": "POST",
            "uri": uri,
            "version": "HTTP/1.1",
            "status": status,
        }
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    logs = tmp_path / "logs"
    logs.mkdir()
    subject = [
        access(f"peer.{SUFFIX}", "10.0.0.2:40000", uri="http://subject:8080/echo/token"),
        access("-", "10.0.0.9:50000", 403),
        "[ 1.0s] WARN something else",
        access(f"peer.{SUFFIX}", "10.0.0.2:40000")[:-20],
    ]
    peer = [access(f"subject.{SUFFIX}", "10.0.0.1:30000")]
    for role, lines in (("subject", subject), ("peer", peer)):
        text = STARTED.format(name=f"{role}.{SUFFIX}") + "".join(f"{line}\n" for line in lines)
        stamped = "".join(f"{STAMP} {line}" for line in text.splitlines(keepends=True))
        (logs / f"{role}.{CONTAINER}.log").write_text(stamped)
    return tmp_path


def read(bundle: Path, role: str) -> list[dict[str, Any]]:
    requests.write(bundle, CONTAINER)
    file = bundle / "requests" / f"{role}.{CONTAINER}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_what_a_proxy_served_is_known_by_both_identities(bundle: Path) -> None:
    (sent, served, denied) = read(bundle, "subject")
    assert served == {
        "source": f"logs/subject.{CONTAINER}.log:3",
        "begin_ns": 1796032800123456789,
        "path": "/echo/token",
        "status": 200,
        "direction": "inbound",
        "remote": "10.0.0.2:40000",
        "own": f"subject.{SUFFIX}",
        "peer": f"peer.{SUFFIX}",
    }
    assert sent["direction"] == "outbound"
    assert (denied["status"], denied["own"], denied["peer"]) == (403, "", "")


def test_what_a_pod_sent_is_known_by_who_served_it(bundle: Path) -> None:
    sent = read(bundle, "subject")[0]
    assert sent["source"] == f"logs/peer.{CONTAINER}.log:3"
    assert sent["local"] == "10.0.0.1:30000"
    assert (sent["own"], sent["peer"]) == (f"subject.{SUFFIX}", f"peer.{SUFFIX}")


def test_a_proxy_that_was_never_certified_has_no_identity(bundle: Path) -> None:
    log = bundle / "logs" / f"peer.{CONTAINER}.log"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[2:]))
    assert read(bundle, "subject")[0]["peer"] == ""


def test_half_a_line_is_no_record(bundle: Path) -> None:
    log = bundle / "logs" / f"peer.{CONTAINER}.log"
    log.write_text(log.read_text().rstrip("\n"))
    assert [one["direction"] for one in read(bundle, "subject")] == ["inbound", "inbound"]
