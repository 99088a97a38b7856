"""What Linkerd calls things, and what the driver sets, where several of its modules need it."""

from __future__ import annotations

import re

CONTAINER = "linkerd-proxy"
INJECTOR = "linkerd/proxy-injector"
ADMIN_PORT = 4191
TRUST_DOMAIN = "cluster.local"  # as the CLI sets it by itself
# pkg/k8s/labels.go, CreatedByAnnotation: written by the injector, and by nobody else.
CREATED_BY = "linkerd.io/created-by"
# The control plane's namespace, as the CLI sets it by itself.
NAMESPACE = "linkerd"
CERTIFICATE = 40  # seconds: identity.issuer.issuanceLifetime; the default is 24 hours
# What a proxy says that cannot reach a component of its control plane. It says the same of the
# app's destinations, but without "controller" (linkerd2-proxy, linkerd/app/core/src/control.rs).
UNSERVED = re.compile(
    r"\bcontroller\{addr=.*"
    r"(?:linkerd_reconnect: (?:Failed to connect|Service failed)|Failed to resolve)"
)
# What it says when it is told to end, by whomever (linkerd2-proxy, linkerd/signal/src/lib.rs).
TOLD = re.compile(r"received SIGTERM, starting shutdown")


def identity(namespace: str, role: str) -> str:
    """The identity of a role's pod: that of its service account."""
    return f"{role}.{namespace}.serviceaccount.identity.{NAMESPACE}.{TRUST_DOMAIN}"
