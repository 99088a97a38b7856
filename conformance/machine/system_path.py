"""Where the system's own programs are found: PATH, and the sbin folders that it may lack.

After a plain "su" root keeps a user's PATH, without iptables, ip or dockerd; dpkg refuses then.
"""

from __future__ import annotations

import os
import shutil


def search_path() -> str:
    """PATH, then the sbin folders."""
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"


def find(name: str) -> str | None:
    """The program's path, or None."""
    return shutil.which(name, path=search_path())
