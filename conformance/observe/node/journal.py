"""What the node's journal says of one cell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from conformance.observe.node.growing import Growing

# Lines are as `journalctl -o json` writes them, without the fields that say of each line again
# whose it is (a kubelet's command line alone is half a kilobyte).
FIELDS = "--output-fields=MESSAGE,PRIORITY,_PID,_SYSTEMD_UNIT"
_UNITS = (b"kubelet.service", b"containerd.service")
_SUPPRESSED = re.compile(rb'"MESSAGE":"Suppressed (\d+) messages from (\S+)"')


class Journal:
    """`journalctl -o json` lines about the cell: containerd's by id, the kubelet's by time."""

    def __init__(
        self,
        file: Path,
        offset: int,
        concerned: re.Pattern[bytes],
        started_ns: int,
        ended_ns: int,
    ) -> None:
        self.containerd: list[bytes] = []
        self.kubelet: list[bytes] = []
        self.suppressed: list[dict[str, Any]] = []
        self._heard: dict[bytes, int] = {}  # unit → when its last line came (us)
        self._concerned = concerned
        self._span = range(started_ns // 1000, ended_ns // 1000 + 2)
        self._newest = 0
        self._stopped: set[str] = set()
        self._lines = Growing(file, self._sort, offset)

    def stopped(self) -> set[str]:
        """The sandboxes that containerd says it has stopped."""
        self._lines.lines()
        return self._stopped

    def caught_up(self) -> bool:
        """Whether a line younger than the cell has come."""
        self._lines.lines()
        return self._newest >= self._span.stop

    def _sort(self, line: bytes) -> bool:
        time_us = _field(line, b"__REALTIME_TIMESTAMP")
        stamp = int(time_us) if time_us.isdigit() else 0
        self._newest = max(self._newest, stamp)
        if stamp < self._span.start:
            return False
        unit = _field(line, b"_SYSTEMD_UNIT")
        if unit not in _UNITS:
            self._note_suppressed(line, stamp)
            return False
        self._heard[unit] = stamp
        if unit == b"kubelet.service" and stamp in self._span:
            self.kubelet.append(line)
        elif unit == b"containerd.service" and self._concerned.search(_message(line)):
            self.containerd.append(line)
            done = re.search(rb'StopPodSandbox for \\?"(\w+)\\?" returns success', _message(line))
            if done:
                self._stopped.add(done[1].decode())
        return False

    def _note_suppressed(self, line: bytes, stamp: int) -> None:
        """journald's own word that it dropped lines of a unit, which comes with the unit's next
        one: they came after the last one that it let pass (journald-rate-limit.c)."""
        said = _SUPPRESSED.search(line)
        if said is None or said[2] not in _UNITS:
            return
        since = self._heard.get(said[2], self._span.start)
        if since < self._span.stop:
            self.suppressed.append(
                {
                    "ns": since * 1000,
                    "until_ns": stamp * 1000,
                    "unit": said[2].decode(),
                    "lines": int(said[1]),
                }
            )


def logged_us(line: bytes) -> str:
    """When a line was logged (us since the epoch, which has had 16 digits since 2001)."""
    return _field(line, b"__REALTIME_TIMESTAMP").decode()


def _field(line: bytes, name: bytes) -> bytes:
    """A field of a line of JSON without reading the rest: a journal is long, and read often."""
    match = re.search(rb'"' + name + rb'":"([^"\\]*)"', line)
    return match[1] if match else b""


def _message(line: bytes) -> bytes:
    """MESSAGE, which journalctl writes as a list of bytes when it is no clean text."""
    message: Any = json.loads(line).get("MESSAGE") or ""
    return message.encode() if isinstance(message, str) else bytes(message)
