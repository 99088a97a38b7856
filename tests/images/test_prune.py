"""What nobody used for long is pruned."""

from __future__ import annotations

import os
import time
from pathlib import Path

from conformance.images import prune
from tests.stand_ins.docker import client


def test_what_nobody_uses_is_pruned(own_cache: Path, tmp_path: Path) -> None:
    old = time.time() - 2 * prune.UNUSED_FOR
    listing = (
        "printf 'sidecar-conformance/a:old\\t2020-01-01 00:00:00 +0000 UTC\\n"
        "sidecar-conformance/a:used\\t2020-01-01 00:00:00 +0000 UTC\\n'"
    )
    engine = client(
        tmp_path,
        f'[ "$1" = image ] && {listing}; [ "$1" = rmi ] && echo "$2" >> {tmp_path}/removed; true',
    )
    for name in ("unused", "used", "new"):
        folder = own_cache / "components" / name
        folder.mkdir(parents=True)
        if name != "new":
            os.utime(folder, (old, old))
    prune.mark_used("used")
    prune.mark_used("sidecar-conformance/a:used")
    prune.prune(engine)
    assert {path.name for path in (own_cache / "components").iterdir()} == {"used", "new"}
    assert (tmp_path / "removed").read_text().split() == ["sidecar-conformance/a:old"]


def test_the_age_of_an_image() -> None:
    assert prune.parse_created("2026-11-22 18:00:00 +0200 CEST") == 1795363200.0
    assert time.time() - prune.parse_created("yesterday") < 5
