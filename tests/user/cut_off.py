"""An engine in a network from which no way leads out, and a user in it.

``unshare --net python -m tests.user.cut_off HOME``: says where the engine listens when it answers,
and ends it with its own input. Only the loopback is there, and what the engine makes.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.machine import process
from conformance.machine.paths import CHECKOUT
from tests.user import stage


@contextmanager
def cut_off(user: stage.User) -> Iterator[stage.User]:
    """The same user with another engine and an empty cache, where nothing can be reached."""
    program = ("unshare", "--net", sys.executable, "-m", "tests.user.cut_off")
    with subprocess.Popen(
        [*program, user.home / "engine-cut-off"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        host = child.stdout.readline().strip()
        assert host, "the engine without a network did not start"
        try:
            yield dataclasses.replace(
                user,
                host=host,
                cache=user.home / "cache-cut-off",
                enter=("nsenter", f"--net=/proc/{child.pid}/ns/net", "--"),
            )
        finally:
            child.stdin.close()


def main(home: str) -> None:
    """The engine, until there is no more input."""
    process.run(["ip", "link", "set", "lo", "up"], what="raising the loopback")
    with stage.engine_in(Path(home), {}) as host:
        print(host, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
