"""The suites' pytest hooks: their options, one test a verdict, the verdicts as outcomes.

The controlling process owns the clusters and the report; xdist's workers observe and judge.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import Problem, UsageProblem
from conformance.machine import capacity, scratch
from conformance.plan.cells import Item
from conformance.plan.options import OPTIONS, Options
from conformance.run import kept
from conformance.run.session import CellEvidence, Session
from conformance.verdicts import expectations
from conformance.verdicts import store as verdicts

# Cells observed at once, if the machine has capacity for them (machine/capacity.py). Waiting is
# most of a cell: eight take a quarter less time than four, even on two processors. Beyond eight the
# node is the limit, whose processors their pods ask for. Each takes about 1 GiB with its pods, and
# is given twice that of the machine's memory.
_MOST = 8
_EACH = 2 << 30  # bytes
WORKERS = max(2, min(_MOST, 4 * (os.cpu_count() or 1), capacity.memory() // _EACH))
_SESSION = pytest.StashKey[Session]()


@pytest.fixture
def evidence(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> CellEvidence:
    """The evidence of the cell and the behaviour that the test is run for."""
    return CellEvidence(request.config.stash[_SESSION], request.param, record_property)


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
    if hasattr(config, "workerinput"):
        return
    try:
        options = Options.check(_given(config))
        if options.existing:  # the version is the cluster's to say; the workers are told
            config.option.sc_k8s = _version_there(options, config.option.sc_k8s)
            options = Options.check(_given(config))
        if any("," in version for version in options.selection.versions.values()):
            raise UsageProblem("Two versions are two runs: use sidecar-conformance run.")
        config.stash[_SESSION] = session = Session(options)
        expectations.table()  # a row that is wrong is found before anything is created
    except Problem as problem:
        raise pytest.UsageError(str(problem)) from None
    cells = len({item.cell for item in session.items})
    if config.option.numprocesses is None and not config.option.collectonly:
        # As xdist's own hook would set them; it may have run before this one.
        config.option.numprocesses = min(cells, session.options.workers or WORKERS)
        config.option.tx = ["popen"] * config.option.numprocesses
    if config.option.numprocesses and not config.option.basetemp:
        # xdist has pytest make a folder for each worker, in /tmp, and leave it there.
        folder = ExitStack()
        config.add_cleanup(folder.close)
        place = folder.enter_context(scratch.folder("pytest"))
        config.option.basetemp = str(place / "workers")
    if config.option.numprocesses:
        config.option.dist = "loadscope"  # with cells as scopes: see pytest_xdist_make_scheduler
        config.option.loadscopereorder = False
    config.option.maxworkerrestart = 2


def _version_there(options: Options, asked: str | None) -> str:
    from conformance.run.existing import minor_of

    return minor_of(options, asked)


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None and "sc_results" in worker:
        options, results = Options.check(_given(config)), Path(worker["sc_results"])
        kept.restore(results)  # what the run has, whatever became of the user's files meanwhile
        config.stash[_SESSION] = session = Session(options)
        _observe_into(session, results)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each behaviour in each cell, in the plan's order: early verdicts fall early."""
    session = metafunc.config.stash.get(_SESSION, None)
    if session is not None and "evidence" in metafunc.fixturenames:
        metafunc.parametrize(
            "evidence",
            [
                pytest.param(item, id=item.id, marks=_marks(item, session.options))
                for item in session.items
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


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """xdist tells how its workers come up, which is nobody's question: that one has died, it
    still says."""
    workers: Any = session.config.pluginmanager.get_plugin("terminaldistreporter")
    if _SESSION in session.config.stash and workers is not None:
        workers.ensure_show_status = lambda: None
        workers.rewrite = lambda *_, **__: None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Under xdist only workers collect; the controlling process must know what they will."""
    if _SESSION in config.stash:
        session: pytest.Session | None = config.pluginmanager.get_plugin("session")
        assert session is not None
        session.perform_collect()


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was asked for with -k or by a test's own id is what the run is about: begin it."""
    config = session.config
    state = config.stash.get(_SESSION, None)
    if state is None or session.testsfailed or sys.exception():  # pytest says what went wrong
        return
    ids = {_item_id(item.nodeid) for item in session.items}
    if "" in ids:
        raise pytest.UsageError("The suites are run alone: leave the other paths out.")
    if not ids:
        raise pytest.UsageError("Nothing to run: no test of the suites is selected.")
    state.narrow(ids)
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        _begin(config, state)


def _begin(config: pytest.Config, state: Session) -> None:
    """In the controlling process: settle the engine, begin to bring clusters up."""
    from conformance.report.live import Reporter
    from conformance.run.existing import ExistingPreparation
    from conformance.run.preparation import Preparation

    options = state.options
    preparation: Preparation | ExistingPreparation = (
        ExistingPreparation(options) if options.existing else Preparation(options)
    )
    stack = ExitStack()
    config.add_cleanup(stack.close)
    try:
        stack.enter_context(preparation)
    except Problem as problem:
        if not options.existing:  # else it is not about this machine
            _say_what_is_not_green()
        pytest.exit(f"sidecar-conformance: {problem}", returncode=problem.exit_code)
    state.preparation = preparation
    _observe_into(state, preparation.run.results)
    reporter = Reporter(
        preparation.run.results,
        state.options,
        state.items,
        fallen=state.fallen,
        absent=state.absent,
        ended=lambda: preparation.ended,
    )
    config.pluginmanager.register(reporter, "sidecar-conformance-reporter")
    preparation.begin()


def _say_what_is_not_green() -> None:
    """Before a failed set-up's own sentence: what else of the machine is not as it should be."""
    from conformance.doctor import examine, gather
    from conformance.doctor.line import text, troubles
    from conformance.machine.progress import board

    for line in troubles(examine.lines(gather.facts())):
        board.say(text(line))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests of a cell go to one worker, and first those whose cluster is there."""
    state = config.stash.get(_SESSION, None)
    if state is None:
        return None
    from conformance.suites.scheduling import CellScheduling

    items = {item.id: item for item in state.items}
    return CellScheduling(config, log, lambda test: items[_item_id(test)], state.settled)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str) -> None:
    """xdist: a worker has died over a test. The scheduler gives all of its cell to another one."""
    from conformance.machine.progress import board

    board.say(
        f"A worker of the run has died while it observed or judged {_item_id(crashitem)}: its cell "
        "is observed once more by another one; the kernel's log may say who ended it."
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: tell a worker where the run's folder is."""
    state = node.config.stash.get(_SESSION, None)
    if state is not None:
        node.workerinput["sc_results"] = str(state.results)


def _item_id(nodeid: str) -> str:
    """Item.id of a test of the suites; "" for any other's."""
    test, _, rest = nodeid.partition("[")
    return rest.removesuffix("]") if test.endswith("::test_behaviour") else ""


def _observe_into(session: Session, results: Path) -> None:
    from conformance.run.cells import Cells

    session.results = results
    session.cells = Cells(results)


def _given(config: pytest.Config) -> dict[str, str | bool | None]:
    return {option.dest: config.getoption(f"sc_{option.dest}") for option in OPTIONS}
