"""Looking at one pod's packets: what is in clear, and whether its absence means anything."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial

from conformance.evidence.bundle import SUBJECT_ROLE, Bundle, stamps_file
from conformance.evidence.index import shortest
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.coverage import Coverage
from conformance.evidence.packets.pcap import UnreadableCapture
from conformance.evidence.packets.tokens import find
from conformance.evidence.packets.uncollected import uncollected
from conformance.evidence.packets.wire_connections import Connections
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import (
    Identity,
    from_inside,
    from_node,
    identity,
    require_watched,
)
from conformance.evidence.vocabulary import Container as App
from conformance.evidence.vocabulary import Role, Stamp
from conformance.judges.exceptions import Explained
from conformance.judges.sights import Survey
from conformance.judges.survey import Surveyor
from conformance.judges.tally import Tally, Transcript
from conformance.model import Evidence, Measured, Window


@dataclass(frozen=True)
class Look:
    """One pod's packets, from its first one to the end of its life, or of what is looked at.

    ended: the pod's own end is in it.
    """

    role: str
    file: str
    survey: Survey
    watched: Coverage
    life: Window
    ended: bool

    @property
    def leaks(self) -> list[Evidence]:
        """Where something was in clear."""
        return [sight.evidence(self.file) for sight in self.survey.leaks.told]

    @property
    def saw_control(self) -> bool:
        """The deliberate leak was found; one that lies inside of what is looked at is explained."""
        return bool(self.survey.controls.number or self.survey.explained.get("control"))


@dataclass(frozen=True)
class _View:
    """What one view shows. why: it cannot be read to its end, or its diary cannot."""

    within: Callable[[Window], Survey]
    watched: Coverage | None
    why: Exception | None


def survey(
    bundle: Bundle, window: Window, also: Sequence[Explained] = ()
) -> tuple[Survey, Coverage]:
    """What is in clear on the eth0 of the pod under test in a window. also: what may be, beside
    EXCEPTIONS. Raises Unjudgeable."""
    view = _inside(bundle, identity(bundle), window, also)
    if view.why is not None:
        raise view.why
    assert view.watched is not None
    return view.within(window), view.watched


def survey_so_far(
    bundle: Bundle, window: Window, also: Sequence[Explained] = ()
) -> tuple[Survey, Coverage | None, Unjudgeable | None]:
    """The same; and where the capture or its diary cannot be read to the end, what was seen until
    then, and why it ends there: what was in clear is in clear whatever cannot be read after it."""
    try:
        own = identity(bundle)
    except Unjudgeable as why:
        return Survey(), None, why
    view = _inside(bundle, own, window, also)
    if view.why is None or isinstance(view.why, Unjudgeable):
        return view.within(window), view.watched, view.why
    unread = Unjudgeable(f"{bundle.agent_file} cannot be read: {view.why!r}")
    return view.within(window), None, unread


def survey_node(
    bundle: Bundle, window: Window, also: Sequence[Explained] = ()
) -> tuple[Survey, Exception | None]:
    """What is in clear in the node's view of the same pod; and why that ends early, if it does."""

    def watch(see: Callable[[Packet], None]) -> None:
        for packet in from_node(bundle):
            see(packet)

    pod = bundle.index.subject_pod
    view = _surveyed(bundle, bundle.node_file, window, Identity("", pod.ips, b""), also, watch)
    if view.why is not None and not isinstance(view.why, Unjudgeable | UnreadableCapture):
        raise view.why
    return view.within(window), view.why


def _inside(bundle: Bundle, own: Identity, window: Window, also: Sequence[Explained]) -> _View:
    return _surveyed(bundle, bundle.capture_file, window, own, also, partial(from_inside, bundle))


def _surveyed(
    bundle: Bundle,
    file: str,
    window: Window,
    own: Identity,
    also: Sequence[Explained],
    watch: Callable[[Callable[[Packet], None]], Coverage | None],
) -> _View:
    """A small capture is surveyed once for all windows, a large one for each."""
    if not _may_be_kept(bundle, file):
        tally = Tally(window)
        watched, why = _watch(Surveyor(bundle.index, tally, own.local, own.mac, also), watch)
        return _View(lambda _: tally.survey, watched, why)
    key = "survey", file, own, tuple(also)
    if key not in bundle.reckoned:
        seen = Transcript()
        with uncollected():
            watched, why = _watch(Surveyor(bundle.index, seen, own.local, own.mac, also), watch)
        bundle.reckoned[key] = _View(seen.within, watched, why)
    found: _View = bundle.reckoned[key]
    return found


def _may_be_kept(bundle: Bundle, file: str) -> bool:
    """What is missing or was changed is looked at anew, and says so each time."""
    try:
        return bundle.small(file)
    except Unjudgeable:
        return False


def _watch(
    surveyor: Surveyor, watch: Callable[[Callable[[Packet], None]], Coverage | None]
) -> tuple[Coverage | None, Exception | None]:
    watched, why = None, None
    try:
        watched = watch(surveyor.see)
    except (Unjudgeable, UnreadableCapture, KeyError, TypeError, ValueError) as error:
        why = error
    surveyor.finish()
    return watched, why


def look_at(bundle: Bundle, role: str, until: int, *, ended: bool = False) -> Look:
    """A pod's packets until a moment (ns). ended: it was deleted by then, to its last beacon."""
    view = bundle if role == SUBJECT_ROLE else bundle.seen_from(role)
    name = f"{role} pod"
    found, watched = survey(view, Window(name, 0, until))
    end = watched.end if ended else until
    life = Window(name, min(watched.start, end), end)
    return Look(role, view.capture_file, found, watched, life, ended)


def require_seeing(look: Look, measured: Measured | None = None) -> None:
    """The pod's capture can carry "none in clear". Raises Unjudgeable."""
    require_watched(look.watched, look.life, to_the_end=look.ended, measured=measured or {})
    require_no_doubts(look.survey, look.file, look.life.name, measured)


def require_no_doubts(
    found: Survey, file: str, where: str, measured: Measured | None = None
) -> None:
    """Raises Unjudgeable when there was payload that cannot be judged."""
    if found.doubts.number:
        first = found.doubts.told[0]
        raise Unjudgeable(
            f"{found.doubts.number} pieces of payload in the {where} window cannot be judged: "
            f"first {first.what}, frame {first.frame}",
            measured,
            [one.evidence(file) for one in found.doubts.told[:20]],
        )


def witnessed(
    bundle: Bundle, window: Window, seen: Container[str], senders: Sequence[str]
) -> list[Evidence]:
    """What some pods sent in clear by the word of the listener outside the mesh alone.

    seen: the tokens that their own captures show.
    """
    file = stamps_file(Role.WITNESS, "witness")
    found = []
    for line in bundle.stamps(Role.WITNESS, "witness") if bundle.has(file) else ():
        if line.event != Stamp.WITNESS_CONNECTION or line.ns not in window:
            continue
        for token in find(bytes.fromhex(line.get("first_bytes") or "")):
            if token.sender in senders and token.kind != "control" and token.text not in seen:
                text = f"{token.text} at the witness"
                found.append(Evidence(file, line.number, ns=line.ns, text=text))
    return found


def require_no_direct_service(
    bundle: Bundle, window: Window, ours: Container[str], seen: Container[str]
) -> None:
    """Raises Unjudgeable when the peer's app was asked by the pod itself, past both proxies, and
    the pod's own capture shows nothing of it in clear: one of the two is wrong.

    ours: the pod's addresses. seen: the tokens that its capture shows.
    """
    file = stamps_file(Role.PEER, App.APP)
    for line in bundle.stamps(Role.PEER, App.APP) if bundle.has(file) else ():
        if line.event != Stamp.SERVED or line.ns not in window or not line.get("remote"):
            continue
        if shortest(line["remote"].rpartition(":")[0]) in ours and line["token"] not in seen:
            raise Unjudgeable(
                f"{file} says that {line['token']} came from the pod itself, past both proxies, "
                "and the pod's capture shows nothing of it in clear",
                evidence=(Evidence(file, line.number, ns=line.ns, text=line["token"]),),
            )


def mesh_connections(
    bundle: Bundle, *others: Callable[[Packet], None]
) -> tuple[Connections, Coverage]:
    """The connections with the peer and with strangers. others: who sees the packets, too."""
    wire = Connections(bundle)

    def see(packet: Packet) -> None:
        wire.see(packet)
        for other in others:
            other(packet)

    watched = from_inside(bundle, see)
    wire.finish()
    return wire, watched
