"""The user's proxies, and what must never go through them."""

from __future__ import annotations

from collections.abc import MutableMapping

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def reach_loopback_directly(environment: MutableMapping[str, str]) -> None:
    """Have nothing on this machine's loopback be asked for through a proxy.

    A cluster's API server is there. Go's clients know it by themselves, Kubernetes' Python client
    does not. Without a proxy nothing is changed; children and workers inherit it.
    """
    if not any(environment.get(name) or environment.get(name.lower()) for name in _PROXIES):
        return
    said = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    hosts = [one.strip() for one in said.split(",") if one.strip()]
    if "*" in hosts:
        return
    both = ",".join([*hosts, *(one for one in LOOPBACK if one not in hosts)])
    environment["NO_PROXY"] = environment["no_proxy"] = both
