"""kubectl's memory of a cluster ends with the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.machine.kubectl_cache import VARIABLE, of_one_run


@pytest.mark.parametrize("before", [{}, {VARIABLE: "/theirs"}])
def test_it_is_a_folder_that_goes(before: dict[str, str]) -> None:
    environment = dict(before)
    with of_one_run(environment):
        folder = Path(environment[VARIABLE])
        assert folder.is_dir() and str(folder) != "/theirs"
        (folder / "discovery").mkdir()
    assert not folder.exists() and environment == before
