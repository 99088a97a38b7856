"""Looks for payload in clear in one view of the pod's packets, in one pass.

Everything with payload is denied unless it is explained (exceptions.py) or TLS record by record to
its end. A token in clear is a leak even inside of what looks like TLS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from conformance.evidence.index import Index
from conformance.evidence.packets import tls
from conformance.evidence.packets.capture import Packet
from conformance.evidence.packets.encodings import written_otherwise
from conformance.evidence.packets.streams import Chunk, Reassembler, Stream
from conformance.evidence.packets.tokens import Token, TokenScan, find
from conformance.judges.contents import ProbeCheck, name_in, strange_frame, strange_lookup
from conformance.judges.exceptions import PLAIN_KINDS, Explained, Explainer, OpenedBy
from conformance.judges.sights import Endpoint, Sight, family, sight_of
from conformance.judges.tally import Tally, Told

_CODED = 256  # bytes in which a token stands, however it is written
_TLS = "what looks like TLS"


class Surveyor:
    """Surveys one view. Feed it every packet, then ``finish``.

    told: is told what is seen. local: the pod's addresses. mac: the
    pod's, where frames show it. also: what else is explained.
    """

    def __init__(
        self,
        index: Index,
        told: Told,
        local: frozenset[str],
        mac: bytes,
        also: Sequence[Explained] = (),
    ) -> None:
        self.tell = told.tell
        self._packet = told.packet
        self.numbers = count()  # of connections
        self._explainer = Explainer(index, also)
        self._nonce = index.nonce
        self._local = local
        self._mac = mac
        self._streams = Reassembler(self._open)

    def see(self, packet: Packet) -> None:
        """Take one packet."""
        kind = packet.kind
        self._packet(packet.ns, len(packet.payload) if kind in ("tcp", "udp") else 0)
        if packet.cut and kind not in ("beacon", "arp"):
            self._doubt("not captured to its end", packet)
        if kind == "tcp":
            self._streams.feed(packet)
        elif kind == "udp":
            self._datagram(packet)
        elif kind in PLAIN_KINDS:
            self._plain(packet)
        elif self._is_piece_of_dns(packet):
            self._tokens_in(packet, frozenset())
        elif packet.payload:
            self._leak_of(packet, f"{kind} frame that nothing explains")

    def finish(self) -> None:
        """The view is over."""
        self._streams.finish()

    def _plain(self, packet: Packet) -> None:
        strange = strange_frame(packet)
        if strange and not packet.cut:
            self._leak_of(packet, strange)
        else:
            self._tokens_in(packet, frozenset())

    def _is_piece_of_dns(self, packet: Packet) -> bool:
        """A piece of a large answer. No question is so long that it would be cut."""
        local, remote = self._ends(packet)
        answer = local[0] == packet.dst and self._explainer.is_dns(remote[0])
        return packet.kind == "fragment" and answer

    def _ends(self, packet: Packet) -> tuple[Endpoint, Endpoint]:
        """(local, remote) of a packet. Link-local and group addresses are told apart by MAC."""
        source, target = (packet.src, packet.sport), (packet.dst, packet.dport)
        ours = packet.src in self._local or (
            packet.dst not in self._local and bool(packet.mac) and packet.mac == self._mac
        )
        return (source, target) if ours else (target, source)

    def _open(self, stream: Stream) -> _StreamJudge:
        opened_by: OpenedBy = "local" if stream.opener[0] in self._local else "remote"
        ends = (stream.opener, stream.answerer)
        local, remote = ends if opened_by == "local" else ends[::-1]
        # Without its SYN nobody knows who opened it: then nothing explains it.
        known = stream.isn is not None
        exception = self._explainer.explain("tcp", local, remote, opened_by) if known else None
        return _StreamJudge(self, stream, exception)

    def _datagram(self, packet: Packet) -> None:
        if not packet.payload:
            return
        exception = self._explainer.explain("udp", *self._ends(packet), None)
        if exception is None:
            self._leak_of(packet, "UDP payload")
            return
        strange = self._strange(exception, packet)
        if strange:
            self._leak_of(packet, strange)
            return
        self.note_explained(exception, packet.ns)
        self._tokens_in(packet, exception.tokens)

    def _strange(self, exception: Explained, packet: Packet) -> str:
        """Why a datagram is not what explains its like; "" when it is."""
        if packet.cut:
            return ""
        if exception.form == "dns":
            asked = self._ends(packet)[0][0] == packet.src
            return strange_lookup(packet.payload, asked=asked)
        if exception.only is not None and not exception.only.fullmatch(packet.payload):
            return f"a datagram that is none of those that {exception.name} explains"
        return ""

    def _leak_of(self, packet: Packet, what: str) -> None:
        tokens = find(packet.payload)
        sight = sight_of(what, packet)
        if tokens:
            for token in tokens:
                self.leak(sight.of(token))
        else:
            self.leak(sight)
        self.leaked(packet.ns, len(packet.payload))

    def _tokens_in(self, packet: Packet, allowed: frozenset[str]) -> None:
        names = name_in(packet.payload) if packet.kind == "udp" else b""
        for token in (*find(packet.payload + b"\n" + names), *written_otherwise(packet.payload)):
            if token.kind not in allowed:
                sight = sight_of(f"token in {packet.kind}", packet)
                self.leak(sight.of(token))
                self.leaked(packet.ns, len(packet.payload))

    def _doubt(self, what: str, packet: Packet) -> None:
        self.tell(Tally.doubt, sight_of(what, packet))

    def note_explained(self, exception: Explained, ns: int) -> None:
        """Count payload under an exception."""
        self.tell(Tally.explained, exception.name, ns)

    def control(self, sight: Sight, token: Token) -> None:
        """The deliberate leak is seen: only this cell's counts."""
        if token.nonce == self._nonce:
            self.tell(Tally.control, sight)

    def leaked(self, ns: int, size: int) -> None:
        """Count bytes in clear."""
        self.tell(Tally.leaked, ns, size)

    def leak(self, sight: Sight) -> None:
        """Something is in clear."""
        self.tell(Tally.leak, sight)


class _StreamJudge:
    """Judges one TCP connection as its bytes come."""

    def __init__(self, survey: Surveyor, stream: Stream, exception: Explained | None) -> None:
        self._surveyor = survey
        self._stream = stream
        self._exception = exception
        self._begun = False

    def _begin(self) -> None:
        """Most connections of a pod carry nothing, so what payload needs comes with payload."""
        self._begun = True
        self._scans = (TokenScan(), TokenScan())
        self._number = next(self._surveyor.numbers)
        if self._exception is not None:
            self._probe = ProbeCheck()
            self._tails = [b"", b""]  # of explained payload: where a coded token may have begun
            return
        self._contents = (TokenScan(), TokenScan())
        self._checks = tls.pair()
        self._blind = [False, False]  # after a hole: where records begin is not known any more

    def chunk(self, chunk: Chunk) -> None:
        """Payload of the connection."""
        if not self._begun:
            self._begin()
        if chunk.kind == "data":
            tokens = self._scans[chunk.direction].feed(chunk.data)
        elif chunk.kind == "after-gap":
            if self._exception is None:
                self._blind[chunk.direction] = True
                self._checks[chunk.direction].blind = True
            self._scans[chunk.direction].forget()
            tokens = self._scans[chunk.direction].feed(chunk.data)
        else:
            tokens = find(chunk.data)
        if self._exception is not None:
            self._explained(chunk, tokens, self._exception)
            return
        clear, what = self._in_clear(chunk)
        tokens += [one for one in self._within_records(chunk) if one not in tokens]
        if tokens and not clear:
            clear, what = len(chunk.data), f"a token in {what}"
        for token in tokens:
            self._surveyor.leak(self._sight(chunk, what, clear).of(token))
        if clear:
            self._surveyor.leaked(chunk.ns, clear)
            self._tell_clear(chunk, what, clear, bool(tokens))
        elif what == _TLS:
            self._tls(chunk)
        else:
            self._doubt(chunk, what)

    def _explained(self, chunk: Chunk, tokens: list[Token], exception: Explained) -> None:
        strange = ""
        if exception.form == "probe" and chunk.kind == "data":
            strange = self._probe.feed(chunk.direction, chunk.data)
        elif exception.form == "dns" and chunk.kind == "data" and len(chunk.data) > 2:
            asked = chunk.direction == 0  # over TCP with its length in front (RFC 1035, 4.2.2)
            strange = strange_lookup(chunk.data[2:], asked=asked) if asked else ""
        if strange:
            self._surveyor.leaked(chunk.ns, len(chunk.data))
            self._tell_clear(chunk, strange, len(chunk.data), with_token=False)
        else:
            self._surveyor.note_explained(exception, chunk.ns)
        both = self._tails[chunk.direction] + chunk.data
        self._tails[chunk.direction] = both[-_CODED:]
        self._excepted(chunk, [*tokens, *written_otherwise(both)], exception)

    def _within_records(self, chunk: Chunk) -> list[Token]:
        """Tokens that the headers of records cut in two."""
        if chunk.kind != "data" or self._stream.headless:
            return []
        return self._contents[chunk.direction].feed(self._checks[chunk.direction].content)

    def _excepted(self, chunk: Chunk, tokens: Iterable[Token], exception: Explained) -> None:
        for token in tokens:
            what = f"token in {exception.name} traffic"
            sight = self._sight(chunk, what, len(chunk.data)).of(token)
            if token.kind not in exception.tokens:
                self._surveyor.leak(sight)
                self._surveyor.leaked(chunk.ns, len(chunk.data))
            elif exception.name == "control":
                self._surveyor.control(sight, token)

    def _in_clear(self, chunk: Chunk) -> tuple[int, str]:
        """(bytes in clear, how); (0, what it is instead): TLS, or payload that cannot be judged."""
        if self._stream.headless:
            return 0, "payload of a connection whose SYN is not in the capture"
        if chunk.kind == "conflict":
            return len(chunk.data), "a retransmission with other bytes"
        if chunk.kind == "unplaced":
            return 0, "payload that fits nowhere in its connection"
        if self._blind[chunk.direction]:
            return 0, "payload after a hole in its connection"
        check = self._checks[chunk.direction]
        at = check.feed(chunk.data)
        if at is None:
            return 0, _TLS
        return len(chunk.data) - at, f"not TLS: {check.violation}"

    def _tell_clear(self, chunk: Chunk, what: str, size: int, with_token: bool) -> None:
        sight = None if with_token else self._sight(chunk, what, size)
        self._surveyor.tell(Tally.clear, self._number, chunk.ns, sight)

    def _tls(self, chunk: Chunk) -> None:
        its = family(self._stream.answerer)
        self._surveyor.tell(Tally.tls, self._number, chunk.ns, len(chunk.data), its)

    def _doubt(self, chunk: Chunk, what: str) -> None:
        self._surveyor.tell(Tally.doubt, self._sight(chunk, what, len(chunk.data)))

    def _sight(self, chunk: Chunk, what: str, size: int) -> Sight:
        ends = (self._stream.opener, self._stream.answerer)
        source, target = ends if chunk.direction == 0 else ends[::-1]
        return Sight(what, chunk.frame, chunk.ns, source, target, size)
