"""A file of the user's own: what is wrong with it is one sentence, with line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance.cli import main
from conformance.errors import UsageProblem
from conformance.sidecars.own import file as own_file
from tests.sidecars.own.stand_ins import EXAMPLES

BASE = "name: mine\nkind: plain\ncontainer:\n  image: x\n"
MAP = f"{BASE}setup:\n  - apiVersion: v1\n    kind: ConfigMap\n"

WRONG = [
    (f"{BASE}  startupprobe: {{}}\n",
     "line 5: startupprobe is not known in container, did you mean startupProbe?"),
    (f"{BASE}  startup_probe: {{}}\n",
     "line 5: startup_probe is not known in container, did you mean startupProbe?"),
    (f"{BASE}  startupProbe:\n    httpget: {{port: 1}}\n",
     "line 6: httpget is not known in container.startupProbe, did you mean httpGet?"),
    (f"{BASE}  env:\n    - {{name: A, value: 1}}\n",
     "line 6: container.env[0].value is 1: input should be a valid string."),
    (f"{BASE}  ports: [{{containerPort: '80'}}]\n", "line 5: container.ports[0].containerPort is"),
    (f"{BASE}  startupProbe: {{httpGet: {{port: web}}}}\n",
     "line 5: container.startupProbe.httpGet.port is 'web', and no port of the container"),
    (f"{BASE}  restartPolicy: Always\n", "line 5: container.restartPolicy is what the suite sets"),
    (f"{BASE}  name: app\n", "line 5: container.name is app, a container of the suite's"),
    ("name: Mine\nkind: plain\ncontainer: {image: x}\n", "line 1: name is 'Mine'"),
    ("name: a-name-of-more-than-20-letters\nkind: plain\ncontainer: {image: x}\n", "20 at most"),
    ("kind: plain\ncontainer: {image: x}\n", "name is missing"),
    ("name: mine\nkind: plane\ncontainer: {image: x}\n", "line 2: kind is 'plane'"),
    ("name: mine\nkind: plain\ncontainer: {}\n", "line 3: container.image is missing"),
    ("name: mine\nkind: plain\ncontainer: null\n", "line 3: container is None"),
    (f"{BASE}volume: []\n", "line 5: volume is not known, did you mean volumes?"),
    (f"{BASE}quit: {{}}\n", "line 5: quit names one of http, signal and exec"),
    (f"{BASE}quit: {{signal: TERM, exec: [x]}}\n", "line 5: quit names one of"),
    (f"{BASE}quit: {{signal: SIGTERM}}\n", "line 5: quit.signal is 'SIGTERM'"),
    (f"{BASE}quit: {{http: {{port: 99999}}}}\n", "line 5: quit.http.port is 99999"),
    (f"{BASE}logs: {{mountPath: /l}}\n", "line 5: logs means nothing for kind plain"),
    (f"{BASE}redirection: {{inbound: 1, outbound: 2}}\n", "redirection means nothing for kind"),
    ("name: mine\nkind: mesh\ncontainer: {image: x}\n", "health is missing"),
    ("name: mine\nkind: log-shipper\ncontainer: {image: x}\n", "logs is missing"),
    (f"{BASE}setup:\n  - kind: ConfigMaps\n", "line 6: setup[0].kind is 'ConfigMaps', did you"),
    (f"{BASE}setup:\n  - kind: ClusterRole\n", "line 6: setup[0].kind is 'ClusterRole'"),
    (f"{BASE}setup:\n  - {{kind: Secret, metadata: {{name: x}}}}\n",
     "setup[0].apiVersion is missing"),
    (f"{BASE}setup:\n  - {{apiVersion: v1, kind: Secret}}\n", "setup[0].metadata has no name"),
    (f"{MAP}    metadata: {{name: x, namespace: y}}\n",
     "line 8: setup[0].metadata.namespace is what the suite sets"),
    (f"{MAP}    metadata: {{name: x}}\n    dat: {{}}\n",
     "line 9: dat is not known in setup[0], did you mean data?"),
    (f"{BASE}---\na: 1\n", "a second document"),
    ("- 1\n", "the document is no mapping"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_one_sentence_and_code_2(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    answer = CliRunner().invoke(main, ["run", f"--sidecar={file}", f"--results={tmp_path}/r"])
    assert answer.exit_code == 2
    (sentence, code) = answer.stderr.splitlines()
    assert sentence.startswith(f"sidecar-conformance: {file}, line ")
    assert said in sentence
    assert code == "sidecar-conformance: exit code 2 (wrong use)"
    assert not (tmp_path / "r").exists()


def test_a_number_is_a_quantity(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{BASE}  resources: {{limits: {{cpu: 1}}, requests: {{memory: 64Mi}}}}\n")
    assert own_file.read(file).name == "mine"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda one: one.stem)
def test_the_examples_are_right(example: Path) -> None:
    own = own_file.read(example)
    assert own.gate
    assert len(example.read_text().splitlines()) <= 40


def test_what_tells_of_its_readiness(tmp_path: Path) -> None:
    def told(rest: str) -> tuple[object, str]:
        file = tmp_path / "mine.yaml"
        file.write_text(BASE + rest)
        own = own_file.read(file)
        return own.health, own.gate

    http = "{httpGet: {port: web, path: /ok}}"
    ports = "  ports: [{name: web, containerPort: 80}]\n"
    assert told("") == (None, "")
    assert told(f"{ports}  startupProbe: {http}\n") == ((80, "/ok"), "http")
    assert told(f"{ports}  readinessProbe: {http}\n") == ((80, "/ok"), "")
    assert told("  startupProbe: {exec: {command: [x]}}\n") == (None, "exec")
    assert told("  startupProbe: {tcpSocket: {port: 80}}\n") == (None, "")
    assert told("health: {port: 9, path: /h}\n") == ((9, "/h"), "")
    hook = "  lifecycle: {postStart: {exec: {command: [y]}}}\n"
    assert told(f"  startupProbe: {{exec: {{command: [x]}}}}\n{hook}") == (None, "")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    from conformance.plan import own

    with pytest.raises(UsageProblem, match="there is no such file"):
        own.sidecars(f"{tmp_path}/nothing.yaml", None)
    with pytest.raises(UsageProblem, match="SIDECAR_FILE is empty"):
        own.sidecars(None, " ")


def test_an_image_that_cannot_be_had_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from conformance.engine import client
    from conformance.errors import Unobtainable
    from conformance.images import official
    from conformance.sidecars.own.images import obtain

    monkeypatch.setattr(client, "inspect", lambda *_: None)
    monkeypatch.setattr(official, "obtain", lambda *_: "no such host")
    with pytest.raises(Unobtainable) as problem:
        obtain(None, "registry.internal/x:1", "mine")  # type: ignore[arg-type]
    assert str(problem.value) == (
        "registry.internal/x:1, which mine needs, is not in the engine and could not be pulled: no "
        "such host; pull it by hand, or load it into the engine."
    )


def test_what_is_no_image_is_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    setup = "  - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {image: none}}\n"
    spec = "{containers: [{name: a, image: y}]}"
    pod = f"  - {{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {spec}}}\n"
    file.write_text(f"{BASE}setup:\n{setup}{pod}")
    assert own_file.read(file).images == ("x", "y")
