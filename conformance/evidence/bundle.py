"""A bundle: the folder with the evidence of one cell (FORMAT.md), read line by line.

Nothing that may be large is held in memory. A file that is missing, or is not what it was when the
bundle was closed, raises Unjudgeable with its name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from conformance.evidence import index as index_format
from conformance.evidence import parse as records
from conformance.evidence.index import Index, Pod
from conformance.evidence.parse import Line, RuntimeEvent, StopLine
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence

T = TypeVar("T")
CLOCK = "clock.jsonl"
SUBJECT_ROLE = "subject"  # stamps and logs are filed by role, captures by the pod's name


class Bundle:
    """The evidence of one cell."""

    def __init__(self, root: Path, role: str = "") -> None:
        self.root = root
        self._role = role  # of the pod that is looked at, where it is not the one under test
        self._intact: set[str] = set()

    @classmethod
    def open(cls, path: Path | str) -> Bundle:
        """A bundle in a folder. Nothing is read yet, so nothing is raised."""
        return cls(Path(path))

    @cached_property
    def index(self) -> Index:
        """cell.json."""
        path = self.root / "cell.json"
        try:
            found = index_format.read(json.loads(path.read_bytes()))
            return found.seen_from(self._role) if self._role else found
        except FileNotFoundError:
            raise Unjudgeable(f"cell.json is missing in {self.root.name}") from None
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unjudgeable(f"cell.json cannot be read: {error!r}") from error

    def pod(self, role: str = SUBJECT_ROLE) -> Pod:
        """A pod of the cell by its role; the pod under test has one, whatever its name."""
        name = self.index.subject if role == SUBJECT_ROLE else role
        if name not in self.index.pods:
            raise Unjudgeable(f"the pod {name} was never seen")
        return self.index.pods[name]

    def seen_from(self, role: str) -> Bundle:
        """The same evidence, with another of its pods as the one that is looked at.

        Raises Unjudgeable when there is no such pod.
        """
        self.pod(role)
        return Bundle(self.root, role)

    def path(self, name: str) -> Path:
        """The path of a file that is there and whole, as the index remembers it."""
        path = self._known(name)
        mark = self.index.files.get(name)
        if mark and path.stat().st_size != mark.size:
            raise Unjudgeable(
                f"{name} has {path.stat().st_size} bytes, and had {mark.size} when the bundle was "
                "closed",
                evidence=(Evidence(name),),
            )
        return path

    def _known(self, name: str) -> Path:
        """The path of a file that begins as the index remembers it, and may have grown since."""
        path = self.root / name
        mark = self.index.files.get(name)
        if not path.is_file():
            known = f" (cell.json knows it, with {mark.size} bytes)" if mark else ""
            raise Unjudgeable(f"{name} is missing{known}", evidence=(Evidence(name),))
        if mark and name not in self._intact:
            if _sha256(path, mark.size) != mark.sha256:
                raise Unjudgeable(
                    f"{name} was changed after the bundle was closed", evidence=(Evidence(name),)
                )
            self._intact.add(name)
        return path

    def has(self, name: str) -> bool:
        """Whether the file is there, or should be (then reading it says what is wrong)."""
        return (self.root / name).is_file() or name in self.index.files

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """The lines of a text file, numbered from 1. A half line at the end is left out.

        What a program wrote after the bundle was closed is no part of it.
        """
        mark = self.index.files.get(name)
        left = mark.size if mark else 1 << 62
        with self._known(name).open("rb") as source:
            for number, line in enumerate(source, 1):
                left -= len(line)
                if left < 0 or not line.endswith(b"\n"):
                    return
                yield number, line.decode("utf-8", "replace")

    def _json(self, name: str) -> Iterator[Line]:
        return self._parsed(name, records.read_json)

    def _parsed(self, name: str, read: Callable[[int, str], T | None]) -> Iterator[T]:
        for number, text in self.lines(name):
            try:
                found = read(number, text) if text.strip() else None
            except (ValueError, TypeError, AttributeError) as error:
                raise Unjudgeable(
                    f"{name}:{number} cannot be read: {error}",
                    evidence=(Evidence(name, line=number),),
                ) from error
            if found is not None:
                yield found

    def steps(self) -> Iterator[Line]:
        """What the scenario did."""
        return self._json("steps.jsonl")

    def step(self, name: str, pod: str = "") -> Line | None:
        """The first step of that name; of a pod, where the step says which."""
        return next(
            (
                line
                for line in self.steps()
                if line.event == name and (not pod or line.get("pod") == pod)
            ),
            None,
        )

    def watch(self) -> Iterator[Line]:
        """Watch events of Pods and Jobs; ns is when each was received."""
        return self._json("watch.jsonl")

    def clock(self) -> Iterator[Line]:
        """The node's own readings of its clocks; none in a bundle that has no such file."""
        return self._json(CLOCK) if self.has(CLOCK) else iter(())

    def admissions(self) -> Iterator[Line]:
        """Pods as the API server admitted them, or would: see FORMAT.md."""
        return self._json("admissions.jsonl")

    def stamps(self, role: str, container: str) -> Iterator[Line]:
        """What a fixture program wrote about itself."""
        return self._json(stamps_file(role, container))

    def stamp_files(self) -> list[str]:
        """All files of stamps, as names in the bundle."""
        return sorted(f"stamps/{path.name}" for path in (self.root / "stamps").glob("*.jsonl"))

    def commands(self) -> Iterator[Line]:
        """Commands that the scenario ran, with their output; ns is when each had ended."""
        return self._json("commands.jsonl")

    def answers(self) -> Iterator[Line]:
        """What the API server answered to pods that were sent to it, most as a dry run."""
        return self._json("answers.jsonl")

    def agent(self) -> Iterator[Line]:
        """The diary of the capture agent of the pod under test."""
        return self._json(self.agent_file)

    @property
    def agent_file(self) -> str:
        return f"capture/{self.index.subject}/agent.jsonl"

    @property
    def capture_file(self) -> str:
        """The capture from inside the pod under test."""
        return f"capture/{self.index.subject}/eth0.pcap"

    @property
    def node_file(self) -> str:
        """The node's view of the same pod."""
        return f"capture/{self.index.subject}/node.pcap"

    def runtime(self) -> Iterator[RuntimeEvent]:
        """containerd's events."""
        return self._parsed("runtime.log", records.read_runtime)

    def stops(self) -> Iterator[StopLine]:
        """Announcements of signals in containerd's journal."""
        return self._parsed("containerd.log", records.read_stop)


def _sha256(path: Path, size: int) -> str:
    """Of the first ``size`` bytes of a file, or of all when it is shorter."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while size > 0 and (block := source.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()


def stamps_file(role: str, container: str) -> str:
    """The file with the stamps of a role's container."""
    return f"stamps/{role}.{container}.jsonl"


def requests_file(role: str, container: str) -> str:
    """The file with the requests that a role's sidecar says it carried."""
    return f"requests/{role}.{container}.jsonl"


def log_file(role: str, container: str) -> str:
    """The file with the output of a role's container."""
    return f"logs/{role}.{container}.log"
