"""A line of containerd's journal, as journalctl gives it."""

from __future__ import annotations

import json
import time

BEFORE, AFTER = "146", "150"  # containerd's process, and that after a restart


def line(at: int, text: str, restarted: int) -> str:
    """at: Unix ns, as is restarted, from when on another process wrote; 0 where nobody asks who."""
    second, rest = divmod(at, 10**9)
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{rest:09d}"
    record = {"MESSAGE": f'time="{stamp}Z" level=info msg="{text}"'}
    if restarted:
        record |= {
            "__REALTIME_TIMESTAMP": str(at // 1000),
            "_PID": AFTER if restarted <= at else BEFORE,
        }
    return json.dumps(record) + "\n"
