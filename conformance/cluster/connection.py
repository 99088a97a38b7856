"""The API server of a run's cluster, and the key that leads there.

The client keeps its key and certificates in files, by default in /tmp, and removes them when its
process ends in good order. A process that is killed leaves them. So they are beside the kubeconfig,
which is removed with its cluster, after a SIGKILL too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from kubernetes import client as k8s
from kubernetes import config as k8s_config

_KEYS = ".keys"  # hidden, so that no pack takes it along


def connect(kubeconfig: Path) -> k8s.ApiClient:
    """A client by a kubeconfig of the run's own."""
    keys = kubeconfig.with_name(_KEYS)
    keys.mkdir(mode=0o700, exist_ok=True)
    # Not the class' own call: it would give out copies of a default that others may set.
    configuration = type.__call__(k8s.Configuration)
    k8s_config.load_kube_config(
        config_file=str(kubeconfig), client_configuration=configuration, temp_file_path=str(keys)
    )
    return k8s.ApiClient(configuration=configuration)


def forget(kubeconfig: Path) -> None:
    """Remove a kubeconfig of the run's, and what clients took out of it. Idempotent."""
    kubeconfig.unlink(missing_ok=True)
    shutil.rmtree(kubeconfig.with_name(_KEYS), ignore_errors=True)
