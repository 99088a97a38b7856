"""The index's pods, against the pods as the watch received them and the runtime made them.

The index is a claim: which containers there are, which ids they had, in which order, of which
image. The watch and the runtime are what it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.evidence.bundle import Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.evidence.index import Container, Pod, shortest
from conformance.evidence.parse import Line
from conformance.model import NS, Evidence

_SPECS = ("initContainers", "containers", "ephemeralContainers")
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
# The index is made when the scenario is over, from a watch that goes on: an id that came about then
# may lack in it.
_LOOKED_NS = NS
WATCH, RUNTIME = "watch.jsonl", "runtime.log"
Json = Mapping[str, Any]


@dataclass
class Seen:
    """A pod as the watch showed it. ids: of each container, in the order in which they came; where
    a status tells of a former container and of the present one, the former came first. since: when
    the first version with an id was received (ns)."""

    name: str
    line: Line
    containers: dict[str, None] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)
    image_ids: dict[str, str] = field(default_factory=dict)
    ips: set[str] = field(default_factory=set)
    since: dict[str, int] = field(default_factory=dict)

    @property
    def evidence(self) -> Evidence:
        return Evidence(WATCH, line=self.line.number, ns=self.line.ns, text=self.name)


def seen(bundle: Bundle) -> dict[str, Seen]:
    """Every pod that the watch brought, by uid."""
    found: dict[str, Seen] = {}
    for line in bundle.watch() if bundle.has(WATCH) else ():
        if line["kind"] == "Pod":
            its = line["object"]
            meta = its["metadata"]
            pod = found.setdefault(meta["uid"], Seen(meta["name"], line))
            pod.line = line
            _look(pod, its.get("spec") or {}, its.get("status") or {})
    return found


def _look(pod: Seen, spec: Json, status: Json) -> None:
    for group in _SPECS:
        for one in spec.get(group) or ():
            pod.containers[one["name"]] = None
            if one.get("image"):  # the newest: a container may be given another one
                pod.images[one["name"]] = one["image"]
    for group in _STATUSES:
        for one in status.get(group) or ():
            ids = pod.ids.setdefault(one["name"], [])
            former = (one.get("lastState") or {}).get("terminated") or {}
            for its in (former, one):
                ident = _bare(its.get("containerID") or "")
                if ident and ident not in ids:
                    ids.append(ident)
                    pod.since[ident] = pod.line.ns
            if one.get("containerID") and one.get("imageID"):
                pod.image_ids[one["name"]] = one["imageID"]
    pod.ips |= {shortest(one["ip"]) for one in status.get("podIPs") or () if one.get("ip")}
    if status.get("podIP"):
        pod.ips.add(shortest(status["podIP"]))


def _bare(ident: str) -> str:
    return ident.partition("://")[2] or ident


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """Where the index says something else of a pod than the watch or the runtime."""
    watched = seen(bundle)
    made = _made(bundle)
    known = {
        _plain(one.image): one.image_id
        for pod in bundle.index.pods.values()
        for one in pod.containers.values()
        if one.image_id
    }
    for role, pod in bundle.index.pods.items():
        its = watched.get(pod.uid)
        if its is None:
            yield from _of_another_uid(pod, watched.values())
            continue
        for reason in _differences(role, pod, its, bundle.index.ended_ns):
            yield _contradiction(reason, its.evidence)
        for one in pod.containers.values():
            yield from _image(role, one, its, made, known)
        yield from _order(role, pod, made)


def _of_another_uid(pod: Pod, watched: Iterable[Seen]) -> Iterator[Contradiction]:
    """A pod that the watch never brought is told of by whoever asks for it."""
    for other in watched:
        if other.name == pod.name:
            yield _contradiction(
                f"cell.json says that the pod {pod.name} had the uid {pod.uid}, and watch.jsonl "
                "knows it by another",
                other.evidence,
            )
            return


def _contradiction(reason: str, *evidence: Evidence) -> Contradiction:
    return Contradiction(reason, evidence=(Evidence("cell.json"), *evidence))


def _differences(role: str, pod: Pod, its: Seen, ended_ns: int) -> Iterator[str]:
    if its.name != pod.name:
        yield f"cell.json calls the pod {role} {pod.name}, and watch.jsonl {its.name}"
    lacking = sorted(set(its.containers) - set(pod.containers))
    made_up = sorted(set(pod.containers) - set(its.containers)) if its.containers else []
    if lacking:
        yield f"the pod {role} has a container {lacking[0]} in watch.jsonl, and none in cell.json"
    if made_up:
        yield f"the pod {role} has a container {made_up[0]} in cell.json, and none in watch.jsonl"
    tells_ids = any(its.ids.values())
    for name, one in pod.containers.items():
        ids = its.ids.get(name)
        if not tells_ids or ids is None:
            continue
        late = [ident for ident in ids if its.since[ident] > ended_ns - _LOOKED_NS]
        known = [ident for ident in ids if ident not in late or ident in one.ids]
        if list(one.ids) != known:
            yield (
                f"cell.json says that {name} of {role} was {_ids(one.ids)}, and watch.jsonl "
                f"{_ids(ids)}"
            )
    if its.ips and pod.ips and not pod.ips <= its.ips:
        told, other = sorted(pod.ips - its.ips), sorted(its.ips)
        yield f"cell.json says that {role} had the address {told[0]}, and watch.jsonl {other[0]}"


def _ids(ids: tuple[str, ...] | list[str]) -> str:
    return " then ".join(one[:12] for one in ids) or "never started"


def _image(
    role: str, one: Container, its: Seen, made: Mapping[str, Made], known: Mapping[str, str]
) -> Iterator[Contradiction]:
    """An image has many names: only what is known to be another image is a contradiction."""
    asked, image_id = its.images.get(one.name, ""), its.image_ids.get(one.name, "")
    what = f"of {one.name} of {role}"
    if asked and one.image and asked != one.image:
        yield _contradiction(
            f"cell.json says that the image {what} is {one.image}, and watch.jsonl {asked}",
            its.evidence,
        )
    if image_id and one.image_id and image_id != one.image_id:
        yield _contradiction(
            f"cell.json says that the image {what} is {one.image_id}, and watch.jsonl {image_id}",
            its.evidence,
        )
    for ident in one.ids:
        run = made.get(ident)
        other = known.get(_plain(run.image)) if run else None
        if run and other and one.image_id and other != one.image_id:
            yield _contradiction(
                f"cell.json says that the image {what} is {one.image}, and runtime.log made it "
                f"of {run.image}",
                run.evidence,
            )


def _plain(image: str) -> str:
    """An image's name without what containerd puts in front of a short one."""
    return image.removeprefix("docker.io/").removeprefix("library/")


@dataclass(frozen=True)
class Made:
    """A container as the runtime made it. image: by the name that the runtime knows it by."""

    image: str
    order: int
    evidence: Evidence


def _made(bundle: Bundle) -> dict[str, Made]:
    found: dict[str, Made] = {}
    for event in bundle.runtime() if bundle.has(RUNTIME) else ():
        if event.topic == "/containers/create":
            where = Evidence(RUNTIME, event.number, ns=event.ns)
            found.setdefault(event.container_id, Made(event.image, event.ns, where))
    return found


def _order(role: str, pod: Pod, made: Mapping[str, Made]) -> Iterator[Contradiction]:
    """Ids stand in the order in which their containers were made."""
    for one in pod.containers.values():
        times = [made[ident].order for ident in one.ids if ident in made]
        if times != sorted(times):
            yield _contradiction(
                f"cell.json gives the ids of {one.name} of {role} in another order than that in "
                "which runtime.log made them",
                *(made[ident].evidence for ident in one.ids if ident in made),
            )
