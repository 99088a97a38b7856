"""cell.json: the index of a bundle, typed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, TypeVar

from conformance.evidence import envoy_log
from conformance.evidence.lacking import Table
from conformance.model import Cell, Evidence

T = TypeVar("T")

# What bundles did not say that were made when every proxy was Envoy.
_FORMERLY = {"late": envoy_log.LATE}


@dataclass(frozen=True)
class Container:
    """A container of a pod. ids: every id it ever had, oldest first; a restart adds one.

    image: as the pod asked for it. image_id: what the runtime says that it is, of the last one.
    """

    name: str
    ids: tuple[str, ...]
    image: str = ""
    image_id: str = ""


@dataclass(frozen=True)
class Pod:
    """A pod of the cell, by its role. ips: its addresses in their shortest form."""

    name: str
    uid: str
    ips: frozenset[str]
    sandbox: str
    containers: Mapping[str, Container]


@dataclass(frozen=True)
class FileMark:
    """What a file of the bundle was when the bundle was closed."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The index. Addresses are in their shortest form; seconds are as set, not as measured.

    proxy_answers: what an answer of a proxy's own means → patterns, one of which is found in a
    sender's detail of it (see attempts.Attempt.answer).
    nodes: of a cluster that has several → their addresses; their own interfaces were watched.
    folder: the bundle's: the namespace, without the run's id on a cluster that others use too.
    unseen: why nothing of the node was seen, on a cluster that gives no access to it; "" else.
    server: the API server's version, as it calls itself; "" where it was not asked. kubelets: the
    version of each node's, by the node's name, where it was asked for. ended_ns: when
    the observer looked at the pods for this index; the watch may have gone on.
    gate: by what the kubelet learned that the sidecar had started: "http", or "exec". stamped:
    whether the app is one of the suite's programs, which write down what they do. left_out: files
    that a pack does not hold.
    """

    cell: Cell
    nonce: str
    namespace: str
    admitted: str
    admitted_why: str
    subject: str
    app: str
    sidecars: tuple[str, ...]
    pods: Mapping[str, Pod]
    addresses: Mapping[str, frozenset[str]]
    ports: Mapping[str, int]
    identities: Mapping[str, str]
    app_drain_seconds: float
    sidecar_drain_seconds: float
    job_bound_seconds: float
    proxy_answers: Mapping[str, re.Pattern[str]]
    folder: str
    unseen: str
    server: str
    kubelets: Mapping[str, str]
    ended_ns: int
    gate: str
    stamped: bool
    files: Mapping[str, FileMark]
    nodes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    @property
    def subject_pod(self) -> Pod:
        """The pod under test. Raises Unjudgeable when it was never seen."""
        return self.pods[self.subject]

    def seen_from(self, role: str) -> Index:
        """The same, with another pod in the place of the one under test."""
        pod = self.pods[role]
        return replace(self, subject=pod.name, pods={**self.pods, pod.name: pod})

    @property
    def apps(self) -> tuple[Container, ...]:
        """Every container of the pod under test that is no sidecar (init containers too)."""
        return tuple(
            one for name, one in self.subject_pod.containers.items() if name not in self.sidecars
        )


def shortest(address: str) -> str:
    """An address in its shortest form, without prefix length or zone; other text as it is."""
    bare = address.partition("/")[0].partition("%")[0].strip("[]")
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return bare
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def endpoint(text: str) -> tuple[str, int]:
    """("ip", port) of "ip:port" or "[ip]:port". Raises ValueError when there is no port."""
    host, _, port = text.rpartition(":")
    return shortest(host), int(port)


def read(raw: Mapping[str, Any]) -> Index:
    """The index that cell.json holds: raw says itself what it lacks (lacking.Table), and so do the
    tables that are made of it. Raises TypeError, AttributeError or ValueError for what is wrong."""
    if raw["schema"] != 1:
        raise ValueError(f"schema {raw['schema']} is not known, only 1")
    return Index(
        cell=_cell(raw["cell"]),
        nonce=raw["nonce"],
        namespace=str(raw["namespace"]),
        admitted=raw["admitted"]["pattern"],
        admitted_why=raw["admitted"].get("why", ""),
        subject=raw["subject"],
        app=raw["app"],
        sidecars=tuple(raw["sidecars"]),
        pods=_table({name: _pod(name, pod) for name, pod in raw["pods"].items()}, "pod"),
        addresses=_table(
            {
                role: frozenset(shortest(one) for one in found if one)
                for role, found in raw["addresses"].items()
            },
            "address of",
        ),
        ports=_table(raw["ports"], "port"),
        identities=_table(raw["identities"], "identity of"),
        app_drain_seconds=float(raw.get("app_drain_seconds", 0)),
        sidecar_drain_seconds=float(raw.get("sidecar_drain_seconds", 0)),
        job_bound_seconds=float(raw.get("job_bound_seconds", 0)),
        proxy_answers={
            meaning: _any_of(patterns)
            for meaning, patterns in raw.get("proxy_answers", _FORMERLY).items()
            if patterns
        },
        folder=str(raw.get("folder") or raw["namespace"]),
        unseen=str(raw.get("unseen", "")),
        server=str(raw.get("versions", {}).get("server", "")),
        kubelets={
            node: str(its["kubelet"])
            for node, its in (raw.get("versions", {}).get("nodes") or {}).items()
            if "kubelet" in its
        },
        ended_ns=int(raw.get("ended_ns", 0)),
        gate=str(raw.get("gate", "http")),
        stamped=bool(raw.get("stamped", True)),
        files={
            name: FileMark(int(mark["bytes"]), str(mark["sha256"]))
            for name, mark in raw.get("files", {}).items()
        },
        nodes={
            name: frozenset(shortest(one) for one in its.get("addresses", ()))
            for name, its in raw.get("nodes", {}).items()
        },
        left_out=frozenset(map(str, raw.get("left_out", ()))),
    )


def _cell(raw: Mapping[str, Any]) -> Cell:
    needed = {one.name: raw[one.name] for one in fields(Cell) if one.default is MISSING}
    return Cell(**{**raw, **needed})


def _table(found: Mapping[str, T], what: str) -> Table[T]:
    return Table(found, "cell.json", what, (Evidence("cell.json"),))


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    try:
        return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    except re.error as error:
        raise ValueError(f"proxy_answers: {error}") from error


def _pod(name: str, raw: Mapping[str, Any]) -> Pod:
    ips = [raw.get("ip") or "", *raw.get("ips", ())]
    return Pod(
        name=raw.get("name", name),
        uid=raw["uid"],
        ips=frozenset(shortest(one) for one in ips if one),
        sandbox=raw.get("sandbox", ""),
        containers=Table(
            {
                container: Container(
                    container, tuple(its["ids"]), its.get("image", ""), its.get("image_id", "")
                )
                for container, its in raw["containers"].items()
            },
            f"pod {name} of cell.json",
            "container",
        ),
    )
