"""A run as one file: the same verdicts from it, and none of its secrets."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conformance import cli
from conformance.errors import UsageProblem
from conformance.evidence.bundle import Bundle
from conformance.evidence.packets.capture import Capture
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges import judge
from conformance.report import bug, pack, remake
from conformance.report.compare import pairs
from conformance.report.pack import secrets
from conformance.run import rejudge
from tests.forge import wire
from tests.forge.bundle import POD, WITNESS, World, ns, token
from tests.report.made import report
from tests.worlds import lifecycle as worlds

Json = dict[str, Any]
ALL = "start.order stop.order stop.no-plaintext start.no-plaintext mutual.identity inbound.bypass"
# Secrets as they look: none of them has ever been one.
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ." + "eyJpc3MiOiJrOHMifQ." + "s1gnature" * 8
PEM = "-----BEGIN EC PRIVATE KEY-----\n" + "MHcCAQEEIPlanted" * 6 + "\n-----END EC PRIVATE KEY-----"
PACKED = base64.b64encode(PEM.encode()).decode()
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBpublic\n-----END CERTIFICATE-----"
PLANTED = (JWT, "MHcCAQEEIPlanted", PACKED, "hunter2-hunter2", "abcdef.0123456789abcdef")


@pytest.fixture
def leaking() -> World:
    world = worlds.lifecycle("native")
    world.leak(12.0, token("drain", 999))
    return world


def planted(tmp_path: Path, world: World) -> tuple[Path, Json]:
    """A run with secrets wherever evidence may have some."""
    end = (POD, world.next_port())
    header = f"GET / HTTP/1.1\r\nAuthorization: Bearer {JWT}\r\n\r\n".encode()
    world.talk(12.5, end, (WITNESS, 9001), (0, header), (1, PEM.encode()))
    first, rest = JWT.encode()[:90], JWT.encode()[90:]
    world.talk(12.6, (POD, world.next_port()), (WITNESS, 9001), (0, first), (0, rest))
    world.extra["logs/subject.extra.log"] = f"key {PEM}\npassword: hunter2-hunter2\n"
    world.extra["kubelet.log"] = "".join(
        json.dumps({"MESSAGE": one}) + "\n"
        for one in (JWT, PEM, f"token: {PLANTED[4]}", json.dumps({"password": PLANTED[3]}))
    )
    run = tmp_path / "run"
    made = report(run, (world, "native", ALL))
    cluster = run / "clusters/1.33"
    cluster.mkdir(parents=True)
    (cluster / "kubeconfig").write_text(f"client-key-data: {PACKED}\n")
    (cluster / "state.json").write_text(json.dumps({"state": "ready", "client-key-data": PACKED}))
    (run / "evidence/1.33/.node").mkdir()
    (run / "evidence/1.33/.node/node.1.pcap").write_bytes(b"large")
    return run, made


def verdicts(path: Path) -> list[tuple[str, str, str]]:
    with pack.opened(path) as run:
        return [
            (one.verdict.finding.behaviour, one.verdict.outcome, one.verdict.reason)
            for one in rejudge.judged(run)
        ]


def test_the_same_verdicts_come_from_a_pack_and_none_of_the_secrets(
    leaking: World, tmp_path: Path
) -> None:
    run, made = planted(tmp_path, leaking)
    target = pack.pack(run)
    assert target == tmp_path / "run.pack.tar.xz" and verdicts(target) == verdicts(run)
    assert ("stop.no-plaintext", "fail") in [one[:2] for one in verdicts(target)]
    with pack.opened(target) as unpacked:
        names = {str(file.relative_to(unpacked)) for file in unpacked.rglob("*")}
        assert "clusters/1.33/state.json" in names and "report.json" in names
        assert not [one for one in names if "kubeconfig" in one or ".node" in one]
        everything = b"".join(file.read_bytes() for file in unpacked.rglob("*") if file.is_file())
        for secret in PLANTED:
            assert secret.encode() not in everything, secret
        assert JWT[100:].encode() not in everything  # of the token that two packets share
        assert token("drain", 999).encode() in everything  # a canary is none
        (index,) = unpacked.glob("evidence/*/*/cell.json")
        changed = json.loads(index.read_text())["packed"]
        assert {"kubelet.log", "logs/subject.extra.log", "capture/subject/eth0.pcap"} <= set(
            changed
        )
    assert pairs.read(target) == made


def test_captures_that_no_verdict_asks_for_are_left_out(tmp_path: Path) -> None:
    """Those of whom somebody asks stay, by whatever way; and one that was put there stays too."""
    run = tmp_path / "run"
    asking, other = worlds.lifecycle("native"), worlds.lifecycle("classic")
    report(run, (asking, "native", ALL), (other, "classic", "stop.order"))
    planted = "capture/subject/planted.pcap"
    own, node = "capture/subject/eth0.pcap", "capture/subject/node.pcap"
    folders = {one.name: one for one in (run / "evidence/1.33").iterdir()}
    quiet = folders["envoy-classic-init-rules-lifecycle"]
    (quiet / planted).write_bytes((quiet / own).read_bytes())
    whole, lean = tmp_path / "whole.pack.tar.xz", tmp_path / "lean.pack.tar.xz"
    pack.pack(run, whole)
    pack.pack(run, lean, rejudge.asked(run))
    assert verdicts(lean) == verdicts(whole) == verdicts(run)
    with pack.opened(lean) as unpacked:
        there = {
            name: {str(one.relative_to(cell)) for one in cell.rglob("*.pcap")}
            for name in folders
            for cell in unpacked.glob(f"evidence/1.33/{name}")
        }
        index = json.loads((unpacked / "evidence/1.33" / quiet.name / "cell.json").read_text())
        assert node in there["envoy-native-init-rules-lifecycle"]
        assert there[quiet.name] == {own, planted} and index["left_out"] == [node]
        later = judge("stop.no-plaintext", Bundle.open(unpacked / "evidence/1.33" / quiet.name))
        assert "left out of the pack" in str(later.measured["node_view"])
    with pack.opened(whole) as unpacked:
        assert (unpacked / "evidence/1.33" / quiet.name / node).is_file()


def test_who_asks_for_what_was_left_out_is_told_so(tmp_path: Path) -> None:
    run = tmp_path / "run"
    report(run, (worlds.lifecycle("native"), "native", "stop.order"))
    with pack.opened(pack.pack(run, asked=rejudge.asked(run))) as unpacked:
        (index,) = unpacked.glob("evidence/*/*/cell.json")
        bundle = Bundle.open(index.parent)
        with pytest.raises(
            Unjudgeable, match=r"node\.pcap is missing \(it was left out of the pack"
        ):
            bundle.path(bundle.node_file)


def test_frames_keep_their_numbers_lengths_times_and_what_is_in_clear(
    leaking: World, tmp_path: Path
) -> None:
    run, _ = planted(tmp_path, leaking)
    target = pack.pack(run)
    name = "evidence/1.33/envoy-native-init-rules-lifecycle/capture/subject/eth0.pcap"
    with pack.opened(target) as unpacked:
        before, after = list(Capture(run / name)), list(Capture(unpacked / name))
    assert len(before) == len(after)
    same = ("frame", "ns", "kind", "src", "dst", "sport", "dport", "seq", "flags")
    for one, two in zip(before, after, strict=True):
        assert [getattr(one, what) for what in same] == [getattr(two, what) for what in same]
        assert len(one.payload) == len(two.payload)
    assert any(b"\xa5" * 50 in one.payload for one in before)  # the forged ciphertext
    assert not any(b"\xa5" * 50 in two.payload for two in after)


def test_a_retransmission_is_zeroed_as_what_it_repeats_and_clear_bytes_stay(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    end, target = (POD, world.next_port()), (WITNESS, 9443)
    says = [(0, wire.CLIENT_HELLO), (1, wire.SERVER_HELLO), (0, wire.sealed(300)), (0, b"IN CLEAR")]
    frames = wire.talk(ns(8), end, target, says, (POD,))
    world.frames += [*frames, *((at + 1_000_000, frame) for at, frame in frames[3:])]
    run = tmp_path / "run"
    report(run, (world, "native", "stop.order"))
    with pack.opened(pack.pack(run)) as unpacked:
        (file,) = unpacked.glob("evidence/*/*/capture/subject/eth0.pcap")
        payloads = [one.payload for one in Capture(file) if 9443 in (one.sport, one.dport)]
    assert payloads.count(b"IN CLEAR") == 2 and not any(b"\xa5\xa5" in one for one in payloads)


def test_a_file_that_was_damaged_before_stays_damaged(leaking: World, tmp_path: Path) -> None:
    run, _ = planted(tmp_path, leaking)
    (file,) = run.glob("evidence/*/*/runtime.log")
    file.write_text(file.read_text().replace("/tasks/exit", "/tasks/oops", 1))
    told = {one: outcome for one, outcome, _ in verdicts(pack.pack(run))}
    assert told["stop.order"] == "inconclusive"


@pytest.mark.parametrize("content", [b"", b"no archive", b"\xfd7zXZ\x00damaged"])
def test_what_is_no_pack_is_wrong_use(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.pack.tar.xz"
    file.write_bytes(content)
    for command in (["judge", str(file)], ["report", str(file)], ["compare", str(file), str(file)]):
        shown = CliRunner().invoke(cli.main, command)
        assert shown.exit_code == 2 and "damaged" in shown.output, command
        assert len(shown.output.splitlines()) == 2
    with pytest.raises(UsageProblem, match="no run's folder"):
        pack.pack(tmp_path)


def test_what_is_public_is_no_secret() -> None:
    for harmless in (CERTIFICATE, token("drain", 1), f'"token": "{token("first", 0)}"', "token"):
        assert secrets.without(harmless.encode()) == harmless.encode()
    assert secrets.without(PEM.encode()).count(b"\n") == PEM.count("\n")
    escaped = json.dumps({"log": PEM}).encode()
    assert b"Planted" not in secrets.without(escaped) and json.loads(secrets.without(escaped))


def test_the_commands_read_a_pack_as_they_read_a_folder(leaking: World, tmp_path: Path) -> None:
    run, _ = planted(tmp_path, leaking)
    shown = CliRunner().invoke(cli.main, ["judge", "--pack", str(run)])
    target = tmp_path / "run.pack.tar.xz"
    assert shown.exit_code == 0 and str(target) in shown.output.replace("\n", "")
    assert CliRunner().invoke(cli.main, ["judge", str(target)]).exit_code == 1
    assert CliRunner().invoke(cli.main, ["compare", str(target), str(run)]).exit_code == 0
    shown = CliRunner().invoke(cli.main, ["report", str(target)])
    assert shown.exit_code == 0 and "Not safe" in shown.output, shown.output
    for name in ("report.html", "report.json", "junit.xml", "summary.md", "cells"):
        assert (tmp_path / "run" / name).exists()


def test_a_run_that_was_killed_is_reported_from_its_verdicts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    report(run, (worlds.lifecycle("native"), "native", ALL))
    (run / "report.json").unlink()
    assert remake.remake(run).is_file()
    made = json.loads((run / "report.json").read_text())
    assert made["run"]["interrupted"] and made["run"]["exit_code"] == 0
    with pytest.raises(UsageProblem, match="no verdicts"):
        remake.remake(tmp_path)


def test_a_bug_report_is_one_folder_ready_to_paste(leaking: World, tmp_path: Path) -> None:
    run, made = planted(tmp_path, leaking)
    id_ = "1.33-envoy-native-init-rules-lifecycle.stop.no-plaintext"
    shown = CliRunner().invoke(
        cli.main, ["report-bug", id_, "--run", str(run), "--out", str(tmp_path / "bug")]
    )
    assert shown.exit_code == 0, shown.output
    text = (tmp_path / "bug/README.md").read_text()
    for said in (
        "stop.no-plaintext",
        "## Timeline",
        "delete.accepted",
        "frame",
        "make conformance",
    ):
        assert said in text
    assert "restartPolicy: Always" in (tmp_path / "bug/manifest.yaml").read_text()
    kept = list(Capture(tmp_path / "bug/packets.pcap"))
    whole = list(Capture(run / made["cells"][0]["bundle"] / "capture/subject/eth0.pcap"))
    assert 0 < len(kept) < len(whole)
    assert any(token("drain", 999).encode() in one.payload for one in kept)
    everything = b"".join(file.read_bytes() for file in (tmp_path / "bug").iterdir())
    assert JWT.encode() not in everything and b"Planted" not in everything
    with pytest.raises(UsageProblem, match=r"name one by its id, such as 1\.33-envoy"):
        bug.find(made, "1.33-envoy-native.stop.no-plaintext")


def test_a_comparison_shows_both_runs_on_one_axis(leaking: World, tmp_path: Path) -> None:
    report(tmp_path / "before", (worlds.lifecycle("native"), "native", ALL))
    report(tmp_path / "after", (leaking, "native", ALL))
    command = ["compare", str(tmp_path / "before"), str(tmp_path / "after"), "--html"]
    shown = CliRunner().invoke(cli.main, [*command, str(tmp_path / "out")])
    assert shown.exit_code == 1, shown.output
    name = "cells/1.33-envoy-native-init-rules-lifecycle.stop.no-plaintext.html"
    assert name in (tmp_path / "out/compare.html").read_text()
    assert "../compare.html" in (tmp_path / "out" / name).read_text()
