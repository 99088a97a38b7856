"""Draws the page and the trace-event file of each cell that has a bundle, on every processor.

A classic cell and its native twin are one task: each page shows both. A task holds two cells at a
time, so memory grows with the number of processors, and not with the run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from conformance.machine.progress import board
from conformance.report import words
from conformance.report.page import marks
from conformance.report.trace import page, perfetto
from conformance.report.trace.build import build
from conformance.report.trace.model import Trace

Json = dict[str, Any]
Twins = list[tuple[str, list[Json]]]
_TWIN = ("k8s", "sidecar", "mode", "scenario", "turn")
_FEW = 4  # tasks; for fewer, starting processes takes longer than it saves
_MOST = 8  # processes: each needs some 150 MB


def draw(results: Path, entries: Sequence[Json], folder: Path) -> None:
    """Write cells/<id>.html and its trace-event file.

    entries: report.json's cells, whose bundles are in ``results``. A page that cannot be drawn says
    why in its place, and changes no verdict.
    """
    folder.mkdir(exist_ok=True)
    tasks = list(_twins(entries))
    processes = min(len(os.sched_getaffinity(0)), len(tasks) // _FEW, _MOST)
    if processes > 1:
        tasks = _shared(results, tasks, folder, processes)
    for cells in tasks:
        for said in pair(results, cells, folder):
            board.say(said)


def _shared(results: Path, tasks: Sequence[Twins], folder: Path, processes: int) -> list[Twins]:
    """Draw in other processes; returns what is left to do, when one of them was killed."""
    # Not forked: this process has threads, and locks that they hold.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_as_a_drawer)
    try:
        asked = {pool.submit(pair, results, cells, folder): cells for cells in tasks}
        left = list(tasks)
        try:
            for done in as_completed(asked):
                for said in done.result():
                    board.say(said)
                left.remove(asked[done])
        except BrokenProcessPool:
            board.say("A process that drew traces was killed; the rest is drawn one by one.")
        return left
    finally:
        pool.shutdown(cancel_futures=True)


def _as_a_drawer() -> None:
    """Ctrl-C reaches the whole group; it is for the process that waits to say what ends. When that
    is killed, its drawers end with it: they would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=[multiprocessing.parent_process()], daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def pair(results: Path, cells: Twins, folder: Path) -> list[str]:
    """Draw a cell and its twin; returns a sentence for each page that could not be drawn."""
    try:
        traces = {
            id_: build(results / entries[0]["bundle"], entries, id_) for id_, entries in cells
        }
        for id_, entries in cells:
            twin = next((one for other, one in traces.items() if other != id_), None)
            _page(folder, traces[id_], twin, entries)
    except Exception as error:  # a page that cannot be drawn changes no verdict
        return [_undrawn(folder, id_, error) for id_, _ in cells]
    return []


def _undrawn(folder: Path, id_: str, error: Exception) -> str:
    """Say in place of the page why it is not there; the traceback is kept beside it."""
    (folder / f"{id_}.error.log").write_text("".join(traceback.format_exception(error)))
    said = (
        f"The trace of {id_} could not be drawn ({type(error).__name__}: {error}); its "
        f"verdicts stand. The traceback is in {id_}.error.log beside this page."
    )
    (folder / f"{id_}.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>{escape(id_)}</title><p>{escape(said)}</p>\n'
    )
    return said


def _page(folder: Path, trace: Trace, twin: Trace | None, entries: Sequence[Json]) -> None:
    told: Mapping[str, Any] = {"letters": marks.letter, "classes": marks.letter, "compared": False}
    (folder / f"{trace.id}.html").write_text(page.render(trace, twin, entries, told))
    perfetto.write(folder / f"{trace.id}{perfetto.SUFFIX}", trace)


def _twins(entries: Sequence[Json]) -> Iterator[Twins]:
    """The cells of a report that have bundles, a classic cell and its native twin together."""

    def twin(entry: Json) -> tuple[Any, ...]:
        return tuple(entry[name] for name in _TWIN)

    kept = sorted((one for one in entries if one["bundle"]), key=twin)
    for _, group in groupby(kept, key=twin):
        cells: dict[str, list[Json]] = {}
        for entry in group:
            cells.setdefault(words.cell_id(entry), []).append(entry)
        yield list(cells.items())
