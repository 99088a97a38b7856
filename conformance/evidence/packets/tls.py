"""Checks that one direction of a stream is TLS, record by record, to its end.

The record layer (RFC 8446, 5.1) and the handshake's messages in clear are read; what stands in the
other records is the proxies' secret. A connection is TLS when both sides said so and the cipher
that the server chose encrypts.
"""

from __future__ import annotations

from conformance.evidence.packets.compressed_text import LOOKED_AT, is_compressed_text
from conformance.evidence.packets.runs import ReadableRun
from conformance.evidence.packets.tls_hello import (
    CLIENT_HELLO,
    READABLE_HELLO,
    READABLE_RECORD,
    SERVER_HELLO,
    Hello,
    read,
    strange_message,
)

CHANGE, ALERT, HANDSHAKE, APPLICATION = 20, 21, 22, 23
# Heartbeats (24, RFC 6520) carry what anyone likes; no proxy of today speaks them, and BoringSSL
# and OpenSSL took them out.
_TYPES = (CHANGE, ALERT, HANDSHAKE, APPLICATION)
_MINORS = range(0, 5)  # 0x0300 (SSL 3.0) to 0x0304
_HEAD = 5  # bytes of a record's header
_LARGEST = (1 << 14) + 2048  # RFC 5246, 6.2.3; TLS 1.3 allows 256 where this allows 2048
_LARGEST_HELLO = 1 << 15  # some two records; with post-quantum keys they have 1.8 KB
_LARGEST_MESSAGE = 1 << 17  # certificates
# An alert of TLS 1.3 travels as application data: two bytes, their true type, and a tag of 16.
_HIDDEN_ALERT = 2 + 1 + 16


def pair() -> tuple[RecordCheck, RecordCheck]:
    """The checks of both directions of one connection: the opener's, and the other's."""
    asked, answered = RecordCheck(opener=True), RecordCheck(opener=False)
    asked.other, answered.other = answered, asked
    return asked, answered


class RecordCheck:
    """Feed it a direction's bytes in order.

    opener: this direction comes from who opened the connection, so it begins with a ClientHello;
    the other one with a ServerHello, or an alert that turns the client away.
    After the first violation everything is in clear: there is no way back into TLS.
    other: the other direction, where it is known. blind: bytes of this direction were missed, so
    what it said is not known. content: what the records held that the last feed brought.
    """

    __slots__ = (
        "_alerted", "_begin", "_body", "_change", "_head", "_left", "_run", "_sealed", "_shake",
        "application_bytes", "application_records", "blind", "content", "handshake_records",
        "hello", "opener", "other", "said", "violation",
    )  # fmt: skip

    def __init__(self, *, opener: bool) -> None:
        self.opener = opener
        self.other: RecordCheck | None = None
        self.blind = False
        self.violation = ""
        self.hello = False  # a ClientHello or ServerHello began
        self.said: Hello | None = None  # what it said, when it is whole
        self.application_bytes = 0
        self.application_records = 0
        self.handshake_records = 0
        self.content = b""
        self._head = bytearray()
        self._left = 0  # bytes of the present record still to come
        self._body = bytearray()  # of a record that is looked at as a whole
        self._begin = bytearray()  # of the present record, where it should be secret
        self._shake = bytearray()  # handshake messages in clear
        self._change = False  # from here on this side's handshake records are secret (TLS 1.2)
        self._alerted = False  # it turned the other side away before any hello
        self._run = ReadableRun(READABLE_RECORD)  # in application data
        self._sealed = ReadableRun(READABLE_HELLO)  # in the handshake's secret part

    def feed(self, data: bytes) -> int | None:
        """Where in ``data`` the first byte in clear stands; None when all is TLS."""
        self.content = b""
        if self.violation:
            return 0
        at, size, began = 0, len(data), 0
        content: list[bytes] = []
        while at < size and not self.violation:
            if self._left:
                step = min(self._left, size - at)
                content.append(data[at : at + step])
                self._left -= step
                at += step
                self._take(content[-1])
            elif not self._head and self._is_head(head := data[at : at + _HEAD]):
                began = at
                self._head += head
                at += _HEAD
                self._begin_record()
            else:
                if not self._head:
                    began = at
                self._head.append(data[at])
                at += 1
                if not self._head_fits():
                    began = max(0, at - len(self._head))
                elif len(self._head) == _HEAD:
                    self._begin_record()
            if len(self._head) == _HEAD and not self._left:
                self._end_record()
        self.content = b"".join(content)
        return began if self.violation else None

    @property
    def said_something(self) -> bool:
        """Of an opener: whether it sent more than its handshake.

        In TLS 1.3 the end of the client's handshake is itself one record of application data at
        least (RFC 8446, 4.4 and 5.2); in TLS 1.2 it is a second handshake record. Who cuts the end
        of the handshake into several records seems to have said something: the safe mistake. A
        record as long as an alert is a farewell: no request has two bytes.
        """
        return self.application_records > (0 if self.handshake_records > 1 else 1)

    # --- the record's header

    def _is_head(self, head: bytes) -> bool:
        """Whether this is a whole header in which each byte is right; any other is taken byte by
        byte, which names the first wrong one. Nothing else happens between two bytes of it, so the
        answer is the same."""
        return (
            len(head) == _HEAD
            and head[1] == 3
            and head[2] in _MINORS
            and not self._strange_type(head[0])
            and not self._strange_length(head[0], head[3] << 8 | head[4])
        )

    def _head_fits(self) -> bool:
        """Whether the record header is right as far as it has come."""
        head = self._head
        match len(head):
            case 1:
                self.violation = self._strange_type(head[0])
            case 2 if head[1] != 3:
                self.violation = f"a record of version 0x{head[1]:02x}.."
            case 3 if head[2] not in _MINORS:
                self.violation = f"a record of version 0x03{head[2]:02x}"
            case 5:
                self.violation = self._strange_length(head[0], head[3] << 8 | head[4])
        return not self.violation

    def _strange_type(self, kind: int) -> str:
        if not self.hello:
            if kind == ALERT and not self.opener:
                return ""
            if self._alerted:
                return f"a record of type 0x{kind:02x} behind an early alert"
            if kind != HANDSHAKE:
                return f"it begins with byte 0x{kind:02x}, which is no handshake"
            return ""
        if kind not in _TYPES:
            return f"a record of type 0x{kind:02x}"
        if self._shake and kind != HANDSHAKE:
            return f"a record of type 0x{kind:02x} within a handshake message"
        if kind == APPLICATION:
            return self._strange_application()
        if kind == HANDSHAKE and self.application_records:
            return "a handshake record behind application data"
        if kind == HANDSHAKE and self._thirteen and not self._again:
            return "a second handshake record in clear in TLS 1.3"
        return ""

    def _strange_application(self) -> str:
        """Application data needs a hello of both sides, and a cipher that encrypts."""
        other = self.other
        if other is not None and other.said is None and not other.blind:
            return "application data, and the other side never said hello"
        if self._chosen is not None and self._chosen.encrypts is False:
            return "application data under a cipher that does not encrypt"
        return ""

    def _strange_length(self, kind: int, length: int) -> str:
        if length > _LARGEST:
            return f"a record of {length} bytes"
        if not length and kind != APPLICATION:
            return f"an empty record of type {kind}"
        if kind == CHANGE and length != 1:
            return f"a change of cipher of {length} bytes"
        if kind == ALERT and length != 2 and not (self._change and not self._thirteen):
            return f"an alert of {length} bytes"
        return ""

    # --- the record's body

    def _begin_record(self) -> None:
        kind = self._head[0]
        self._left = self._head[3] << 8 | self._head[4]
        spoken = kind == APPLICATION and self._left != _HIDDEN_ALERT
        self.application_records += spoken
        self.handshake_records += kind == HANDSHAKE

    def _take(self, piece: bytes) -> None:
        """A piece of the present record's body."""
        kind = self._head[0]
        if kind == APPLICATION:
            self.application_bytes += len(piece)
        if kind == APPLICATION or (kind != CHANGE and self._change):
            if (self._run if kind == APPLICATION else self._sealed).feed(piece):
                self.violation = "readable text in a record that should be secret"
            self._begin += piece[: LOOKED_AT - len(self._begin)]
        elif kind == HANDSHAKE:
            self._shake += piece
            self._messages()
        else:
            self._body += piece

    def _end_record(self) -> None:
        kind, body = self._head[0], bytes(self._body)
        if self._begin and is_compressed_text(bytes(self._begin)):
            self.violation = self.violation or "compressed text in a record that should be secret"
        self._head.clear()
        self._body.clear()
        self._begin.clear()
        if kind == CHANGE:
            if body != b"\x01":
                self.violation = self.violation or "a change of cipher that is none"
            self._change = True
        elif kind == ALERT and not self.hello:
            self._alerted = True
        if kind == ALERT and body and body[0] not in (1, 2):
            self.violation = self.violation or f"an alert of level {body[0]}"
        if kind == HANDSHAKE and self.opener and self._shake and self.said is not None:
            self.violation = self.violation or "something behind the hello in its record"

    # --- the handshake's messages in clear

    def _messages(self) -> None:
        while self._shake and not self.violation:
            kind = self._shake[0]
            first = self.said is None
            if first:
                wanted = CLIENT_HELLO if self.opener else SERVER_HELLO
                self.hello = kind == wanted
                if not self.hello:
                    self.violation = f"the first handshake message has type {kind}"
                    return
            if len(self._shake) < 4:
                return
            length = int.from_bytes(self._shake[1:4])
            if length > (_LARGEST_HELLO if first else _LARGEST_MESSAGE):
                self.violation = f"a handshake message of {length} bytes"
                return
            if len(self._shake) < 4 + length:
                return
            body = bytes(self._shake[4 : 4 + length])
            del self._shake[: 4 + length]
            self._message(kind, body)

    def _message(self, kind: int, body: bytes) -> None:
        if kind in (CLIENT_HELLO, SERVER_HELLO):
            if (kind == CLIENT_HELLO) != self.opener:
                self.violation = f"a handshake message of type {kind}"
            elif self.said is not None and not self._again:
                self.violation = "a second hello, which nobody asked for"
            else:
                self.said = read(body, client=self.opener)
                self.violation = self.said.clear or self._unoffered(self.said)
        elif self._thirteen:
            self.violation = f"a handshake message of type {kind} in clear in TLS 1.3"
        else:
            self.violation = strange_message(kind, body)

    def _unoffered(self, said: Hello) -> str:
        """A server chooses among what the client offers (RFC 8446, 4.1.3; RFC 5246, 7.4.1.3)."""
        client = self.other.said if self.other is not None and not self.opener else None
        if client is None or not client.known or said.ciphers <= client.ciphers:
            return ""
        return "a cipher that the client did not offer"

    @property
    def _chosen(self) -> Hello | None:
        """What the server said; None as long as it is not known."""
        server = self.other if self.opener else self
        return server.said if server is not None else None

    @property
    def _thirteen(self) -> bool:
        return self._chosen is not None and self._chosen.thirteen is True

    @property
    def _again(self) -> bool:
        """Whether the server asked for another hello."""
        return self._chosen is not None and self._chosen.retry
