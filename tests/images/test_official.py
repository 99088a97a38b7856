"""Images by their official names."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import ensure, official
from tests.stand_ins.docker import NO_HOST, FakeEngine, client

OFFICIAL = "docker.io/maker/thing:1.2"
PRESENT = '[{"Id": "sha256:%s", "Config": {"Labels": %s}}]'
BUILT = '{"io.sidecar-conformance.built": "packages"}'


def engine_that_has_it(tmp_path: Path, labels: str, pulled: str) -> FakeEngine:
    """An engine that has the image with these labels; pulling prints something, or fails."""
    return client(
        tmp_path,
        f"""[ "$1" = image ] && {{ echo '{PRESENT % ("0" * 64, labels)}'; exit 0; }}
        {pulled}""",
    )


@pytest.mark.usefixtures("own_cache")
def test_an_official_image_that_is_there_is_not_pulled(tmp_path: Path) -> None:
    found = official.obtain(engine_that_has_it(tmp_path, "null", "exit 9"), OFFICIAL, "auto")
    assert isinstance(found, ensure.Image) and found.source == "present"


@pytest.mark.usefixtures("own_cache")
def test_one_that_was_built_here_gives_way_to_the_makers(tmp_path: Path) -> None:
    found = official.obtain(engine_that_has_it(tmp_path, BUILT, "exit 0"), OFFICIAL, "auto")
    assert isinstance(found, ensure.Image) and found.source == "pulled"


@pytest.mark.usefixtures("own_cache")
def test_one_that_cannot_be_pulled_says_why(tmp_path: Path) -> None:
    engine = engine_that_has_it(tmp_path, BUILT, f"echo '{NO_HOST}' >&2; exit 1")
    said = official.obtain(engine, OFFICIAL, "auto")
    assert isinstance(said, str) and "no such host" in said
    with pytest.raises(Unobtainable):
        official.obtain(engine, OFFICIAL, "pull")
    assert official.obtain(engine, OFFICIAL, "build") == "IMAGES=build"


@pytest.mark.usefixtures("own_cache")
def test_a_registry_that_refuses_is_no_reason_to_build(tmp_path: Path) -> None:
    engine = engine_that_has_it(tmp_path, BUILT, "echo 'toomanyrequests: slow down' >&2; exit 1")
    with pytest.raises(EnvironmentProblem):
        official.obtain(engine, OFFICIAL, "auto")
