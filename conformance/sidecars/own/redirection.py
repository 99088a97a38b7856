"""The redirection that the suite sets for a mesh of the user's own, by the reference mesh's rules.

The same rules, with the user's ports in the place of the mesh's own (fixtures/envoy/rules.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.sidecars.driver import Manifest
from conformance.sidecars.own.file import Redirection

CONTAINER = "rules"
IMAGE = "envoy"  # a folder below fixtures/: it has iptables, and the program
# body() reads them anew: the kubelet's ports first, then whose traffic is let through.
_PROGRAM = """\
import sys
sys.path.insert(0, "/sidecar")
import rules
rules.HEALTH_PORT, rules.PROBE_PORT, rules.INBOUND_PORT, rules.OUTBOUND_PORT, rules.PROXY_UID = (
    int(one) for one in sys.argv[1:]
)
print(rules.set_rules("init-rules"))
"""


def rules_container(redirection: Redirection, spared: Sequence[int]) -> Manifest:
    """The init container that sets the rules, and ends. spared: the health and the probe port."""
    health, probe = (*spared, *spared)[:2]
    numbers = (health, probe, redirection.inbound, redirection.outbound, redirection.user)
    return {
        "name": CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-I", "-S", "-c", _PROGRAM, *(str(one) for one in numbers)],
        "securityContext": {
            "runAsUser": 0,
            # NET_RAW as well: legacy iptables talks to the kernel through a raw socket.
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
