"""Captures as columns: whatever the file holds, the same bytes come back."""

from __future__ import annotations

import lzma
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.report.pack.columns import columns, restored
from tests.worlds import lifecycle as worlds

HEADS = [
    struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, 262144, link)
    for order in "<>"
    for magic in (0xA1B2C3D4, 0xA1B23C4D)
    for link in (1, 276, 113)
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    bundle = worlds.lifecycle("native").write(tmp_path_factory.mktemp("bundle"))
    return (bundle / "capture/subject/eth0.pcap").read_bytes()


def test_a_capture_comes_back_and_is_smaller_packed(real: bytes) -> None:
    made = columns(real)
    assert made is not None and made != real and restored(made) == real
    assert len(lzma.compress(made)) < len(lzma.compress(real))


@pytest.mark.parametrize("cut", [1, 7, 16, 17, 100, 1000])
def test_one_that_breaks_off_comes_back(real: bytes, cut: int) -> None:
    made = columns(real[:-cut])
    assert made is not None and restored(made) == real[:-cut]


@settings(max_examples=60, deadline=None)
@given(
    head=st.sampled_from(HEADS),
    records=st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1), st.integers(0, 10**6 - 1), st.integers(0, 2**32 - 1),
            st.binary(max_size=90),
        ),
        max_size=8,
    ),
    tail=st.binary(max_size=20),
)  # fmt: skip
def test_whatever_stands_in_it(
    head: bytes, records: list[tuple[int, int, int, bytes]], tail: bytes
) -> None:
    order = "<" if head[0] in (0xD4, 0x4D) else ">"
    capture = head + tail.join(
        struct.pack(f"{order}IIII", seconds, part, len(frame), whole) + frame
        for seconds, part, whole, frame in records
    )
    made = columns(capture + tail)
    assert made is None or restored(made) == capture + tail


@pytest.mark.parametrize("content", [b"", b"\xd4\xc3\xb2\xa1", b"no capture at all, but long"])
def test_what_is_no_capture_stays(content: bytes) -> None:
    assert columns(content) is None
