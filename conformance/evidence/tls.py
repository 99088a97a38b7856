"""Checks that one direction of a stream is TLS, record by record, to its end.

Only the record layer is read (RFC 8446, 5.1): what stands in the records is the proxies' secret.
"""

from __future__ import annotations

HANDSHAKE, ALERT, APPLICATION = 22, 21, 23
_TYPES = range(20, 25)  # change_cipher_spec, alert, handshake, application_data, heartbeat
_MINORS = range(0, 5)  # 0x0300 (SSL 3.0) to 0x0304
_LARGEST = (1 << 14) + 2048  # RFC 5246, 6.2.3; TLS 1.3 allows 256 where this allows 2048
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
# An alert of TLS 1.3 travels as application data: two bytes, their true type, and a tag of 16.
_HIDDEN_ALERT = 2 + 1 + 16


class RecordCheck:
    """Feed it a direction's bytes in order.

    opener: this direction comes from who opened the connection, so it begins with a ClientHello;
    the other one with a ServerHello, or an alert that turns the client away.
    After the first violation everything is in clear: there is no way back into TLS.
    """

    __slots__ = (
        "_body",
        "_head",
        "_left",
        "application_bytes",
        "application_records",
        "handshake_records",
        "hello",
        "opener",
        "violation",
    )

    def __init__(self, *, opener: bool) -> None:
        self.opener = opener
        self.violation = ""
        self.hello = False  # a ClientHello or ServerHello was seen
        self.application_bytes = 0
        self.application_records = 0
        self.handshake_records = 0
        self._head = bytearray()
        self._left = 0  # bytes of the present record still to come
        self._body = -1  # where the handshake type of the very first record stands: 0, then past it

    def feed(self, data: bytes) -> int | None:
        """Where in ``data`` the first byte in clear stands; None when all is TLS."""
        if self.violation:
            return 0
        at, size = 0, len(data)
        while at < size:
            if self._left:
                if self._body == 0 and not self._first_byte(data[at]):
                    return max(0, at - 5)
                step = min(self._left, size - at)
                self._left -= step
                at += step
                if self._head[0] == APPLICATION:
                    self.application_bytes += step
                if not self._left:
                    self._head.clear()
                continue
            self._head.append(data[at])
            at += 1
            if not self._head_fits():
                return max(0, at - len(self._head))
            if len(self._head) == 5:
                self._left = self._head[3] << 8 | self._head[4]
                spoken = self._head[0] == APPLICATION and self._left != _HIDDEN_ALERT
                self.application_records += spoken
                self.handshake_records += self._head[0] == HANDSHAKE
                if not self._left:
                    self._head.clear()
        return None

    @property
    def said_something(self) -> bool:
        """Of an opener: whether it sent more than its handshake.

        In TLS 1.3 the end of the client's handshake is itself one record of application data at
        least (RFC 8446, 4.4 and 5.2); in TLS 1.2 it is a second handshake record. Who cuts the end
        of the handshake into several records seems to have said something: the safe mistake. A
        record as long as an alert is a farewell: no request has two bytes.
        """
        return self.application_records > (0 if self.handshake_records > 1 else 1)

    def _first_byte(self, value: int) -> bool:
        self._body = 1
        self.hello = value == (_CLIENT_HELLO if self.opener else _SERVER_HELLO)
        if not self.hello:
            self.violation = f"the first handshake message has type {value}"
        return self.hello

    def _head_fits(self) -> bool:
        """Whether the record header is right as far as it has come."""
        head = self._head
        match len(head):
            case 1 if self._body < 0 and head[0] != HANDSHAKE:
                if self.opener or head[0] != ALERT:
                    self.violation = f"it begins with byte 0x{head[0]:02x}, which is no handshake"
            case 1 if self._body == 1 and not self.hello and head[0] != ALERT:
                self.violation = f"a record of type 0x{head[0]:02x} behind an early alert"
            case 1 if head[0] not in _TYPES:
                self.violation = f"a record of type 0x{head[0]:02x}"
            case 2 if head[1] != 3:
                self.violation = f"a record of version 0x{head[1]:02x}.."
            case 3 if head[2] not in _MINORS:
                self.violation = f"a record of version 0x03{head[2]:02x}"
            case 5:
                length = head[3] << 8 | head[4]
                if length > _LARGEST:
                    self.violation = f"a record of {length} bytes"
                elif not length and head[0] != APPLICATION:
                    self.violation = f"an empty record of type {head[0]}"
                elif self._body < 0:
                    self._body = 0 if head[0] == HANDSHAKE else 1
        return not self.violation
