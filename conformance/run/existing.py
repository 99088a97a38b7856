"""Prepares a run on a cluster that the suite did not make, and leaves the cluster as it was.

All that the run makes there is in namespaces with the run's label; the mesh is used as it is. What
can be refused is asked for first, in the foreground, so that a run that cannot be ends with one
sentence before any cell.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from conformance.cluster import connection, existing, leftovers, rights
from conformance.cluster.context import Context
from conformance.cluster.state import ClusterHandle, base_namespace, publish
from conformance.errors import EnvironmentProblem, UsageProblem
from conformance.images import named
from conformance.images.ensure import Image
from conformance.machine import files as atomic
from conformance.machine import kubectl_cache, paths, process, proxies, runs, timing
from conformance.machine.progress import board
from conformance.observe import arrival
from conformance.observe.node.agent import NodeAgent
from conformance.plan.abilities import Ground
from conformance.plan.elsewhere import only
from conformance.plan.options import Existing, Options
from conformance.run import kept, own_images
from conformance.sidecars.driver import Adopts, load
from conformance.verdicts import store as verdicts


class ExistingPreparation:
    """A run on a cluster that is there already. Use as a context manager."""

    def __init__(self, options: Options) -> None:
        assert options.existing is not None
        self.options = options
        self._existing = options.existing
        self._stack = ExitStack()
        self._client: Any = None
        self.run: runs.Run
        self._handle: ClusterHandle
        self._settled: dict[str, str] = {}
        self.ended = ""  # nobody watches over a cluster of others

    def __enter__(self) -> ExistingPreparation:
        proxies.reach_loopback_directly(os.environ)
        try:
            self._stack.enter_context(kubectl_cache.of_one_run(os.environ))
            self._stack.enter_context(runs.interrupts())
            self.run = self._stack.enter_context(
                runs.start(
                    self.options.results,
                    keep=self.options.keep,
                    worth=lambda results: any(verdicts.kept(results)),
                )
            )
            kept.keep(self.run.results)
            self._prepare()
        except BaseException:
            self._stack.close()
            raise
        return self

    def begin(self) -> None:
        """All is prepared by now: tell the workers."""
        publish(self.run, self._handle, self._settled)

    def release(self, k8s: str) -> None:
        """The cluster is not the run's to remove."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _prepare(self) -> None:
        (minor,) = self.options.selection.k8s
        folder = self.run.results / "clusters" / minor
        kubeconfig = folder / "kubeconfig"
        cluster = existing.reach(self._existing.kubeconfig, self._existing.context, kubeconfig)
        if not self.options.keep:
            self._stack.callback(lambda: connection.forget(kubeconfig))
        self._client = connection.connect(kubeconfig)
        images = named.read(own_images.folders(self.options), self.options.image_prefix)
        rights.require(self._client, self._roles())
        node = existing.choose_node(cluster, self._existing.node)
        evidence = self.run.results / "evidence" / minor
        evidence.mkdir(parents=True)
        self._handle = ClusterHandle(
            minor,
            cluster.name,
            kubeconfig,
            node.name,
            evidence,
            label=self.run.id,
            hostname=node.hostname,
        )
        self._stack.callback(self._take_down)
        board.say(
            f"Run {self.run.id} on {cluster.name}, node {node.name}; all that it makes there is in "
            f"namespaces with the label sidecar-conformance/run={self.run.id}."
        )
        with timing.span(self.run.results, "cluster", k8s=minor):
            arrived = arrival.arrive(self._handle, self._client, images)
        self._handle = replace(self._handle, clock_ns=str(arrived.ahead_ns))
        self._bring_agent(images, node)
        self._adopt(cluster, node, arrived, images)

    def _roles(self) -> Sequence[str]:
        roles = [rights.BASE]
        if self._existing.named:  # else what may not be used is left out, as what is not there
            roles += [f"{rights.BASE}-{one}" for one in self.options.selection.sidecars]
        if self._existing.controls:
            roles.append(f"{rights.BASE}-controls")
        return roles

    def _bring_agent(self, images: Mapping[str, str], node: existing.Node) -> None:
        """Have the node agent, where it is wanted and admitted; note what lacks otherwise."""
        why, agent, gate = "AGENT=none asks for no agent on the node", "", ""
        if self._existing.agent != "none":
            found = NodeAgent(self._handle, self._client, node.subnets)
            lacking = rights.missing(self._client, f"{rights.BASE}-agent")
            why = (
                f"the kubeconfig's user may not {lacking[0]}"
                if lacking
                else found.start(images["observer"], node.addresses)
            )
            if not why:
                self._stack.callback(found.stop)
                agent = f"{base_namespace(self.run.id)}/{found.pod}"
                if found.weaker:
                    gate = images["app"]
                    why = (
                        f"{found.weaker}, so captures begin when an init container lets the pod on"
                    )
        if why:
            board.say(f"The node is not seen, or not all of it: {why}.")
        lacks: dict[str, str] = {Ground.FILES: "", Ground.PLANE: "", Ground.MADE: ""}
        if not agent:
            lacks[Ground.NODE] = why
        if not self._existing.controls:
            lacks[Ground.CONTROLS] = ""
        self._handle = replace(
            self._handle, agent=agent, unseen=why, gate=gate, lacks=json.dumps(lacks)
        )

    def _adopt(
        self,
        cluster: existing.ExistingCluster,
        node: existing.Node,
        arrived: arrival.Arrived,
        images: Mapping[str, str],
    ) -> None:
        """See which of the sidecars are there; the versions, and what workers must know."""
        selection = self.options.selection
        versions, unobtainable = dict(selection.versions), {}
        found: dict[str, Any] = {
            **self._versions(cluster, node),
            "clock": arrived.clock,
            "sidecars": {},
        }
        for name in selection.sidecars:
            driver = load(name, selection.versions)
            try:
                rights.require(self._client, [f"{rights.BASE}-{name}"])
                if not isinstance(driver, Adopts):
                    raise EnvironmentProblem(f"{name} cannot be used as it is installed there yet")
                told = dict(driver.adopt(self._handle, self._client))
                found["sidecars"][name] = told
                if "release" in told:
                    versions[name] = told["release"]
                self._settled[name] = ""
            except EnvironmentProblem as problem:
                unobtainable[name] = f"not verified on this cluster: {problem}"
                self._settled[name] = ""
                board.say(f"{name} cannot be had in this run: {problem}")
        atomic.write_text(
            self._handle.kubeconfig.with_name("versions.json"), json.dumps(found, indent=1)
        )
        Context(
            run_id=self.run.id,
            results=self.run.results,
            docker=Path(),
            docker_env={},
            rootfs=Path(),
            images={name: Image(reference, "", "present") for name, reference in images.items()},
            unobtainable=unobtainable,
            versions=versions,
        ).write()

    def _versions(self, cluster: existing.ExistingCluster, node: existing.Node) -> dict[str, Any]:
        """As a run's own cluster tells them, as far as anybody may ask."""
        server = json.loads(cluster.kubectl(["get", "--raw", "/version"], as_dict=False))
        return {
            "server": server["gitVersion"],
            "cgroup": "",
            "sidecar_gate": "",
            **node.about,
            "nodes": {node.name: dict(node.about)},
            "node_image": None,
            "node_images": [],
            "made_by": "others",
        }

    def _take_down(self) -> None:
        runs.cleaning_up()
        process.stop_all()
        process.resume()
        if self.options.keep:
            board.say(f"Kept what the run made on {self._handle.name}. Remove it with:")
            board.say(f"  sidecar-conformance cleanup {self.run.id} {_where(self._existing)}")
            return
        with board.phase(f"removing what the run made on {self._handle.name}"):
            leftovers.remove(self._client, self.run.id)


def minor_of(options: Options, asked: str | None) -> str:
    """The version of the cluster that is there ("1.33"). asked: K8S, as the user gave it.

    Raises UsageProblem or EnvironmentProblem.
    """
    with _reached(options.existing) as cluster:
        return only(existing.minor(cluster), asked)


def cleanup(there: Existing, run_id: str, *, everything: bool) -> Sequence[str]:
    """Remove what a run, or every run, has on a cluster; a sentence for each.

    Without either: a sentence for each run that has something there.
    """
    with _reached(there) as cluster:
        client = connection.connect(cluster.kubeconfig)
        left = leftovers.found(client)
        if run_id and run_id not in left:
            return [f"Run {run_id} has nothing on {cluster.name}."]
        if not run_id and not everything:
            said = [f"{run}: {', '.join(names)}" for run, names in sorted(left.items())]
            return [*said, "Remove one with:  sidecar-conformance cleanup RUN"] if said else [
                f"No run has anything on {cluster.name}."
            ]  # fmt: skip
        said = []
        for run in [run_id] if run_id else sorted(left):
            names = leftovers.remove(client, run)
            said.append(f"Removed what run {run} had on {cluster.name}: {', '.join(names)}.")
        return said or [f"No run has anything on {cluster.name}."]


@contextmanager
def _reached(there: Existing | None) -> Iterator[existing.ExistingCluster]:
    """A cluster, by a kubeconfig that lasts as long as the block."""
    if there is None:
        raise UsageProblem("Name the cluster: --kubeconfig FILE, and --context NAME.")
    paths.cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kubeconfig-", dir=paths.cache_dir()) as folder:
        yield existing.reach(there.kubeconfig, there.context, Path(folder) / "kubeconfig")


def _where(there: Existing) -> str:
    context = f" --context {there.context}" if there.context else ""
    return f"--kubeconfig {there.kubeconfig}{context}"
