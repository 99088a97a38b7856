"""The pytest plugin: the suite's options, its cells as parameters, its verdicts as outcomes.

It acts only when the suites below conformance/suites are run (``pytest --pyargs
conformance.suites`` or the command line); in any other pytest run it adds options and no more.
The controlling process owns the clusters and the report; xdist's workers observe and judge.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance.errors import Problem, UsageProblem
from conformance.model import Cell, Finding, Verdict
from conformance.plan import cells as plan
from conformance.plan.cells import Item
from conformance.plan.options import OPTIONS, Options
from conformance.report import summary
from conformance.verdicts import expectations
from conformance.verdicts import store as verdicts

if TYPE_CHECKING:
    from conformance.run.cells import Observatory
    from conformance.run.preparation import Preparation

SUITES = Path(__file__).parent / "suites"
# Cells observed at once: waiting is most of a cell, but six of them kept two processors busy
# without a pause, and more only make each other late. Beyond eight the node is the limit.
WORKERS = min(8, 2 * (os.cpu_count() or 1))
_STATE = pytest.StashKey["Session"]()


def behaviour(id_: str) -> Callable[..., Any]:
    """Marks a suite's test with the promise that it is about; its cells become parameters."""
    return pytest.mark.behaviour(id_)


class Session:
    """What the plugin knows in one process of a run.

    results: the run's folder. preparation: only in the controlling process.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.items = plan.items(options.selection)
        self.results: Path | None = None
        self.junit: str | None = None
        self.preparation: Preparation | None = None
        self.observatory: Observatory | None = None

    def behaviours_of(self, cell: Cell) -> Sequence[str]:
        return [item.behaviour for item in self.items if item.cell == cell]


class CellEvidence:
    """The evidence of one cell, as a suite sees it."""

    def __init__(self, session: Session, cell: Cell, record: Callable[[str, object], None]) -> None:
        self._session = session
        self._cell = cell
        self._record = record

    def must_show(self, behaviour_id: str) -> None:
        """Judge the behaviour and speak the verdict in pytest's terms.

        Raises HazardReproduced (the expected hazard), PromiseBroken, Inconclusive, or skips what
        this machine cannot verify.
        """
        verdict = self._verdict(Item(self._cell, behaviour_id))
        self._record("verdict", verdict.outcome)
        self._record("reason", verdict.reason)
        match verdict.outcome:
            case "reproduced":
                raise verdicts.HazardReproduced(verdict.reason)
            case "fail":
                raise verdicts.PromiseBroken(verdict.reason)
            case "inconclusive":
                raise verdicts.Inconclusive(verdict.reason)
            case "not-verified":
                pytest.skip(f"not verified here: {verdict.reason}")
            case _:  # pass, measured; not-reproduced is xfail's strictness
                return

    def _verdict(self, item: Item) -> Verdict:
        session = self._session
        assert session.observatory is not None and session.results is not None
        observed = session.observatory.observed(item.cell, session.behaviours_of(item.cell))
        finding = observed.findings.get(item.behaviour) or Finding(
            item.behaviour,
            "not-verified" if observed.not_verified else "inconclusive",
            observed.missing,
        )
        verdict = verdicts.hold(
            item,
            finding,
            attempts=observed.attempts,
            strict_promises=session.options.strict_promises,
        )
        verdicts.keep(session.results, verdict, observed.bundle)
        if observed.bundle is not None:
            told = json.loads((observed.bundle / "cell.json").read_text())["versions"]
            self._record("versions", summary.versions(told))
        return verdict


@pytest.fixture
def evidence(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> CellEvidence:
    """The evidence of the cell that the test is run for."""
    return CellEvidence(request.config.stash[_STATE], request.param, record_property)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sidecar-conformance")
    for option in OPTIONS:
        group.addoption(
            f"--{option.name}",
            dest=f"sc_{option.dest}",
            help=option.help,
            **({"action": "store_true"} if option.flag else {"metavar": "VALUE"}),
        )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Check the options, and have xdist spread the cells: one group a cell, several at once."""
    if hasattr(config, "workerinput") or not _runs_suites(config):
        return
    try:
        config.stash[_STATE] = session = Session(Options.check(_given(config)))
    except UsageProblem as problem:
        raise pytest.UsageError(str(problem)) from None
    cells = len({item.cell for item in session.items})
    if config.option.numprocesses is None and not config.option.collectonly:
        # As xdist's own hook would set them; it may have run before this one.
        config.option.numprocesses = min(cells, session.options.workers or WORKERS)
        config.option.tx = ["popen"] * config.option.numprocesses
    if config.option.numprocesses:
        config.option.dist = "loadscope"  # with cells as scopes: see pytest_xdist_make_scheduler
        config.option.loadscopereorder = False
    if config.option.xmlpath is None:  # the run's folder is not known yet; the reporter moves it
        config.option.xmlpath = session.junit = str(Path(tempfile.mkdtemp()) / "junit.xml")
    config.option.maxworkerrestart = 2


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "behaviour(id): the promise of the catalogue")
    worker = getattr(config, "workerinput", None)
    if worker is not None and "sc_results" in worker:
        config.stash[_STATE] = session = Session(Options.check(_given(config)))
        _observe_into(session, Path(worker["sc_results"]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    session = metafunc.config.stash.get(_STATE, None)
    mark = metafunc.definition.get_closest_marker("behaviour")
    if session is None or mark is None or "evidence" not in metafunc.fixturenames:
        return
    items = [item for item in session.items if item.behaviour == mark.args[0]]
    metafunc.parametrize(
        "evidence",
        [
            pytest.param(item.cell, id=item.cell.id, marks=_marks(item, session.options))
            for item in items
        ],
        indirect=True,
    )


def _marks(item: Item, options: Options) -> list[pytest.MarkDecorator]:
    marks = []
    expectation = expectations.expected(
        item.behaviour, item.cell, strict_promises=options.strict_promises
    )
    if expectation.expect == "broken":
        marks.append(
            pytest.mark.xfail(
                strict=True, raises=verdicts.HazardReproduced, reason=expectation.reason
            )
        )
    return marks


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Cell by cell, in the plan's order, so that the first verdicts fall early."""
    session = config.stash.get(_STATE, None)
    if session is None:
        return
    order = {item.cell.id: place for place, item in enumerate(session.items)}

    def place(item: pytest.Item) -> int:
        callspec = getattr(item, "callspec", None)  # absent or empty: not part of this run
        return order.get(callspec.id, -1) if callspec else -1

    items[:] = sorted((item for item in items if place(item) >= 0), key=place)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In the controlling process: settle the engine, begin to bring clusters up."""
    config = session.config
    state = config.stash.get(_STATE, None)
    if state is None or hasattr(config, "workerinput") or config.option.collectonly:
        return
    from conformance.report.live import Reporter
    from conformance.run.preparation import Preparation

    stack = ExitStack()
    config.add_cleanup(stack.close)
    try:
        preparation = stack.enter_context(Preparation(state.options))
    except Problem as problem:
        pytest.exit(f"sidecar-conformance: {problem}", returncode=problem.exit_code)
    state.preparation = preparation
    _observe_into(state, preparation.run.results)
    config.pluginmanager.register(Reporter(state), "sidecar-conformance-reporter")
    preparation.begin()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests of a cell go to one worker, so that one deployment serves all of its judges.

    xdist's own way, ``--dist loadgroup``, has no effect under pytest 9.2: it renames items by
    ``_nodeid``, which their ``nodeid`` no longer follows (seen with xdist 3.8).
    """
    if _STATE not in config.stash:
        return None
    from xdist.scheduler import LoadScopeScheduling

    class CellScheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.rpartition("[")[2]

    return CellScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: tell a worker where the run's folder is."""
    state = node.config.stash.get(_STATE, None)
    if state is not None:
        node.workerinput["sc_results"] = str(state.results)


def _observe_into(session: Session, results: Path) -> None:
    from conformance.run.cells import Observatory

    session.results = results
    session.observatory = Observatory(results)


def _given(config: pytest.Config) -> dict[str, str | bool | None]:
    return {option.dest: config.getoption(f"sc_{option.dest}") for option in OPTIONS}


def _runs_suites(config: pytest.Config) -> bool:
    def below(argument: str) -> bool:
        path = argument.split("::")[0]
        return path.startswith("conformance.suites") or Path(path).resolve().is_relative_to(SUITES)

    return any(below(argument) for argument in config.args)
