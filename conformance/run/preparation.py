"""Brings a run's clusters up, beside the tests that wait for them; takes them down behind it.

Owned by the run's one controlling process. The engine is settled in the foreground, because
without one nothing else makes sense; all else happens in the background, and each cluster's state
is published as a file that the workers wait for.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from conformance.cluster import connection, deletion, lifecycle, network
from conformance.cluster.state import ClusterHandle, publish, publish_state
from conformance.cluster.versions import versions
from conformance.engine import api
from conformance.engine.engine import Engine, engine
from conformance.errors import EnvironmentProblem, Problem, Unobtainable
from conformance.images import announcement, tools
from conformance.images import ensure as images
from conformance.images.pull import PREFIX_VARIABLE
from conformance.machine import digests, kubectl_cache, process, proxies, room, runs, timing
from conformance.machine import files as atomic
from conformance.machine.progress import board
from conformance.observe.node.collectors import NodeCollectors
from conformance.plan import cells as plan
from conformance.plan.options import Options
from conformance.run import kept
from conformance.run.sidecar_images import RunImages, SidecarImages
from conformance.sidecars.driver import CompilesImages, load
from conformance.verdicts import store as verdicts

# Clusters created at once: three took 32 s on two quiet cores, one alone 18 s.
CREATED_AT_ONCE = 3
# Clusters alive at once: one that has nothing to do still takes a seventh of a core, so on two
# processors one is observed and the next one made. It comes when all verdicts of an earlier one
# have fallen.
ALIVE_AT_ONCE = max(2, os.cpu_count() or 1)
TEND_SECONDS = 5.0
LOOKS = 2  # in a row at which nobody listened: an engine that is restarted is soon there again


class Preparation:
    """A run, from its engine to its clusters. Use as a context manager."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._stack = ExitStack()
        self._pool = ThreadPoolExecutor(CREATED_AT_ONCE, thread_name_prefix="prepare")
        self._alive = threading.Semaphore(ALIVE_AT_ONCE)
        self._handles: dict[str, ClusterHandle] = {}
        self._collectors: dict[str, list[NodeCollectors]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._announced = False
        self.ended = ""  # why the run ended itself, in one sentence
        self.run: runs.Run
        self._engine: Engine
        self._run_images: RunImages

    def __enter__(self) -> Preparation:
        began = time.time_ns()
        if self.options.image_prefix:
            os.environ[PREFIX_VARIABLE] = self.options.image_prefix
        if said := digests.sentence(self.options.image_prefix):
            board.say(said)
        proxies.reach_loopback_directly(os.environ)  # the workers and all children inherit it
        try:
            self._stack.enter_context(kubectl_cache.of_one_run(os.environ))
            self._stack.enter_context(runs.interrupts())
            self._engine = self._stack.enter_context(engine())
            runs.sweep(deletion.delete_all)
            self.run = self._stack.enter_context(
                runs.start(
                    self.options.results,
                    host=self._engine.host,
                    keep=self.options.keep,
                    worth=lambda results: any(verdicts.kept(results)),
                )
            )
            timing.note(self.run.results, "engine", began, time.time_ns())
            kept.keep(self.run.results)
            self._run_images = RunImages(self.run, self._engine, self.options, self._told)
            self._stack.callback(self._take_down)
        except BaseException:
            self._stack.close()
            raise
        return self

    def begin(self) -> None:
        """Start to prepare in the background."""
        for k8s in {cell.k8s for cell in plan.cells(self.options.selection)}:
            publish_state(self.run, k8s, "creating")
        self._pool.submit(self._prepare)
        threading.Thread(target=self._tend, name="tend", daemon=True).start()

    def release(self, k8s: str) -> None:
        """All verdicts of this version have fallen: make room for the next cluster."""
        if not self.options.keep and k8s in self._handles:
            threading.Thread(target=self._remove, args=[k8s], name=f"remove-{k8s}").start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    # -- in the background ----------------------------------------------------------------------

    def _prepare(self) -> None:
        versions = list(dict.fromkeys(cell.k8s for cell in plan.cells(self.options.selection)))
        try:
            tools.kind()
            tools.kubectl()
            versions = announcement.ready_first(self._engine, versions, self.options.images)
            self._announce(versions)
            self._run_images.make_base()
        except Exception as error:
            for k8s in versions:
                self._failed(k8s, error)
            return
        first, *others = self.options.selection.sidecars
        self._run_images.make(first)
        for place, k8s in enumerate(versions):
            try:
                self._announce(versions[place:])
                with timing.span(self.run.results, "node-image", k8s=k8s):
                    found = images.ensure_node_images(self._engine, k8s, self.options.images)
                self._pool.submit(self._cluster, k8s, found)
            except Unobtainable as error:
                self._failed(k8s, error, "unobtainable")
            except Exception as error:
                self._failed(k8s, error)
            for name in others if place == 0 else ():  # the first cluster is under way by now
                self._run_images.make(name)

    def _announce(self, versions: Sequence[str]) -> None:
        """Say once what will be built: before the first build, when it is known to be needed."""
        if self._announced:
            return
        selection = self.options.selection
        drivers = {name: load(name, selection.versions) for name in selection.sidecars}
        said = announcement.sentence(
            self._engine,
            versions,
            self.options.images,
            {
                name: driver.uncompiled(self._engine, self.options.images)
                for name, driver in drivers.items()
                if isinstance(driver, CompilesImages)
            },
        )
        self._announced = bool(said)
        if said:
            board.say(said)

    def _cluster(self, k8s: str, node_images: Mapping[str, images.Image]) -> None:
        while not self.options.keep and not self._alive.acquire(timeout=1):
            if self._over.is_set():
                return
        try:
            self._must_go_on()
            base, tools_root = self._run_images.base, self._run_images.rootfs
            with timing.span(self.run.results, "cluster", k8s=k8s):
                names = {wanted: one.name for wanted, one in node_images.items()}
                nodes = self.options.selection.nodes
                made = (self.run, self._engine, k8s, names, base, tools_root)
                handle = lifecycle.create(*made, nodes=nodes)
            with self._lock:
                self._handles[k8s] = handle
            self._must_go_on()
            collectors = [
                NodeCollectors(node, self._engine, handle.evidence, place=place)
                for place, node in enumerate(handle.nodes)
            ]
            with self._lock:
                self._collectors[k8s] = collectors
            for one in collectors:
                one.start()
            self._install(handle, list(node_images.values()))
        except Exception as error:
            self._failed(k8s, error)
            if k8s not in self._handles:  # else it is removed like any other
                self._alive.release()

    def _install(self, handle: ClusterHandle, node_images: Sequence[images.Image]) -> None:
        """Install one sidecar after the other, and publish each: nobody waits for another's."""
        client = connection.connect(handle.kubeconfig)
        found = self._versions(handle, node_images)
        target = handle.kubeconfig.with_name("versions.json")
        settled: dict[str, str] = {}  # sidecar → why it cannot be had here, or ""
        loaded: set[Path] = set()
        played = {
            cell.sidecar for cell in plan.cells(self.options.selection) if cell.k8s == handle.minor
        }
        # A sidecar that does not run on this version has no cell on it.
        for name in (one for one in self.options.selection.sidecars if one in played):
            sidecar_images = self._images_of(name)
            settled[name] = sidecar_images.reason
            if not sidecar_images.reason and not sidecar_images.unobtainable:
                about = {"k8s": handle.minor, "sidecar": name}
                try:
                    with timing.span(self.run.results, "load", **about):
                        wanted = [one for one in sidecar_images.archives if one not in loaded]
                        lifecycle.load(self.run, self._engine, handle, wanted)
                        loaded |= {*wanted}
                    with timing.span(self.run.results, "install", **about):
                        driver = load(name, self.options.selection.versions)
                        found["sidecars"][name] = dict(driver.install(handle, client))
                except Exception as error:
                    what = f"{name} on Kubernetes {handle.minor}"
                    settled[name] = self._told(what, f"{handle.minor}/{name}.error.log", error)
            atomic.write_text(target, json.dumps(found, indent=1))
            publish(self.run, handle, settled)

    def _images_of(self, name: str) -> SidecarImages:
        """A sidecar's images, which may still be in the making."""
        while (found := self._run_images.of(name, patience=1.0)) is None:
            self._must_go_on()
        return found

    def _versions(
        self, handle: ClusterHandle, node_images: Sequence[images.Image]
    ) -> dict[str, Any]:
        """What the cluster says of itself; the sidecars' versions have their place in it."""
        told = versions(handle)
        node = told["nodes"].get(handle.node) or next(iter(told["nodes"].values()))
        return {
            "server": told["kubernetes"],
            "cgroup": told["cgroup"],
            "sidecar_gate": told["sidecar_gate"],
            **node,
            "nodes": told["nodes"],
            "node_image": asdict(node_images[0]),
            "node_images": [asdict(one) for one in node_images],
            "sidecars": {},
        }

    def _failed(self, k8s: str, error: Exception, state: str = "failed") -> None:
        said = self._told(f"Kubernetes {k8s}", f"{k8s}/error.log", error)
        publish_state(self.run, k8s, state, reason=said)

    def _told(self, what: str, file: str, error: Exception) -> str:
        """Keep the error in a file below clusters/, and say what cannot be had; why."""
        log = self.run.results / "clusters" / file
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)))
        why = str(error) if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
        if not self._over.is_set():
            board.say(f"{what} cannot be had in this run: {why}")
        return why

    def _must_go_on(self) -> None:
        if self._over.is_set():
            raise EnvironmentProblem("The run is being stopped.")

    def _tend(self) -> None:
        """Keep the collectors' files in bounds, say once when one of them has died, and end the run
        when there is no room for what it observes, or no engine under it."""
        said: set[str] = set()
        silent = 0
        while not self._over.wait(TEND_SECONDS):
            gone = api.gone(self._engine.host)
            silent = silent + 1 if gone else 0
            lacking = room.lacking(self.run.results)
            if silent >= LOOKS:
                lacking = (
                    f"The Docker engine at {self._engine.host} has gone ({gone}) while the run was "
                    "under way; look into its log, and run again: the next run removes what is "
                    "left."
                )
            if lacking and not self.ended:
                self.ended = lacking
                board.say(f"{lacking} The run ends.")
                os.kill(os.getpid(), signal.SIGTERM)
            with self._lock:
                collectors = [one for its in self._collectors.values() for one in its]
            for one in collectors:
                for death in set(one.check()) - said:
                    said.add(death)
                    board.say(f"A collector of evidence has died: {death}")

    def _remove(self, k8s: str) -> None:
        with self._lock:
            handle, collectors = self._handles.pop(k8s), self._collectors.pop(k8s, [])
        for one in collectors:
            one.stop()
            one.discard()
        with (
            timing.span(self.run.results, "remove", k8s=k8s),
            suppress(EnvironmentProblem),  # the end of the run tries again, and says why not
        ):
            deletion.delete(handle)
            self.run.unregister(handle.name)
        self._alive.release()

    # -- the end --------------------------------------------------------------------------------

    def _take_down(self) -> None:
        runs.cleaning_up()
        self._over.set()
        process.stop_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
        process.resume()
        for one in [one for its in self._collectors.values() for one in its]:
            one.stop()
            if not self.options.keep:
                one.discard()
        if self.options.keep and self._handles:
            self._say_how_to_reach()
            return
        left = self.run.clusters
        if left:
            with (
                board.phase("removing the run's clusters"),
                timing.span(self.run.results, "remove"),
            ):
                deletion.delete_all(self.run.record)
                for name in left:
                    self.run.unregister(name)
        else:  # each has gone behind its own last verdict, and left the network to the others
            network.remove_all(self.run.record)

    def _say_how_to_reach(self) -> None:
        for handle in self._handles.values():
            kubectl = f"KUBECONFIG={handle.kubeconfig} {tools.kubectl()}"
            board.say(f"Kept cluster {handle.name} (Kubernetes {handle.minor}). Reach it with:")
            board.say(f"  {kubectl} get pods -A")
        board.say("Remove what is kept with:  make clean")
