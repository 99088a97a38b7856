"""The stage of ``make test-user``. Root sets it, and does nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.engine import engine as engines
from conformance.engine.client import docker
from conformance.images import ensure
from tests.user import registry, stage


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage.User]:
    """A user whose engine has a registry on the loopback as its mirror.

    Images are taken from the engine that this machine has, or would start.
    """
    work = tmp_path_factory.mktemp("user")
    with engines.engine() as its:
        (node,) = ensure.ensure_node_images(its, stage.K8S, "auto").values()
        base = ensure.ensure_base(its, "auto")
        what = "saving the images of the mirror"
        docker(its, "save", "--output", work / "saved.tar", node.name, base.name, what=what)
    (official,) = ensure.node_image_names(stage.K8S)
    names = {node.name: official, base.name: f"library/{ensure.BASE_IMAGE}"}
    store = registry.read(work / "saved.tar", work / "unpacked", names)
    # Not below pytest's own folder, which is closed to other users.
    home = Path(tempfile.mkdtemp(prefix="sc-user-", dir="/tmp"))
    try:
        stage.furnish(home)
        # The mirror has this machine's own node image under kind's name: that is what is pinned.
        repository, _, tag = official.partition(":")
        stage.pin(home, {official: store.manifests[repository, tag]})
        with registry.serving(store) as address:
            settings = {"registry-mirrors": [f"http://{address}"]}
            with stage.engine_in(home / "engine", settings) as host:
                user = stage.User(home, host, store, address, home / ".cache/sidecar-conformance")
                code, _ = user.run("make", stage.PYTHON, ".venv-ready", minutes=10)
                assert code == 0
                yield user
    finally:
        shutil.rmtree(home)
