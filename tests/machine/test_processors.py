"""Processor seconds by kind of process: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable

import pytest

from conformance.machine import processors
from conformance.machine.processors import OURS, Account, Look, Sampler, kind_of, short_lives

SHIM = "/usr/bin/containerd-shim-runc-v2 -namespace k8s.io"
COMMANDS = {
    10: "python -m conformance run",
    20: SHIM,
    30: "/usr/local/bin/containerd",
    40: "kube-apiserver --allow-privileged",
    50: "python3 -I -S /app/dialer.py",
    60: SHIM,
}


def one(pid: int, parent: int, own: int, reaped: int = 0, begun: int = 100) -> Look:
    name = COMMANDS.get(pid, "ptp").split()[0].rpartition("/")[2][:15]
    return Look(pid, parent, name, own, reaped, begun)


def spent(*looks: Iterable[Look]) -> dict[str, int]:
    account = Account(10, lambda pid: COMMANDS.get(pid, ""))
    for seen in looks:
        account.add({look.pid: look for look in seen})
    return {kind: ticks for (_, kind), ticks in account.spent.items() if ticks}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("kube-apiserver --etcd-servers=x", "API server"),
        ("/usr/local/bin/containerd", "containerd"),
        (SHIM, "shims"),
        ("/usr/bin/python3 -B -E -s -S -c import sys; import cni", "capture: plugin and agent"),
        ("tcpdump -i eth0 -w a/capture/peer/eth0.pcap", "capture: tcpdump"),
        ("python3 -I -S /app/dialer.py", "fixture dialer"),
        ("python3 -I -S /sidecar/sidecar.py", "sidecars"),
        ("/opt/cni/bin/ptp", "CNI plugins"),
        ("runc --root /run/containerd create", "runc"),
        ("sleep 3", "others"),
    ],
)
def test_a_kind_goes_by_the_command_line(command: str, kind: str) -> None:
    assert kind_of(command) == kind


def test_what_was_there_before_and_is_no_child_does_not_count() -> None:
    before = one(60, 1, 500, begun=50)
    assert spent([one(10, 1, 3), before], [one(10, 1, 8), one(60, 1, 900, begun=50)]) == {OURS: 8}


def test_a_shim_that_began_later_counts_with_all_that_is_under_it() -> None:
    found = spent(
        [one(10, 1, 0)],
        [one(10, 1, 0), one(20, 1, 2, begun=101), one(30, 20, 5), one(40, 30, 7)],
        [one(10, 1, 0), one(20, 1, 3, begun=101), one(30, 20, 9), one(40, 30, 7)],
    )
    assert found == {"shims": 3, "containerd": 9, "API server": 7}


def test_containers_of_others_are_told_apart_by_the_clusters_that_they_name() -> None:
    nodes = {
        31: "kubelet --provider-id=kind://docker/sc-1200-ab-1-33/sc-1200-ab-1-33-control",
        41: "kubelet sc-9",
    }
    sampler = Sampler(10)
    sampler._account.command = lambda pid: nodes.get(pid, COMMANDS.get(pid, ""))
    looks = [
        one(10, 1, 1),
        one(20, 1, 2, begun=101),
        one(31, 20, 3),
        one(60, 1, 5, begun=102),
        one(41, 60, 7),
    ]
    sampler._account.add({look.pid: look for look in looks})
    sampler.at.append((5, {key: float(ticks) for key, ticks in sampler._account.spent.items()}))
    assert sampler.between(0, 9, "sc-1200-ab") == {"kubelet": 3.0, "shims": 2.0, OURS: 1.0}


def test_lives_between_two_looks_are_told_under_their_parent() -> None:
    shim = one(20, 1, 0, begun=101)
    found = spent(
        [one(10, 1, 0), shim, one(30, 20, 5, 0)], [one(10, 1, 0), shim, one(30, 20, 5, 6)]
    )
    assert found == {"containerd": 5, short_lives("containerd"): 6}


def test_a_child_that_was_seen_is_not_counted_again_when_it_is_waited_for() -> None:
    shim = one(20, 1, 0, begun=101)
    seen = [one(10, 1, 0), shim, one(50, 20, 40)]
    gone = [one(10, 1, 0), one(20, 1, 0, begun=101)]
    waited = [one(10, 1, 0), one(20, 1, 0, 43, begun=101)]
    # Its last three ticks nobody saw.
    assert spent(seen, gone, waited) == {"fixture dialer": 40, short_lives("shims"): 3}


def test_an_id_that_is_given_out_anew_is_another_process() -> None:
    first, second = one(50, 10, 40), one(50, 10, 2, begun=200)
    assert spent([one(10, 1, 0), first], [one(10, 1, 0, 40), second]) == {"fixture dialer": 42}


def test_a_name_may_hold_brackets() -> None:
    fields = "S 1 2 2 0 -1 0 0 0 0 0 11 52 2328 1003 20 0 14 0 1145 1 2"
    assert processors.parse(f"9 (a) (b) {fields}\n") == Look(9, 1, "a) (b", 63, 3331, 1145)


@pytest.mark.skipif(not processors.PROC.is_dir(), reason="no /proc here")
def test_a_real_command_is_counted() -> None:
    work = "import time\nwhile time.process_time() < 0.6: pass"
    with subprocess.Popen([sys.executable, "-c", work]) as child:
        sampler = Sampler(child.pid)
        sampler.start()
        child.wait()
        sampler.stop()
    found = sampler.between(0, time.time_ns())
    assert 0.2 < found[OURS] < 1.0
