"""The family of an address: a frame's is its header's, a program's is what it goes by."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.evidence.index import endpoint
from conformance.judges.packets import survey
from conformance.judges.sights import family
from conformance.model import Window
from tests.forge import bundle as forge
from tests.forge.bundle import ns, token
from tests.worlds import leaks


@pytest.mark.parametrize(
    ("said", "its_family"),
    [
        ("10.244.0.9:8080", "ipv4"),
        ("[fd00:10:96::50]:8080", "ipv6"),
        ("[::ffff:10.244.0.9]:8080", "ipv4"),
        ("[::ffff:af4:9]:8080", "ipv4"),
        ("[64:ff9b::af4:9]:8080", "ipv6"),  # by IPv6 as far as the translator
    ],
)
def test_what_a_program_names_goes_by(said: str, its_family: str) -> None:
    assert family(endpoint(said)) == its_family


def test_a_frame_is_what_its_header_says(tmp_path: Path) -> None:
    """A frame of IPv6 between IPv4 addresses written as IPv6: it crossed by IPv6."""
    world = leaks.ipv6()
    ends = (f"::ffff:{forge.POD}", world.next_port()), (f"::ffff:{forge.PEER}", 8080)
    world.talk(7.5, *ends, (0, forge.clear_request(token("steady", 999))))
    bundle = Bundle.open(world.write(tmp_path / "cell"))
    seen, _ = survey(bundle, Window("steady", ns(7), ns(8)))
    assert seen.leaks_by == {"ipv6": 1}
