"""The dialer's note, where pods share no folder with the node: the address of the pod under test.

On a node of the suite's own the capture writes it before the pod's first container exists. Here it
is written into the dialer's own volume as soon as the API tells the address, which is a little
later: there are fewer dials in the startup window, and the judges count them.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from kubernetes.client import ApiException

from conformance.errors import EnvironmentProblem
from conformance.machine import waiting
from conformance.observe.pods import role_of

if TYPE_CHECKING:
    from conformance.observe.stage import Stage

_SUBJECT = "subject"
_WITHIN = 60.0  # seconds
_WRITE = 'mkdir -p /evidence/capture/subject && printf %s "$1" >/evidence/capture/subject/net.json'


def tell(stage: Stage, dialer: str, role: str) -> None:
    """After a pod of this role was made: tell the dialer in the background, if there is one that
    has to be told, and the pod is the one under test."""
    if not stage.place.stamps_in_output or role != _SUBJECT:
        return
    if stage.watch.newest("Pod", dialer) is not None:
        threading.Thread(target=_tell, args=(stage, dialer, role), daemon=True).start()


def _tell(stage: Stage, dialer: str, subject: str) -> None:
    def addresses() -> list[str]:
        for pod in stage.watch.all("Pod"):
            found = pod.get("status", {}).get("podIPs") or ()
            if role_of(pod) == subject and found:
                return [one["ip"] for one in found]
        return []

    try:
        ips = waiting.until("the subject's address", addresses, seconds=_WITHIN, every=0.05)
        stage.execute(dialer, dialer, ["sh", "-c", _WRITE, "sh", json.dumps({"ips": ips})])
    except (EnvironmentProblem, ApiException) as problem:  # too few dials say the rest
        stage.watch.trouble.append(f"the dialer was not told the pod's address: {problem}")
