"""An OCI runtime in front of runc that asks only for capabilities which this machine can give.

Where the bounding set is short (a virtual machine without CAP_SYS_RESOURCE, say), Docker asks for
every capability that it knows when a container is privileged, and runc fails ("unable to apply
caps"). This program takes those that cannot be had out of the container's config.json (create,
run) or process file (exec), then becomes the real runc.

    python3 -I -S oci_runtime.py /usr/sbin/runc [runc's arguments]

It is copied beside the engine's data and runs there alone: standard library only, nothing of the
package, no site-packages.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# include/uapi/linux/capability.h; the position is the number.
# fmt: off
NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID",
    "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN",
    "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE",
    "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
    "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)
# fmt: on


def absent_capabilities(
    status: Path = Path("/proc/self/status"), last: Path = Path("/proc/sys/kernel/cap_last_cap")
) -> frozenset[str]:
    """Names (``CAP_…``) that the kernel knows and this process's bounding set lacks."""
    line = next(line for line in status.read_text().splitlines() if line.startswith("CapBnd:"))
    bounding = int(line.split()[1], 16)
    known = int(last.read_text())
    return frozenset(
        f"CAP_{name}"
        for number, name in enumerate(NAMES)
        if number <= known and not bounding >> number & 1
    )


def clip(process: dict[str, Any], absent: frozenset[str]) -> None:
    """Take the absent names out of every set of an OCI process object, in place."""
    sets = process.get("capabilities") or {}
    for kind, names in sets.items():
        sets[kind] = [name for name in names or [] if name not in absent]


def subject(arguments: Sequence[str]) -> tuple[Path, bool] | None:
    """The file that a runc command line takes capabilities from, and whether it is a bundle's.

    None when the command starts no process, or (an exec without --process) names no file.
    """
    command = next((word for word in arguments if word in ("create", "run", "exec")), None)
    if command is None:
        return None
    after = arguments[arguments.index(command) + 1 :]
    if command == "exec":
        process = _option(after, "--process", "-p")
        return (Path(process), False) if process else None
    return Path(_option(after, "--bundle", "-b") or ".", "config.json"), True


def rewrite(path: Path, of_bundle: bool, absent: frozenset[str]) -> None:
    """Clip one JSON file. What cannot be read is left for runc to complain about."""
    try:
        document = json.loads(path.read_text())
        clip(document.get("process") or {} if of_bundle else document, absent)
        clipped = path.with_name(path.name + ".clipped")
        clipped.write_text(json.dumps(document))
        clipped.replace(path)
    except (OSError, ValueError, AttributeError) as error:
        print(f"oci_runtime: {path} is left as it is: {error}", file=sys.stderr)


def _option(words: Sequence[str], *names: str) -> str | None:
    for position, word in enumerate(words):
        name, joined, value = word.partition("=")
        if name in names:
            return value if joined else next(iter(words[position + 1 : position + 2]), None)
    return None


def main(arguments: Sequence[str]) -> None:
    """Clip what the command line names, then become runc (the first argument)."""
    runc, *rest = arguments
    absent = absent_capabilities()
    found = subject(rest)
    if absent and found:
        rewrite(*found, absent)
    os.execv(runc, [runc, *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
