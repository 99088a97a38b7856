"""What the sidecars say that they carried, held against the output in which they said so.

requests/ is written from logs/ by the driver: each line names the line that it was read from. That
one is there and says the same, and no other line of its kind was passed over.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.evidence import envoy_log
from conformance.evidence.bundle import Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.model import Evidence

_NAME = re.compile(r"requests/(?P<whose>.+)\.jsonl")
# What a record takes over from its line as it stands there. Whose the other end of an outbound
# connection is a proxy may know from elsewhere, and when it began it may write in its own way.
_TAKEN = ("local", "remote", "peer_serial", "path", "status")
Json = Mapping[str, Any]


@dataclass
class _Log:
    """name: of the output. told_in: the file of requests/ of the same container. cited: line → the
    records that were read from it, each with its file and line."""

    name: str
    told_in: str = ""
    cited: dict[int, list[tuple[Evidence, Json]]] = field(default_factory=lambda: defaultdict(list))
    said: dict[int, Json] = field(default_factory=dict)


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """Records that no output bears out, and output that no record tells of."""
    logs = _logs(bundle)
    for log in logs.values():
        for number, text in bundle.lines(log.name) if bundle.has(log.name) else ():
            raw = envoy_log.json_in(text)
            if raw is not None:
                log.said[number] = raw
    kinds = {
        frozenset(log.said[number])
        for log in logs.values()
        for number in log.cited
        if number in log.said
    }
    envoys = bundle.index.cell.sidecar in envoy_log.SIDECARS
    for log in logs.values():
        yield from _unfounded(log, there=bundle.has(log.name), envoys=envoys)
        untold = [
            number
            for number, raw in log.said.items()
            if number not in log.cited
            and (frozenset(raw) in kinds or (envoys and envoy_log.request_in(raw)))
        ]
        if untold:
            yield _contradiction(
                f"{log.name}:{untold[0]} tells of a request, and {log.told_in} does not "
                f"({len(untold)} such lines)",
                Evidence(log.name, line=untold[0]),
                log.told_in,
            )


def _logs(bundle: Bundle) -> Mapping[str, _Log]:
    """The outputs of the containers whose requests were written down, by name."""
    found: dict[str, _Log] = {}
    for file in sorted(bundle.index.files):
        if (named := _NAME.fullmatch(file)) is None:
            continue
        own = f"logs/{named['whose']}.log"
        if bundle.has(own):
            found.setdefault(own, _Log(own)).told_in = file
        for number, text in bundle.lines(file):
            raw = envoy_log.json_in(text)
            name, _, line = str((raw or {}).get("source", "")).rpartition(":")
            if raw is None or not line.isdecimal():
                continue  # consistency/lines tells of it; or it is its own source
            log = found.setdefault(name, _Log(name, told_in=file))
            log.cited[int(line)].append((Evidence(file, line=number), raw))
    return found


def _unfounded(log: _Log, *, there: bool, envoys: bool) -> Iterator[Contradiction]:
    """The first record of an output that the line which it names does not bear out."""
    for number, records in sorted(log.cited.items()):
        for where, record in records:
            lacking = _lacking(record, log.said.get(number), envoys=envoys)
            if lacking:
                yield _contradiction(
                    f"{where.file}:{where.line} was read from line {number} of {log.name}, which "
                    f"{lacking}",
                    where,
                    log.name if there else "",
                )
                return


def _lacking(record: Json, raw: Json | None, *, envoys: bool) -> str:
    """What a line lacks of the record that was read from it; "" for nothing."""
    if raw is None:
        return "is no record of a request"
    if envoys:
        its = envoy_log.request_in(raw) or {}
        wrong = [key for key, value in record.items() if key != "source" and its.get(key) != value]
    else:
        values = [str(value) for value in raw.values()]
        taken = [*_TAKEN, *(["peer"] if record.get("direction") == "inbound" else [])]
        wrong = [
            key
            for key in taken
            if record.get(key) and not any(str(record[key]) in value for value in values)
        ]
    return f"says another {wrong[0]}" if wrong else ""


def _contradiction(reason: str, where: Evidence, other: str) -> Contradiction:
    return Contradiction(reason, frozenset({where.file, other} - {""}), (where,))
