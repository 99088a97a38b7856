"""A cluster's key is where its kubeconfig is, and goes with it."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

from conformance.cluster import connection, deletion
from conformance.machine.paths import CHECKOUT
from conformance.machine.runs import Record

KEY = "-----BEGIN PRIVATE KEY-----\nnobody's\n-----END PRIVATE KEY-----\n"
KUBECONFIG = f"""
apiVersion: v1
kind: Config
current-context: it
clusters: [{{name: it, cluster: {{server: "https://127.0.0.1:1"}}}}]
contexts: [{{name: it, context: {{cluster: it, user: me}}}}]
users:
  - name: me
    user:
      client-key-data: {base64.b64encode(KEY.encode()).decode()}
      client-certificate-data: {base64.b64encode(b"no secret").decode()}
"""
CONNECT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from conformance.cluster import connection
try:
    connection.connect(Path(sys.argv[1]))
except OSError:
    pass  # no key that any TLS would take
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_key_of_a_killed_process_goes_with_the_kubeconfig(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "run/clusters/1.33/kubeconfig"
    kubeconfig.parent.mkdir(parents=True)
    kubeconfig.write_text(KUBECONFIG)
    (tmp_path / "tmp").mkdir()
    killed = subprocess.run(
        [sys.executable, "-c", CONNECT_AND_DIE, str(kubeconfig)],
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    assert killed.returncode == -signal.SIGKILL
    assert not list((tmp_path / "tmp").iterdir())
    keys = kubeconfig.with_name(".keys")
    assert keys.stat().st_mode & 0o777 == 0o700
    assert KEY in [file.read_text() for file in keys.iterdir()]
    connection.forget(kubeconfig)
    assert not list(kubeconfig.parent.iterdir())
    connection.forget(kubeconfig)  # once more


def test_a_runs_deletion_takes_all_of_them(tmp_path: Path, docker: Path) -> None:
    del docker
    for minor in ("1.29", "1.33"):
        (tmp_path / "clusters" / minor / ".keys").mkdir(parents=True)
        (tmp_path / "clusters" / minor / "kubeconfig").write_text(KUBECONFIG)
        (tmp_path / "clusters" / minor / "state.json").write_text("{}")
    deletion.delete_all(Record("20260101-000000-abcd", 1, "unix:///d", str(tmp_path)))
    left = {path.name for path in (tmp_path / "clusters").glob("*/*")}
    assert left == {"state.json"}
