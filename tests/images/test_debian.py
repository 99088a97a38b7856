"""The machine's own mirror, and package lists."""

from __future__ import annotations

from pathlib import Path

from conformance.images import debian


def test_the_mirror_is_the_machines_own() -> None:
    listing = (
        "Debian|Debian-Security|bookworm-security|main|http://a.example/security\n"
        "Other|Other|bookworm|main|http://b.example/other\n"
        "Debian|Debian|trixie|main|http://c.example/debian\n"
        "Debian|Debian|bookworm|main|http://d.example/debian\n"
    )
    assert debian.pick_mirror(listing, "bookworm") == "http://d.example/debian"
    assert debian.pick_mirror(listing, "sid") == "http://c.example/debian"
    assert debian.pick_mirror("Ubuntu|Ubuntu|noble|main|http://u.example/\n", "bookworm") is None


def test_package_lists_have_comments(tmp_path: Path) -> None:
    listing = tmp_path / "packages.txt"
    listing.write_text("# why\ncurl\n\njq # for scripts\n")
    assert debian.read_packages(listing) == ("curl", "jq")
