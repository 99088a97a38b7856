"""Reproduces one failure mode of the article on a real cluster, and tells it as it happens.

One cell shows the hazard, a second one (or the same) the recovery; kubectl commands that detect it
are run on the live cluster while the hazard lasts. The verdicts are the judges', as in any run.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.cluster.state import ClusterHandle, await_cluster
from conformance.evidence import compressed
from conformance.images import tools
from conformance.model import NS, Cell, Verdict
from conformance.observe.pods import role_of
from conformance.plan.cells import Item, judged_in
from conformance.plan.failures import Failure, Look
from conformance.plan.wish import Wish
from conformance.run.cells import CLUSTER_DEADLINE, Cells, Observed
from conformance.run.preparation import Preparation
from conformance.sidecars.driver import load
from conformance.verdicts import store as verdicts

_POLL = 0.2  # seconds between looks at the files that a cell writes; no API call is made
_KUBECTL_SECONDS = 30
# Stamps that tell a pod's life; the requests between them are too many.
_LIFE = ("app.", "sidecar.", "control.", "deleting")
_AROUND = ("witness.", "peer.", "dialer.")  # they live before and after the pod under test
_FEW = 4  # of one event by one program: the rest of them says nothing new

Say = Callable[[str], None]


@dataclass(frozen=True)
class Reproduced:
    """What became of a failure mode.

    shown: verdicts of the cell that shows the hazard. healed: of the recovery. bundles: the
    evidence's folders, in the order in which they were made.
    """

    failure: Failure
    shown: Sequence[Verdict]
    healed: Sequence[Verdict]
    bundles: Sequence[Path] = ()

    @property
    def hazard_seen(self) -> bool:
        """Whether a behaviour was broken. Where the failure names none that is, the scenario makes
        the hazard before its recovery, and a behaviour of ``healed`` holds only if it came."""
        if self.failure.seen_by:
            return any(verdict.finding.observed == "broken" for verdict in self.shown)
        return self.recovered

    @property
    def recovered(self) -> bool:
        """Whether every behaviour of the recovery held."""
        return bool(self.healed) and all(one.finding.observed == "holds" for one in self.healed)

    @property
    def exit_code(self) -> int:
        """0: seen and healed; 4: nothing could be verified; 5: undecided; 1: it came otherwise."""
        if self.hazard_seen and self.recovered:
            return 0
        observed = {verdict.finding.observed for verdict in (*self.shown, *self.healed)}
        if observed <= {"not-verified"}:
            return 4
        return 5 if observed & {"inconclusive", "not-verified"} else 1


def reproduce(wish: Wish, say: Say) -> Reproduced:
    """Bring a cluster up, show the hazard, apply the recovery, and take the cluster down.

    Raises Problem where there can be no cluster.
    """
    failure, options, sidecar = wish.failure, wish.options, wish.sidecar
    (k8s,) = options.selection.k8s
    cell = failure.cell(k8s, sidecar, wish.pattern)
    healing = failure.healed_cell(k8s, sidecar, wish.pattern)
    say(f"{failure.name}: {failure.title}.")
    say(f"The article: {failure.article}.")
    with Preparation(options) as preparation:
        preparation.begin()
        results = preparation.run.results
        handle = await_cluster(results, k8s, sidecar, CLUSTER_DEADLINE)
        player = _Player(results, handle, options.strict_promises, say)
        asked = [*failure.seen_by] if healing else [*failure.seen_by, *failure.healed_by]
        say(f"\n{'The hazard' if healing else 'The hazard, and its recovery'}: {_named(cell)}")
        shown = player.play(cell, judged_in(cell, asked), failure.watch)
        if healing:
            say(f"\nThe recovery: {failure.recovery}\n{_named(healing)}")
            healed = player.play(healing, judged_in(healing, failure.healed_by), ())
        else:
            healed = {id_: shown.pop(id_) for id_ in failure.healed_by if id_ in shown}
        return Reproduced(failure, [*shown.values()], [*healed.values()], tuple(player.bundles))


def sentence(reproduced: Reproduced) -> str:
    """What came of it, in one sentence."""
    failure = reproduced.failure
    seen = "was reproduced" if reproduced.hazard_seen else "was not reproduced"
    healed = "heals it" if reproduced.recovered else "was not seen to heal it"
    return f"{failure.name} {seen}, and the recovery {healed}."


def _named(cell: Cell) -> str:
    return f"Kubernetes {cell.k8s} · {cell.sidecar} · {cell.pattern} · {cell.mode}"


@dataclass
class _Player:
    """Plays cells, and tells what happens in them."""

    results: Path
    handle: ClusterHandle
    strict_promises: bool
    say: Say
    bundles: list[Path] = field(default_factory=list)

    def play(self, cell: Cell, ids: Sequence[str], looks: Sequence[Look]) -> dict[str, Verdict]:
        """Play the cell; the verdicts on these behaviours, which are kept as a run keeps them."""
        with self._telling(cell, looks):
            observed = Cells(self.results).observed(cell, ids)
        if observed.bundle:
            self.bundles.append(observed.bundle)
        return {id_: self._verdict(Item(cell, id_), observed) for id_ in ids}

    def _verdict(self, item: Item, observed: Observed) -> Verdict:
        verdict = verdicts.hold(
            item,
            observed.finding(item.behaviour),
            attempts=observed.attempts,
            strict_promises=self.strict_promises,
        )
        verdicts.keep(self.results, verdict, observed.bundle)
        self.say(f"  {item.behaviour}: {verdict.finding.observed}. {verdict.finding.reason}")
        return verdict

    @contextmanager
    def _telling(self, cell: Cell, looks: Sequence[Look]) -> Iterator[None]:
        over = threading.Event()
        teller = _Teller(self.handle, cell, looks, self.say)
        thread = threading.Thread(target=teller.follow, args=[over], name="tell", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@dataclass(frozen=True)
class _Event:
    """A line of the diary (where is "") or of a program's stamps (where names the program)."""

    ns: int
    name: str
    where: str


class _Teller:
    """Follows a cell's diary and its programs' stamps, and runs kubectl when a step is reached.

    It reads files and asks the API server; the scenario knows nothing of it.
    """

    def __init__(self, handle: ClusterHandle, cell: Cell, looks: Sequence[Look], say: Say) -> None:
        self._handle = handle
        self._cell = cell
        self._namespace = cell.slug
        self._bundle = handle.evidence / cell.slug
        self._looks = list(looks)
        self._say = say
        self._read: dict[Path, int] = {}
        self._told: Counter[tuple[str, str]] = Counter()
        self._zero = 0
        self._due: list[tuple[float, Look]] = []

    def follow(self, over: threading.Event) -> None:
        """Tell what comes until ``over`` is set, and then what is left."""
        last = False
        while not last:
            last = over.wait(_POLL)
            for event in sorted(self._new(), key=lambda one: one.ns):
                self._tell(event)
            self._look()

    def _new(self) -> Iterator[_Event]:
        stamps = self._bundle / "stamps"
        files = compressed.glob(stamps, "*.jsonl")
        told = [one for one in files if not one.name.startswith(_AROUND)]
        for file in (self._bundle / "steps.jsonl", *told):
            for line in self._lines(file):
                name = line.get("step") or line.get("event", "")
                if "step" in line or name.startswith(_LIFE):
                    where = "" if "step" in line else file.stem
                    yield _Event(line["ns"], name, where)

    def _lines(self, file: Path) -> list[dict[str, Any]]:
        """The whole lines that came since the last look."""
        if not compressed.exists(file):
            return []
        with compressed.opened(file) as source:
            source.seek(self._read.get(file, 0))
            *whole, half = source.read().split(b"\n")
            self._read[file] = source.tell() - len(half)
        return [json.loads(line) for line in whole]

    def _tell(self, event: _Event) -> None:
        self._zero = self._zero or event.ns
        self._told[event.name, event.where] += 1
        if self._told[event.name, event.where] <= _FEW:
            where = f"  ({event.where})" if event.where else ""
            self._say(f"{(event.ns - self._zero) / NS:9.3f} s  {event.name}{where}")
        for look in [one for one in self._looks if not event.where and one.step == event.name]:
            self._looks.remove(look)
            self._due.append((time.monotonic() + look.after, look))

    def _look(self) -> None:
        for due, look in list(self._due):
            if time.monotonic() >= due:
                self._due.remove((due, look))
                self._detect(look)

    def _detect(self, look: Look) -> None:
        pod, sidecar = self._names()
        command = look.command(pod, sidecar)
        self._say(f"            $ kubectl {command}    # {look.shows}")
        arguments = ["--kubeconfig", str(self._handle.kubeconfig), "-n", self._namespace]
        told = self._output([*arguments, *shlex.split(command)]).split("\n")
        # The last line ends where --limit-bytes cuts it off; alone it is better than nothing.
        cut = "--limit-bytes" in command and len(told) > 1
        for line in told[:-1] if cut or not told[-1] else told:
            self._say(f"            {line}")

    def _names(self) -> tuple[str, str]:
        """The pod under test and its sidecar's container, as the watch last brought them."""
        newest: dict[str, Any] = {}
        for line in compressed.content(self._bundle / "watch.jsonl").decode().splitlines():
            with suppress(ValueError):  # the last line may be half written
                seen = json.loads(line)
                is_subject = seen["kind"] == "Pod" and role_of(seen["object"]) == "subject"
                newest = seen["object"] if is_subject else newest
        if not newest:
            return "subject", "sidecar"
        sidecars = load(self._cell.sidecar).admitted(newest, self._cell).sidecars
        return newest["metadata"]["name"], (*sidecars, "sidecar")[0]

    def _output(self, arguments: Sequence[str]) -> str:
        try:
            ran = subprocess.run(
                [tools.kubectl(), *arguments],
                capture_output=True,
                text=True,
                timeout=_KUBECTL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"(no answer within {_KUBECTL_SECONDS} s)"
        return ran.stdout or ran.stderr
