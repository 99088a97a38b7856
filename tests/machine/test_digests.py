"""A file of one's own with digests: right, wrong, empty, and what a run says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import UsageProblem
from conformance.machine import digests

ONE = f'"debian:bookworm-slim" = "sha256:{"ab" * 32}"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a file of one's own would be: it is named, and not made yet."""
    monkeypatch.setenv(digests.DIGESTS, str(tmp_path / "own.toml"))
    return tmp_path / "own.toml"


@pytest.mark.parametrize(
    "content",
    [
        "= 3",
        '"a:b" = "sha256:00"',
        f'"a:b" = "sha256:{"AB" * 32}"',
        f'"a:b" = "sha256:{"ab" * 32}0"',
        '"a:b" = 3',
        f'["a:b"]\ndigest = "sha256:{"ab" * 32}"',
        f'kindest/node:v1.33.12 = "sha256:{"ab" * 32}"',
        "\udcff",
        None,
    ],
)
def test_a_wrong_one_is_refused_in_a_sentence(file: Path, content: str | None) -> None:
    if content is not None:
        file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageProblem, match=r"SIDECAR_CONFORMANCE_DIGESTS=.*own\.toml"):
        digests.own()


@pytest.mark.parametrize("name", ["/", "/nowhere/at/all", "~nobody-of-this-name/a", "x" * 300])
def test_what_is_no_file_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(digests.DIGESTS, name)
    with pytest.raises(UsageProblem):
        digests.own()


def test_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert digests.own() is None and not digests.sentence("")
    monkeypatch.setenv(digests.DIGESTS, "")
    assert digests.own() is None


@pytest.mark.parametrize(
    ("content", "prefix", "said"),
    [
        ("", "", "it pins nothing, so an image is believed by its name."),
        ("# none\n", "", "it pins nothing"),
        (ONE, "", "it pins debian:bookworm-slim; every other image is believed by its name."),
        (ONE, "r.internal/m", "below r.internal/m nothing is pinned."),
    ],
)
def test_a_run_says_what_is_pinned_instead(
    file: Path, content: str, prefix: str, said: str
) -> None:
    file.write_text(content)
    assert digests.sentence(prefix).startswith(f"SIDECAR_CONFORMANCE_DIGESTS={file} stands in")
    assert said in digests.sentence(prefix)
