"""Worlds in which a workload is moved: two pods, the one that comes and the one that goes."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.forge import whole
from tests.forge.bundle import World
from tests.worlds import lifecycle

FORMER_ENVOY, FORMER_APP = "1" * 64, "2" * 64


@dataclass
class Move(World):
    """A rolling update: this is the pod that comes, ``former`` the one that goes.

    Seconds: the former is there from -6 on, told to end at 7, and gone at 8.6.
    """

    former: World = field(kw_only=True)

    def complete(self) -> World:
        """Both pods."""
        assert self.former is not None
        self.former.complete()
        whole.join_pods(self.index, self.former.watch)
        return super().complete()

    def write(self, folder: Path) -> Path:
        """Both pods in one bundle."""
        both = self.copy()
        both.watch = [*self.former.watch, *self.watch]
        for who, lines in self.former.stamps.items():
            both.stamps.setdefault(who, []).extend(lines)
        World.write(both, folder)
        add_capture(both, self.former, folder)
        self.index["files"] = both.index["files"]
        return folder


def add_capture(world: World, other: World, folder: Path) -> None:
    """Put the capture of another world's subject into a bundle that is written already."""
    name = other.index["subject"]
    written = other.write(folder.with_name(f"{folder.name}-{name}"))
    shutil.copytree(written / "capture", folder / "capture", dirs_exist_ok=True)
    for path in (folder / "capture" / name).iterdir():
        data = path.read_bytes()
        mark = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        world.index["files"][str(path.relative_to(folder))] = mark
    (folder / "cell.json").write_text(json.dumps(world.index))


def rollout(pattern: str = "native", *, lossless: bool = True) -> Move:
    """A fresh world in which a workload is moved to this pattern.

    lossless: the classic pod that goes loses nothing (one that comes always does).
    """
    return _move(pattern, _former("classic" if pattern == "native" else "native", lossless))


def upgrade(pattern: str = "native") -> Move:
    """A fresh world in which a workload is moved to another control plane."""
    world = _move(pattern, _former(pattern, lossless=True))
    world.index["cell"]["scenario"] = "upgrade"
    world.step(lifecycle.DELETED - 0.05, "control-planes", former="default", subject="next")
    return world


def _move(pattern: str, former: World) -> Move:
    world = Move(**{**vars(lifecycle.lifecycle(pattern)), "former": former})
    world.index["cell"]["scenario"] = "rollout"
    pod = world.index["pods"]["subject"]
    world.index["pods"]["former"] = {
        **pod, "name": "former-1", "uid": "uid-former", "sandbox": "",
        "containers": {
            one: {"id": its, "ids": [its], "image": "i", "image_id": "i"}
            for one, its in (("envoy", FORMER_ENVOY), ("app", FORMER_APP))
        },
    }  # fmt: skip
    for its in (FORMER_ENVOY, FORMER_APP):
        world.created(-5.9, its)
    world.signalled(7.0, FORMER_ENVOY)
    world.exited(8.0, FORMER_ENVOY)
    world.exited(8.4, FORMER_APP)
    for seq in range(22):
        world.attempt(-0.9 + seq * 0.5, "peer.app", "quick", seq, "ok", target="10.96.0.60:80")
    world.steps = []
    for at, name in (
        (-5.0, "former.ready"), (-1.0, "rollout.begin"), (lifecycle.READY, "subject.ready"),
        (8.6, "former.gone"), (lifecycle.DELETED - 0.1, "rollout.end"),
    ):  # fmt: skip
        world.step(at, name)
    return world


def _former(pattern: str, lossless: bool) -> World:
    """The pod that goes: its packets, its stamps, and its place in the watch."""
    world = World(pattern, lifecycle.index(pattern, "rollout", "former-1"))
    world.beacons(-6.0, 8.5)
    world.control(-4.0)
    world.stamps["former.app"] = world.stamps.pop("subject.app")
    for seq in range(65):
        at = -4.9 + seq * 0.2
        served = lossless or pattern == "native" or at < 7.5
        outcome = "ok" if served else "refused"
        its = world.attempt(at, "former.app", "steady" if at < 7 else "drain", seq, outcome)
        if served:
            world.mesh(at + 0.002, outbound=True, path=f"/echo/{its}")
    world.stamp(7.0, "former.app", "app.sigterm")
    world.seen(-5.9, "Pod", "former-1", "uid-former", lifecycle.spec(pattern), {})
    return world


WORLDS = {"rollout": rollout, "upgrade": upgrade}
