"""The release of Cilium that is used. Standard library only: options are checked by it."""

from __future__ import annotations

VERSION = "1.15.19"
"""The newest minor whose agent can encrypt by a WireGuard in user space (encryption.wireguard.
userspaceFallback in its chart; gone in 1.16), so that a kernel without WireGuard can be judged."""

TAG = f"v{VERSION}"
