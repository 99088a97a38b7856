"""Gives each cell its evidence, once for all of its judges, and tries a blind one once more."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from conformance.cluster.context import Context
from conformance.cluster.state import ClusterHandle, await_cluster
from conformance.errors import EnvironmentProblem, Problem, Unobtainable
from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.machine import locks, room, timing
from conformance.machine.capacity import capacity
from conformance.model import Cell, Finding
from conformance.observe import cell as cell_observer
from conformance.plan import cells as plan
from conformance.plan.elsewhere import lacking

# Cold, a node image is built from source first; on two cores several minors take long. The
# controlling process reports a cluster that cannot come much earlier than this.
CLUSTER_DEADLINE = 3600 * 2.0
ATTEMPTS = 2


@dataclass(frozen=True)
class Observed:
    """What there is of a cell: its bundle and findings, or why there is none."""

    findings: Mapping[str, Finding]
    bundle: Path | None = None
    attempts: int = 1
    missing: str = ""
    not_verified: bool = False

    def finding(self, behaviour: str) -> Finding:
        """The finding on a behaviour, which says why there is none where the cell was not seen."""
        return self.findings.get(behaviour) or Finding(
            behaviour, "not-verified" if self.not_verified else "inconclusive", self.missing
        )


class Cells:
    """Observes cells on demand; keeps what it has seen."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._seen: dict[Cell, Observed] = {}

    def observed(self, cell: Cell, behaviours: Sequence[str]) -> Observed:
        """The cell's findings for these behaviours; the first call plays the scenario."""
        if cell not in self._seen:
            self._seen[cell] = self._observe(cell, behaviours)
        return self._seen[cell]

    def _observe(self, cell: Cell, behaviours: Sequence[str]) -> Observed:
        try:
            with timing.span(self._results, "await", cell=cell.id, k8s=cell.k8s):
                handle = await_cluster(self._results, cell.k8s, cell.sidecar, CLUSTER_DEADLINE)
            context = Context.read(self._results)
            if cell.sidecar in context.unobtainable:
                return Observed({}, missing=context.unobtainable[cell.sidecar], not_verified=True)
            if why := lacking(cell, handle.lacking):
                return Observed({}, missing=why, not_verified=True)
            self._require_room()
            observed = self._with_attempts(cell, behaviours, handle, context)
            self._require_room()  # else nobody knows which lines could not be written
            return observed
        except Unobtainable as problem:
            return Observed({}, missing=str(problem), not_verified=True)
        except Problem as problem:
            return Observed({}, missing=str(problem))
        except Exception as error:
            return Observed({}, missing=room.lacking(self._results) or self._why(cell, error))

    def _require_room(self) -> None:
        if why := room.lacking(self._results):
            raise EnvironmentProblem(why)

    def _why(self, cell: Cell, error: Exception) -> str:
        """What went wrong over a cell, in one sentence; the rest is in a log beside the results."""
        log = self._results / "errors" / f"{cell.id}.log"
        log.parent.mkdir(exist_ok=True)
        log.write_text(traceback.format_exc())
        kind, said = type(error).__name__, str(getattr(error, "reason", None) or error)
        seen = f"{kind}: {said.splitlines()[0] if said else ''}; see {log}."
        if isinstance(error, (HTTPError, ApiException)):
            return (
                f"The API server of Kubernetes {cell.k8s} did not answer as it should while the "
                f"cell was observed: {seen}"
            )
        return f"The cell could not be observed: {seen}"

    def _with_attempts(
        self,
        cell: Cell,
        behaviours: Sequence[str],
        handle: ClusterHandle,
        context: Context,
    ) -> Observed:
        first = _next_attempt(handle.evidence, cell)
        # What was taken away on purpose does not come back at a second attempt.
        last = first if context.take_away else max(first, ATTEMPTS)
        for attempt in range(first, last + 1):
            about = {"cell": cell.id, "k8s": cell.k8s}
            with ExitStack() as stack:
                with timing.span(self._results, "room", **about):
                    stack.enter_context(_turn(cell, handle))
                    stack.enter_context(capacity(self._results))
                stack.enter_context(timing.span(self._results, "observe", **about))
                bundle = cell_observer.observe(cell, attempt, handle, context)
            with timing.span(self._results, "judge", **about):
                opened = Bundle.open(bundle)
                findings = {id_: judge(id_, opened) for id_ in behaviours}
            if not any(finding.retry for finding in findings.values()):
                break
        return Observed(findings, bundle, attempts=attempt)


def _turn(cell: Cell, handle: ClusterHandle) -> locks.Lock:
    """Cells of a cluster are observed side by side, but for those that want it for themselves."""
    lock = locks.exclusive if plan.alone(cell) else locks.shared
    return lock(handle.kubeconfig.with_name("turn.lock"))


def _next_attempt(evidence: Path, cell: Cell) -> int:
    """1, or more when a worker died over this cell and left its folder."""
    attempt = 1
    while (evidence / (cell.slug if attempt == 1 else f"{cell.slug}-{attempt}")).exists():
        attempt += 1
    return attempt
