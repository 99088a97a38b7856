"""Lines that cannot be read. What the others say stands, but not as the whole of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from conformance.evidence import compressed
from conformance.evidence.bundle import CLOCK, Bundle
from conformance.evidence.contradiction import Contradiction
from conformance.model import Evidence

# By this suite's own readers; the others are JSON lines of whatever fields.
_TYPED = ("steps.jsonl", "watch.jsonl", CLOCK)


def check(bundle: Bundle) -> Iterator[Contradiction]:
    """One contradiction for each file that has such lines: it names the first, and how many."""
    for name in sorted(bundle.index.files):
        if compressed.exists(bundle.root / name):
            _read(bundle, name)
    by_file: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (name, number), reason in bundle.unread.items():
        by_file[name].append((number, reason))
    for name, lines in sorted(by_file.items()):
        number, reason = min(lines)
        more = f" (and {len(lines) - 1} more lines)" if len(lines) > 1 else ""
        where = (Evidence(name, line=number),)
        yield Contradiction(reason + more, frozenset({name}), where)


def _read(bundle: Bundle, name: str) -> None:
    """Read a file to its end, as whoever leans on it does: the bundle remembers what was wrong."""
    if name in _TYPED or name.startswith("stamps/") or name.endswith("/agent.jsonl"):
        for _ in bundle.records(name):
            pass
    elif name == "runtime.log":
        for _ in bundle.runtime():
            pass
    elif name in ("containerd.log", "kubelet.log") or name.endswith(".jsonl"):
        for number, text in bundle.lines(name):
            try:
                whole = not text.strip() or isinstance(json.loads(text), dict)
            except (ValueError, RecursionError):
                whole = False
            if not whole:
                bundle.unread[name, number] = f"{name}:{number} cannot be read: not a JSON object"
