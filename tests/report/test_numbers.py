"""Clock readings as columns: whatever the file holds, the same bytes come back."""

from __future__ import annotations

import json
import lzma
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.report.pack.numbers import columns, restored

LOT = random.Random(7)
BEGIN = 1_796_031_315_671_670_019


def stamps(lines: int) -> bytes:
    """As the fixture programs write them."""
    now, found = BEGIN, []
    for number in range(lines):
        now += LOT.randrange(-1000, 50_000_000)
        line = {"ns": now, "mono_ns": now - 10**18 + LOT.randrange(-500, 500), "event": "served"}
        found.append(json.dumps(line | {"token": f"cny.x.steady.subject.{number:06}"}) + "\n")
    return "".join(found).encode()


def journal(lines: int) -> bytes:
    """As the pack writes the journal's lines: the two readings come last."""
    now, found = BEGIN // 1000, []
    for _ in range(lines):
        now += LOT.randrange(50_000)
        line = {"MESSAGE": "x", "__MONOTONIC_TIMESTAMP": str(now - 10**12)}
        line["__REALTIME_TIMESTAMP"] = str(now)
        found.append(json.dumps(line, separators=(",", ":")) + "\n")
    return "".join(found).encode()


@pytest.mark.parametrize("content", [stamps(2000), journal(2000)])
def test_a_file_comes_back_and_is_smaller_packed(content: bytes) -> None:
    made = columns(content)
    assert made is not None and restored(made) == content
    assert len(lzma.compress(made)) < 0.75 * len(lzma.compress(content))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"no readings\n",
        stamps(2) + b"a line of another kind\n",
        b'{"ns": 007, "mono_ns": 5, "event": 1}\n',
        b'{"ns": 1, "mono_ns": 0, "event": 1}\n',
        b'{"ns": ' + b"9" * 30 + b', "mono_ns": 1, "event": 1}\n',
    ],
)
def test_a_file_of_other_lines_is_left_as_it_is(content: bytes) -> None:
    assert columns(content) is None


def test_one_whose_last_line_breaks_off_comes_back_or_is_left() -> None:
    whole = stamps(5)
    for cut in range(len(whole)):
        made = columns(whole[:cut])
        assert made is None or restored(made) == whole[:cut]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**19 - 1), st.integers(1, 10**19 - 1),
            st.sampled_from([b"", b"\r", b'"ns": , "mono_ns": ,', b"\\1", b"\xff"]),
            st.sampled_from([b"\n", b"\r\n", b""]),
        )
    )
)  # fmt: skip
def test_any_lines_come_back_or_are_left(lines: list[tuple[int, int, bytes, bytes]]) -> None:
    content = b"".join(
        b'{"ns": %d, "mono_ns": %d, %s}%s' % (one, two, text, end) for one, two, text, end in lines
    )
    made = columns(content)
    assert made is None or restored(made) == content


@pytest.mark.parametrize("cut", [1, 9, 40, 200])
def test_what_was_cut_is_refused(cut: int) -> None:
    made = columns(stamps(20))
    assert made is not None
    for damaged in (made[:-cut], made[:cut]):
        try:
            assert restored(damaged) != stamps(20)
        except (ValueError, LookupError, struct.error):
            continue
