"""Follows what containers write, in the node's own files of it, where this machine sees them.

The API's streams say the same at a price: for each piece of output that it passes on, and once a
second, the kubelet asks the runtime whether the container still runs.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_EVERY = 0.1  # seconds between two looks; a look at a file that has not grown is one read(2)
# A container that was ended may still have its last words on their way. Seconds, at most and at
# least without a new word.
_PATIENCE, _SILENCE = 1.0, 0.2
_PIECE = 1 << 16
# The CRI's format: time, stream, P (the line goes on) or F (it ends) and more tags, text.
_LINE = re.compile(rb"(\S+) (?:stdout|stderr) ([PF])(?::\S*)? (.*)", re.DOTALL)


def file_of(folder: Path, pod: Mapping[str, Any], status: Mapping[str, Any]) -> Path:
    """Where the kubelet has a container write (pkg/kubelet/kuberuntime/helpers.go,
    BuildContainerLogsDirectory). folder: the node's /var/log/pods."""
    its = pod["metadata"]
    life = f"{status['restartCount']}.log"
    return Path(folder, f"{its['namespace']}_{its['name']}_{its['uid']}", status["name"], life)


class Output:
    """One life of a container: what it writes goes on to a file of the bundle, without the marks of
    the runtime's format. dated: each line begins with its time, as the API would give it."""

    def __init__(self, source: Path, target: Path, *, dated: bool) -> None:
        self._source = source
        self._file = source.open("rb")
        self._target = target.open("ab", buffering=0)
        self._dated = dated
        self._rest = b""  # of a line that is not whole yet
        self._within = False  # a line of which a piece has been passed on

    def read(self) -> bool:
        """Pass on what has come since; whether anything came."""
        came = self._read()
        if not came and self._is_another():
            self._file.close()
            self._file = self._source.open("rb")
            came = self._read()
        return came

    def close(self) -> None:
        """Nothing more is read."""
        self._file.close()
        self._target.close()

    def _read(self) -> bool:
        came = False
        while piece := self._file.read(_PIECE):
            came = True
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._target.write(b"".join(map(self._text, lines)))
        return came

    def _text(self, line: bytes) -> bytes:
        match = _LINE.fullmatch(line)
        if match is None:  # half a line, where the kubelet cut the file off
            return b""
        moment, tag, text = match.groups()
        begins = b"" if self._within or not self._dated else nine_digits(moment) + b" "
        self._within = tag == b"P"
        return begins + text + (b"" if self._within else b"\n")

    def _is_another(self) -> bool:
        """Whether the file was put aside for its size, and another one has its name."""
        try:
            now = self._source.stat()
        except FileNotFoundError:  # its container was removed: this is the last of it
            return False
        return not os.path.samestat(now, os.fstat(self._file.fileno()))


class Follower:
    """Follows outputs from when they are given to it, in one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outputs: list[Output] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="outputs", daemon=True)
        self.trouble: list[str] = []

    def follow(self, output: Output) -> None:
        """Pass on what is there already, and what comes."""
        with self._lock:
            self._outputs.append(output)
        if not self._thread.ident:
            self._thread.start()

    def catch_up(self) -> bool:
        """Pass on what has been written by now; whether anything came."""
        came = False
        with self._lock:
            for output in list(self._outputs):
                try:
                    came = output.read() or came
                except OSError as error:
                    self._outputs.remove(output)
                    output.close()
                    self.trouble.append(f"an output could not be followed to its end: {error}")
        return came

    def stop(self) -> None:
        """Pass on the last words of who has ended, and follow nobody any more."""
        self._over.set()
        if self._thread.ident:
            self._thread.join()
        began = last = time.monotonic()
        while (now := time.monotonic()) < began + _PATIENCE and now < last + _SILENCE:
            if self.catch_up():
                last = time.monotonic()
            time.sleep(_SILENCE / 4)
        with self._lock:
            for output in self._outputs:
                output.close()
            self._outputs.clear()

    def _follow(self) -> None:
        while not self._over.wait(_EVERY):
            self.catch_up()


def nine_digits(moment: bytes) -> bytes:
    """A time as the kubelet writes it (RFC 3339, always with nanoseconds), of one without zeros at
    the end."""
    zone = len(moment) - 1 if moment.endswith(b"Z") else len(moment) - len("+00:00")
    seconds, _, fraction = moment[:zone].partition(b".")
    return b"%s.%s%s" % (seconds, fraction.ljust(9, b"0"), moment[zone:])
