"""A bundle: the folder with the evidence of one cell (FORMAT.md), read line by line.

What may be large is not kept in memory. A file that is missing, or is not what it was when the
bundle was closed, raises Unjudgeable with its name. A line that cannot be read is left out and
remembered: what the others say stands, and ``consistency`` names the line to those who lean on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from conformance.evidence import compressed, statuses
from conformance.evidence import index as index_format
from conformance.evidence import parse as records
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.index import Index, Pod
from conformance.evidence.lacking import Table, in_line
from conformance.evidence.packets.capture import Capture, KeptCapture
from conformance.evidence.parse import Line, RuntimeEvent, StopLine
from conformance.evidence.statuses import Supposition
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence

T = TypeVar("T")
CLOCK = "clock.jsonl"
# Bytes of files whose lines are kept, for every judge and check reads the same ones: six times what
# the largest cell of a real run has. As objects they take some ten times as much.
_KEPT_BYTES = 16 << 20
# Of a capture whose packets are kept, for the same reason: three times the largest of a real run.
_KEPT_CAPTURE_BYTES = 12 << 20
SUBJECT_ROLE = "subject"  # stamps and logs are filed by role, captures by the pod's name


class Bundle:
    """The evidence of one cell.

    unread: why a line could not be read, by file and number. contradictions: what the bundle says
    against itself; None until it was held against itself (consistency.contradictions). supposed:
    where within their bounds the moments lie that statuses tell; None where the runtime was seen.
    """

    def __init__(self, root: Path, role: str = "") -> None:
        self.root = root
        self.supposed: Supposition | None = None
        self._role = role  # of the pod that is looked at, where it is not the one under test
        self.unread: dict[tuple[str, int], str] = {}
        self.contradictions: Sequence[Contradiction] | None = None
        self._intact: set[str] = set()
        self._read: set[str] = set()
        self.asked: set[str] = set()  # names of all files that anybody wanted, there or not
        self._kept: dict[str, list[Line]] = {}
        self._room = _KEPT_BYTES
        self._captures: dict[str, Capture] = {}
        self.reckoned: dict[Hashable, Any] = {}  # what was reckoned once for all who ask, by name

    @contextmanager
    def noticed(self) -> Iterator[set[str]]:
        """The names of the files that are read within."""
        before, self._read = self._read, set()
        try:
            yield self._read
        finally:
            self._read = before

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        """What is read within is read for another's sake: a verdict does not lean on it."""
        with self.noticed():
            yield

    @classmethod
    def open(cls, path: Path | str) -> Bundle:
        """A bundle in a folder. Nothing is read yet, so nothing is raised."""
        return cls(Path(path))

    @cached_property
    def index(self) -> Index:
        """cell.json."""
        path = self.root / "cell.json"
        try:
            found = index_format.read(json.loads(path.read_bytes(), object_hook=_of_the_index))
            return found.seen_from(self._role) if self._role else found
        except FileNotFoundError:
            raise Unjudgeable(f"cell.json is missing in {self.root.name}") from None
        except OSError as error:
            raise Unjudgeable(f"cell.json cannot be read: {error.strerror}") from error
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unjudgeable("cell.json cannot be read: it is not JSON") from error
        except ValueError as error:
            raise Unjudgeable(f"cell.json cannot be read: {error}") from error
        except (TypeError, AttributeError) as error:
            said = "a value in it is of another kind than FORMAT.md says"
            raise Unjudgeable(f"cell.json cannot be read: {said}") from error

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
        other = Bundle(self.root, role)
        # What is read there is read for the same verdict.
        other.unread, other.contradictions = self.unread, self.contradictions
        other._intact, other._read, other.asked = self._intact, self._read, self.asked
        other.supposed = self.supposed
        other._kept, other._room, other.reckoned = self._kept, self._room, self.reckoned
        other._captures = self._captures
        return other

    def path(self, name: str) -> Path:
        """The path of a file that is there and whole, as the index remembers it."""
        path = self._known(name)
        mark = self.index.files.get(name)
        if mark and (size := compressed.size(path)) != mark.size:
            raise Unjudgeable(
                f"{name} has {size} bytes, and had {mark.size} when the bundle was closed",
                evidence=(Evidence(name),),
            )
        return path

    def _known(self, name: str) -> Path:
        """The path of a file that begins as the index remembers it, and may have grown since."""
        path = self.root / name
        mark = self.index.files.get(name)
        self._read.add(name)
        self.asked.add(name)
        if not compressed.exists(path):
            known = f" (cell.json knows it, with {mark.size} bytes)" if mark else ""
            if name in self.index.left_out:
                known = " (it was left out of the pack: no verdict asked for it then)"
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
        self.asked.add(name)
        return compressed.exists(self.root / name) or name in self.index.files

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """The lines of a text file, numbered from 1. A half line at the end is left out.

        What a program wrote after the bundle was closed is no part of it.
        """
        for number, line in self._raw(name):
            yield number, line.decode("utf-8", "replace")

    def _raw(self, name: str) -> Iterator[tuple[int, bytes]]:
        mark = self.index.files.get(name)
        left = mark.size if mark else 1 << 62
        with compressed.opened(self._known(name)) as source:
            for number, line in enumerate(source, 1):
                left -= len(line)
                if left < 0 or not line.endswith(b"\n"):
                    return
                yield number, line

    def records(self, name: str) -> Iterator[Line]:
        """The lines of a JSON file of whatever name, each with its time."""
        if name not in self._kept:
            parsed = self._parsed(name, partial(records.read_json, file=name))
            path = self.root / name
            size = compressed.size(path) if compressed.exists(path) else 0
            if size > self._room:
                return parsed
            self._kept[name] = list(parsed)
            self._room -= size
        self._read.add(name)
        return iter(self._kept[name])

    def _parsed(self, name: str, read: Callable[[int, str], T | None]) -> Iterator[T]:
        for number, line in self._raw(name):
            try:
                found = read(number, line.decode()) if line.strip() else None
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                self.unread[name, number] = f"{name}:{number} cannot be read: {_told(error)}"
                continue
            if found is not None:
                yield found

    def objects(self, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The numbered lines of a JSON file in which each tells of something by itself: none may be
        left out. Raises Unjudgeable for a line that is no object, and where one is asked for what
        it lacks."""
        for number, text in self.lines(name):
            try:
                found = json.loads(text, object_hook=in_line(name, number))
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, dict):
                where = (Evidence(name, line=number),)
                raise Unjudgeable(f"{name}:{number} cannot be read: not a JSON object", None, where)
            yield number, found

    def small(self, capture: str) -> bool:
        """Whether what is read of a capture may be kept in memory."""
        return compressed.size(self.path(capture)) <= _KEPT_CAPTURE_BYTES

    def capture(self, name: str) -> Capture:
        """A capture by its name, decoded once for all who ask where it is small."""
        if not self.small(name):
            return Capture(self.root / name)
        return self._captures.setdefault(name, KeptCapture(self.root / name))

    def steps(self) -> Iterator[Line]:
        """What the scenario did."""
        return self.records("steps.jsonl")

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
        return self.records("watch.jsonl")

    def clock(self) -> Iterator[Line]:
        """The node's own readings of its clocks; none in a bundle that has no such file."""
        return self.records(CLOCK) if self.has(CLOCK) else iter(())

    def admissions(self) -> Iterator[Line]:
        """Pods as the API server admitted them, or would: see FORMAT.md."""
        return self.records("admissions.jsonl")

    def stamps(self, role: str, container: str) -> Iterator[Line]:
        """What a fixture program wrote about itself."""
        return self.records(stamps_file(role, container))

    def stamp_files(self) -> list[str]:
        """All files of stamps, as names in the bundle."""
        return [f"stamps/{path.name}" for path in compressed.glob(self.root / "stamps", "*.jsonl")]

    def commands(self) -> Iterator[Line]:
        """Commands that the scenario ran, with their output; ns is when each had ended."""
        return self.records("commands.jsonl")

    def answers(self) -> Iterator[Line]:
        """What the API server answered to pods that were sent to it, most as a dry run."""
        return self.records("answers.jsonl")

    def agent(self) -> Iterator[Line]:
        """The diary of the capture agent of the pod under test."""
        return self.records(self.agent_file)

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
        """containerd's events; where it was not seen, what statuses suppose of them."""
        if self.supposed is not None:
            return statuses.events(self, self.supposed)
        return self._parsed("runtime.log", records.read_runtime)

    def stops(self) -> Iterator[StopLine]:
        """Announcements of signals in containerd's journal; see runtime."""
        if self.supposed is not None:
            return statuses.stops(self)
        return self._parsed("containerd.log", records.read_stop)


def _of_the_index(fields: dict[str, Any]) -> Table[Any]:
    return Table(fields, "cell.json")


def _told(error: Exception) -> str:
    """What is wrong with a line, in one clause that can be printed anywhere."""
    text = str(error).encode("ascii", "backslashreplace").decode()
    return "nested too deep" if isinstance(error, RecursionError) else text[:160]


def _sha256(path: Path, size: int) -> str:
    """Of the first ``size`` bytes of a file, or of all when it is shorter."""
    digest = hashlib.sha256()
    with compressed.opened(path) as source:
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
