"""A view is surveyed once for every window that is asked for, and says of each what it would say
if it were surveyed for that one alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from conformance.evidence import bundle as bundles
from conformance.evidence.bundle import Bundle
from conformance.evidence.packets import capture
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges.exceptions import Explained
from conformance.judges.packets import survey, survey_node, survey_so_far
from conformance.model import NEVER, Window
from tests.forge import bundle as forge
from tests.forge import wire
from tests.forge.bundle import World, clear_request, ns, token
from tests.worlds import lifecycle

WINDOWS = [(0, NEVER), *((ns(at), ns(at + 3)) for at in range(0, 16, 3)), (ns(12), NEVER)]
ALSO = (Explained("what is sent in clear", "a test", remote="peer", remote_ports=(80,)),)


def _world() -> World:
    """Leaks of one connection in two windows, of a second one, and the deliberate one."""
    world = lifecycle.lifecycle()
    for at, number in ((2.0, 1), (5.0, 2), (12.0, 3)):
        world.leak(at, token("steady", 770 + number))
    ours, peer = (forge.POD, 40000), (forge.PEER_SERVICE, 80)
    sent = [(0, clear_request(token("steady", 780 + number))) for number in range(2)]
    talk = wire.talk(ns(9.0), ours, peer, sent, (forge.POD, forge.POD6))
    # The second half of the connection comes in another window.
    world.frames += [
        (at + (ns(13.0) - ns(9.0) if number >= len(talk) // 2 else 0), frame)
        for number, (at, frame) in enumerate(talk)
    ]
    return world


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(_world().write(tmp_path / "cell"))


def _seen(bundle: Bundle, also: Sequence[Explained]) -> Iterator[object]:
    for start, end in WINDOWS:
        window = Window("a", start, end)
        yield survey(bundle, window, also)
        yield survey_so_far(bundle, window, also)[:2]
        yield survey_node(bundle, window, also)


@pytest.mark.parametrize("also", [(), ALSO])
def test_each_window_is_told_as_if_it_were_the_only_one(
    bundle: Bundle, also: Sequence[Explained], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = list(_seen(bundle, also))
    assert len({str(one) for one in kept}) > len(WINDOWS)
    monkeypatch.setattr(bundles, "_KEPT_CAPTURE_BYTES", 0)
    assert kept == list(_seen(Bundle.open(bundle.root), also))


def test_a_small_capture_is_decoded_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = capture._decode

    def counted(frame: int, ns: int, data: bytes, link: int, cut: bool) -> capture.Packet:
        decoded.append(frame)
        return decode(frame, ns, data, link, cut)

    monkeypatch.setattr(capture, "_decode", counted)
    for start in range(3):
        survey(bundle, Window("a", start, NEVER))
    once = len(decoded)
    survey(bundle, Window("a", 0, 1), ALSO)  # surveyed anew, and decoded no more
    assert once == len(decoded) == sum(1 for _ in bundle.capture(bundle.capture_file))


def test_what_is_read_is_noticed_each_time(bundle: Bundle) -> None:
    for _ in range(2):
        with bundle.noticed() as read:
            survey(bundle, Window("a", 0, NEVER))
        assert {bundle.capture_file, bundle.agent_file} <= read


def test_a_capture_that_is_changed_meanwhile_is_refused(bundle: Bundle) -> None:
    survey(bundle, Window("a", 0, NEVER))
    with (bundle.root / bundle.capture_file).open("ab") as file:
        file.write(b"more")
    with pytest.raises(Unjudgeable, match="when the bundle was closed"):
        survey(bundle, Window("a", 0, NEVER))
