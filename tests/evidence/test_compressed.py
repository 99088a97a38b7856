"""A bundle whose large files are compressed is the same evidence."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.evidence import compressed
from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.report import story
from conformance.report.pack import archive
from tests.worlds import lifecycle

BEHAVIOURS = ("start.order", "start.no-plaintext", "stop.no-plaintext", "inbound.bypass")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "LEAST_BYTES", 1)


@pytest.mark.usefixtures("small")
def test_judges_and_pages_read_it_as_before(tmp_path: Path) -> None:
    bundle = lifecycle.lifecycle().write(tmp_path / "bundle")
    before = [judge(one, Bundle.open(bundle)) for one in BEHAVIOURS]
    told = story.timeline(bundle)
    compressed.compress(bundle)
    plain = (".pcap", ".jsonl", ".log")
    left = [one for one in bundle.rglob("*") if one.suffix in plain and one.stat().st_size]
    assert not left and list(bundle.rglob("*.gz"))
    assert [judge(one, Bundle.open(bundle)) for one in BEHAVIOURS] == before
    assert story.timeline(bundle) == told and told
    compressed.compress(bundle)  # a second time there is nothing to do
    assert not list(bundle.rglob("*.half"))


@pytest.mark.usefixtures("small")
def test_a_compressed_file_that_was_changed_is_seen(tmp_path: Path) -> None:
    bundle = lifecycle.lifecycle().write(tmp_path / "bundle")
    compressed.compress(bundle)
    file = bundle / "stamps" / "subject.app.jsonl.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"app", b"apq", 1)))
    assert "changed after" in judge("start.order", Bundle.open(bundle)).reason


def test_small_files_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "steps.jsonl").write_text("{}\n")
    (tmp_path / "large.log").write_text("line\n" * 10_000)
    compressed.compress(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["large.log.gz", "steps.jsonl"]
    assert compressed.size(tmp_path / "large.log") == 50_000
    assert compressed.content(tmp_path / "large.log") == b"line\n" * 10_000
    assert compressed.exists(tmp_path / "steps.jsonl") and compressed.size(tmp_path / "steps.jsonl")
    assert not compressed.exists(tmp_path / "none.log")
    assert [one.name for one in compressed.glob(tmp_path, "*.log")] == ["large.log"]


@pytest.mark.usefixtures("small")
def test_a_pack_holds_the_content_under_its_own_name(tmp_path: Path) -> None:
    run = tmp_path / "run"
    bundle = run / "evidence" / "1.33" / "cell"
    bundle.mkdir(parents=True)
    (run / "verdicts").mkdir()
    (run / "verdicts" / "one.json").write_text("{}")
    (bundle / "steps.jsonl").write_text('{"ns": 1}\n')
    compressed.compress(bundle)
    with archive.opened(archive.pack(run)) as unpacked:
        steps = unpacked / "evidence" / "1.33" / "cell" / "steps.jsonl"
        assert steps.read_text() == '{"ns": 1}\n'


@pytest.mark.usefixtures("small")
def test_what_cannot_be_compressed_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    (tmp_path / "kubelet.log").write_text("line\n")
    compressed.compress(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["kubelet.log"]


@pytest.mark.usefixtures("small")
def test_a_run_is_compressed_in_place_when_that_is_asked_for(tmp_path: Path) -> None:
    bundle = lifecycle.lifecycle().write(tmp_path / "run" / "evidence" / "1.33" / "cell")
    before = judge("start.order", Bundle.open(bundle))
    told = CliRunner().invoke(main, ["judge", "--compress", str(tmp_path / "run")])
    assert (told.exit_code, " MB, now " in told.output) == (0, True)
    assert list(bundle.rglob("*.gz"))
    assert judge("start.order", Bundle.open(bundle)) == before
    (tmp_path / "empty").mkdir()
    wrong = CliRunner().invoke(main, ["judge", "--compress", str(tmp_path / "empty")])
    assert wrong.exit_code == 2 and "holds no evidence" in wrong.stderr
