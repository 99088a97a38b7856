"""Container output by the node's own files: the same bytes as by the API's streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance.observe.output import Follower, Output, file_of, nine_digits
from conformance.observe.watch import NamespaceWatch

POD = {
    "metadata": {"namespace": "cell", "name": "subject", "uid": "u-1"},
    "spec": {"nodeName": "node-1"},
}
AT = b"2026-11-30T15:55:40.12Z"
AS_TOLD = b"2026-11-30T15:55:40.120000000Z"


def status(name: str, ident: str, *, restarts: int = 0, state: str = "running") -> dict[str, Any]:
    return {
        "name": name,
        "containerID": f"containerd://{ident}",
        "restartCount": restarts,
        "state": {state: {}},
    }


def write(path: Path, *lines: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(lines))


def line(text: bytes, tag: bytes = b"F", stream: bytes = b"stdout") -> bytes:
    return b" ".join((AT, stream, tag, text)) + b"\n"


def soon(look: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not look() and time.monotonic() < until:
        time.sleep(0.02)
    return look()


@pytest.mark.parametrize(
    ("lines", "plain", "dated"),
    [
        ([line(b"one"), line(b"two", stream=b"stderr")], b"one\ntwo\n", b"%s one\n%s two\n"),
        ([line(b"")], b"\n", b"%s \n"),
        ([line(b" with  blanks ")], b" with  blanks \n", b"%s  with  blanks \n"),
        ([line(b"lo", b"P"), line(b"ng", b"P"), line(b"er")], b"longer\n", b"%s longer\n"),
        ([line(b"tagged", b"F:more:tags")], b"tagged\n", b"%s tagged\n"),
        ([b"\xff\n", line(b"a\xffb")], b"a\xffb\n", b"%s a\xffb\n"),
    ],
)
def test_the_runtimes_marks_are_taken_off(
    tmp_path: Path, lines: Sequence[bytes], plain: bytes, dated: bytes
) -> None:
    write(tmp_path / "0.log", *lines)
    for name, with_time, said in (
        ("plain", False, plain),
        ("dated", True, dated.replace(b"%s", AS_TOLD)),
    ):
        output = Output(tmp_path / "0.log", tmp_path / name, dated=with_time)
        assert output.read()
        assert not output.read()
        assert (tmp_path / name).read_bytes() == said


def test_a_line_that_comes_in_pieces_is_passed_on_once_it_is_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "0.log", tmp_path / "out"
    whole = line(b"one")
    write(source, whole[:30])
    output = Output(source, target, dated=False)
    output.read()
    assert target.read_bytes() == b""
    write(source, whole[30:], line(b"two"))
    output.read()
    assert target.read_bytes() == b"one\ntwo\n"


def test_a_file_that_was_put_aside_is_read_to_its_end_and_the_next_one_too(tmp_path: Path) -> None:
    source, target = tmp_path / "0.log", tmp_path / "out"
    write(source, line(b"one"))
    output = Output(source, target, dated=False)
    output.read()
    write(source, line(b"two"))
    source.rename(tmp_path / "0.log.20261130")
    write(source, line(b"three"))
    while output.read():
        pass
    assert target.read_bytes() == b"one\ntwo\nthree\n"


def test_what_is_removed_has_been_read(tmp_path: Path) -> None:
    source, target = tmp_path / "0.log", tmp_path / "out"
    write(source, line(b"one"))
    follower = Follower()
    follower.follow(Output(source, target, dated=False))
    write(source, line(b"two"))
    source.unlink()
    follower.stop()
    assert target.read_bytes() == b"one\ntwo\n"
    assert follower.trouble == []


def test_last_words_that_come_late_are_passed_on(tmp_path: Path) -> None:
    source, target = tmp_path / "0.log", tmp_path / "out"
    write(source, line(b"one"))
    follower = Follower()
    follower.follow(Output(source, target, dated=False))
    late = threading.Timer(0.1, write, (source, line(b"late")))
    late.start()
    follower.stop()
    late.join()
    assert target.read_bytes() == b"one\nlate\n"


def test_who_goes_on_writing_is_left(tmp_path: Path) -> None:
    source, over = tmp_path / "0.log", threading.Event()
    write(source, line(b"one"))

    def on_and_on() -> None:
        while not over.wait(0.01):
            write(source, line(b"more"))

    writer = threading.Thread(target=on_and_on)
    writer.start()
    follower = Follower()
    follower.follow(Output(source, tmp_path / "out", dated=False))
    began = time.monotonic()
    follower.stop()
    took = time.monotonic() - began
    over.set()
    writer.join()
    assert took < 8


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "0.log", line(b"one"))

    def full(_: Output) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Output, "read", full)
    follower = Follower()
    follower.follow(Output(tmp_path / "0.log", tmp_path / "out", dated=False))
    follower.stop()
    (said,) = follower.trouble
    assert "No space left" in said


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (b"2026-11-30T15:55:40Z", b"2026-11-30T15:55:40.000000000Z"),
        (b"2026-11-30T15:55:40.1Z", b"2026-11-30T15:55:40.100000000Z"),
        (b"2026-11-30T15:55:40.123456789Z", b"2026-11-30T15:55:40.123456789Z"),
        (b"2026-11-30T16:55:40.5+01:00", b"2026-11-30T16:55:40.500000000+01:00"),
    ],
)
def test_times_have_nine_digits(moment: bytes, said: bytes) -> None:
    assert nine_digits(moment) == said


class Node:
    """A place whose nodes' files are seen, or are not."""

    stamps_in_output = False

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def now_ns(self) -> int:
        return time.time_ns()

    def outputs_of(self, node: str) -> Path | None:
        assert node == "node-1"
        return self._folder


def watch_on(place: Node, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> NamespaceWatch:
    bundle.mkdir(exist_ok=True)
    watch = NamespaceWatch(None, "cell", bundle, lambda _: "subject", ("dated",), place)
    (bundle / "logs").mkdir(exist_ok=True)
    asked: list[str] = []
    monkeypatch.setattr(watch, "_logs_of", lambda _pod, name: asked.append(name))
    watch.asked = asked  # type: ignore[attr-defined]
    return watch


def test_each_life_of_each_container_is_followed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, bundle = tmp_path / "output", tmp_path / "cell"
    watch = watch_on(Node(folder), bundle, monkeypatch)
    first, second = status("envoy", "a"), status("envoy", "b", restarts=1)
    dated = status("dated", "c", state="terminated")
    write(file_of(folder, POD, first), line(b"first life"))
    write(file_of(folder, POD, second), line(b"second life"))
    write(file_of(folder, POD, dated), line(b"told"))
    waiting = {**status("app", ""), "containerID": "", "state": {"waiting": {}}}
    for group in ([first, waiting], [first, waiting], [second, dated]):
        watch._follow_output({**POD, "status": {"containerStatuses": group}})
    logs = bundle / "logs"
    assert soon(lambda: (logs / "subject.envoy.log").read_bytes() == b"first life\nsecond life\n")
    watch.catch_up()
    assert (logs / "subject.dated.log").read_bytes() == AS_TOLD + b" told\n"
    watch.stop()
    assert watch.asked == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("seen", [True, False])
def test_the_api_is_asked_for_what_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, seen: bool
) -> None:
    watch = watch_on(Node(tmp_path if seen else None), tmp_path / "cell", monkeypatch)
    watch._follow_output({**POD, "status": {"containerStatuses": [status("envoy", "a")]}})
    assert soon(lambda: watch.asked == ["envoy"])  # type: ignore[attr-defined]
    watch.stop()
