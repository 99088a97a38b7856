"""The words in which Istio's agent says in its log what it does."""

from __future__ import annotations

import re

UNSERVED = "failed to sign CSR"  # security/pkg/nodeagent/caclient/providers/citadel/client.go

# The agent writes no stamps, but it says in its log what it does (pkg/envoy/agent.go,
# pilot/cmd/pilot-agent/status/server.go, pkg/envoy/proxy.go), in microseconds.
SAID = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z\t\w+\t(.*)")
STAMPS = (
    ("Envoy command: ", "sidecar.exec"),
    (f"citadelclient\t{UNSERVED}", "sidecar.unserved"),
    ("Envoy proxy is ready", "sidecar.ready"),
    ("handling /drain, starting drain", "sidecar.drain"),
    ("Agent draining Proxy for termination", "sidecar.sigterm"),
    ("Agent has successfully terminated", "sidecar.last"),
)
