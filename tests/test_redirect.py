"""The mesh's CNI plugin and the validating init container, for real, in a network namespace of this
machine; and the chains that name the plugin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import conflists
from conformance.paths import FIXTURES

ENVOY = FIXTURES / "envoy"
RESULT = {"cniVersion": "1.0.0", "ips": [{"address": "10.99.99.2/24"}]}
NETNS, LINK = f"scr{os.getpid()}", f"scr{os.getpid() % 100000}"
NODE, POD = "10.99.99.1", "10.99.99.2"
NEEDED = ["ip", "nsenter", "iptables"]
LOADERS = [*Path("/usr/lib").glob("*-linux-gnu/ld-linux-*.so.*")]

real = pytest.mark.skipif(
    os.geteuid() != 0 or not LOADERS or any(shutil.which(one) is None for one in NEEDED),
    reason=f"needs root, {', '.join(NEEDED)}, and a Debian's python3",
)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def netns() -> Iterator[None]:
    """A pod's network namespace: a link to the node, and a default route to its other end."""
    made = subprocess.run(["ip", "netns", "add", NETNS], capture_output=True)
    if made.returncode:
        pytest.skip("cannot make a network namespace")
    try:
        ip("link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", NETNS)
        ip("addr", "add", f"{NODE}/24", "dev", LINK)
        ip("link", "set", LINK, "up")
        for command in (
            f"addr add {POD}/24 dev eth0", "link set lo up", "link set eth0 up",
            f"route add default via {NODE}",
        ):  # fmt: skip
            ip("-n", NETNS, *command.split())
        yield
    finally:
        # The link by itself: with its namespace it goes only some time later.
        for command in (["link", "del", LINK], ["netns", "del", NETNS]):
            subprocess.run(["ip", *command], capture_output=True)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """Evidence with one namespace, in which one pod asks for its redirection."""
    (tmp_path / "cell" / "stamps").mkdir(parents=True)
    (tmp_path / "cell" / "redirect.on").write_text("subject\nlate\n")
    return tmp_path


def call(
    command: str, evidence: Path, pod: str = "subject", path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    """Call the plugin as the runtime does."""
    return subprocess.run(
        [conflists.REDIRECT],
        input=json.dumps({"cniVersion": "1.0.0", "name": "t", "prevResult": RESULT}),
        capture_output=True,
        text=True,
        env={
            "PATH": path,
            "SIDECAR_CAPTURE_ROOT": "/",
            "SIDECAR_REDIRECT_PROGRAMS": str(ENVOY),
            "SIDECAR_REDIRECT_EVIDENCE": str(evidence),
            "CNI_COMMAND": command,
            "CNI_NETNS": f"/run/netns/{NETNS}",
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=cell;K8S_POD_NAME={pod}",
        },
    )


def rules() -> str:
    listed = [
        subprocess.run(
            ["ip", "netns", "exec", NETNS, f"iptables-{backend}", "-t", "nat", "-S"],
            capture_output=True,
            text=True,
        ).stdout
        for backend in ("nft", "legacy")
    ]
    return "".join(listed)


def validate(stamps: Path) -> tuple[int, str]:
    """Run the validation in the pod; its exit code and its last stamp."""
    done = subprocess.run(
        ["ip", "netns", "exec", NETNS, sys.executable, "-I", "-S", str(ENVOY / "validate.py")],
        capture_output=True,
        env={"PATH": os.environ["PATH"], "SC_STAMPS": str(stamps)},
    )
    return done.returncode, json.loads(stamps.read_text().splitlines()[-1])["event"]


@real
@pytest.mark.usefixtures("netns")
def test_a_pod_that_asks_is_redirected_and_its_guard_lets_it_through(evidence: Path) -> None:
    stamps = evidence / "guard.jsonl"
    assert validate(stamps) == (126, "validation.failed")
    done = call("ADD", evidence)
    assert (done.returncode, json.loads(done.stdout)) == (0, RESULT), done.stdout + done.stderr
    assert "-A SC_OUTBOUND -p tcp -j REDIRECT --to-ports 15001" in rules()
    said = json.loads((evidence / "cell" / "stamps" / "subject.rules.jsonl").read_text())
    assert (said["event"], said["action"], said["by"]) == ("sidecar.rules", "set", "cni")
    assert validate(stamps) == (0, "validation.passed")


@real
@pytest.mark.usefixtures("netns")
@pytest.mark.parametrize(("command", "pod"), [("ADD", "sub"), ("DEL", "subject")])
def test_all_else_passes_through(evidence: Path, command: str, pod: str) -> None:
    done = call(command, evidence, pod)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == (json.dumps(RESULT) if command == "ADD" else "")
    assert "SC_" not in rules()
    assert list((evidence / "cell" / "stamps").iterdir()) == []


@real
@pytest.mark.usefixtures("netns")
def test_a_pod_whose_rules_cannot_be_set_is_refused(evidence: Path, tmp_path: Path) -> None:
    """The node has no iptables."""
    for tool in ("nsenter", "sh"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = call("ADD", evidence, path=str(tmp_path))
    assert done.returncode == 1
    assert "RulesFailed" in json.loads(done.stdout)["msg"]


@real
def test_the_versions_are_told() -> None:
    done = call("VERSION", Path("/nowhere"))
    assert "1.0.0" in json.loads(done.stdout)["supportedVersions"]


def test_the_plugin_comes_before_the_capture_and_goes_again(tmp_path: Path) -> None:
    def chain() -> list[str]:
        (made,) = tmp_path.glob("*.conflist")
        return [one["type"] for one in json.loads(made.read_text())["plugins"]]

    conflists.write(tmp_path)
    before = chain()
    assert before[-1] == "sidecar-capture" and "sidecar-redirect" not in before
    conflists.write(tmp_path, conflists.REDIRECT.name)
    assert chain() == [*before[:-1], "sidecar-redirect", "sidecar-capture"]
    conflists.write(tmp_path)
    assert chain() == before
    # What containerd reads again must never be half of a file, nor a second one.
    assert len(list(tmp_path.iterdir())) == 1
