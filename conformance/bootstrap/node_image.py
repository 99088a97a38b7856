"""The node image for machines that can pull none: built from packages by kind-configs/node-image.

Components are kept apart, each under the hash of its own recipe: a change to a unit file or to a
script assembles the image anew (some 20 s) and compiles nothing.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from conformance import paths, process
from conformance.bootstrap import (
    image_cache,
    image_debian,
    image_docker,
    image_go,
    image_oci,
    image_prune,
)
from conformance.bootstrap.image_docker import Engine, docker
from conformance.bootstrap.image_go import GoBuild
from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.progress import board

RECIPE = paths.KIND_CONFIGS / "node-image"
CNI_CONFIG = paths.KIND_CONFIGS / "cni" / "10-sidecar-conformance.conflist"

VERSION_LABEL = "io.sidecar-conformance.kubernetes"

REVISION = "2"
"""Counts changes of the assembly below that no recipe file shows."""

CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap", "ptp")
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SANDBOX_MARK = "@SANDBOX_IMAGE@"

# Where Kubernetes reads its own version (hack/lib/version.sh of every minor here).
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True)
class Parts:
    """Everything that one minor's node image is made of."""

    version: str  # "v1.33.13"
    kubernetes: GoBuild
    containerd: GoBuild
    coredns: GoBuild
    pause: GoBuild
    rootfs: image_debian.DebianBase

    @property
    def digest(self) -> str:
        """The hash of the whole image's recipe. Which etcd follows from the Kubernetes version."""
        go = (self.kubernetes, self.containerd, self.coredns, self.pause)
        return image_cache.digest_of(
            REVISION,
            self.rootfs.digest,
            *(build.digest for build in go),
            *(etcd_build(folder).digest for folder in sorted((RECIPE / "etcd").iterdir())),
            image_cache.digest_of_files(RECIPE / "rootfs"),
            CNI_CONFIG.read_bytes(),
            *((RECIPE / name).read_bytes() for name in ("Dockerfile", *SCRIPTS)),
        )

    @property
    def tag(self) -> str:
        """The name of the finished image."""
        return f"sidecar-conformance/node:{self.version}-{self.digest}"


SCRIPTS = ("preload.sh", "kube-proxy-layer.sh")


def minors() -> list[str]:
    """The Kubernetes minors that can be built here, oldest first."""
    folders = (path for path in (RECIPE / "kubernetes").iterdir() if (path / "go.mod").is_file())
    return sorted((path.name for path in folders), key=_numbers)


def parts(minor: str) -> Parts:
    """What the node image of a minor ("1.33") is made of; Unobtainable when it is not pinned."""
    module = RECIPE / "kubernetes" / minor
    if not (module / "go.mod").is_file():
        raise Unobtainable(
            f"A node image for Kubernetes {minor} cannot be built here: kind-configs/node-image/"
            f"kubernetes has go.mod files for {', '.join(minors())} only; let the engine pull it."
        )
    version = image_go.required_version(module, "k8s.io/kubernetes")
    containerd = RECIPE / "containerd"
    containerd_package = "github.com/containerd/containerd/v2"
    plugins = "github.com/containernetworking/plugins/plugins"
    return Parts(
        version=version,
        kubernetes=GoBuild(
            name=f"kubernetes-{version}",
            module=module,
            main=RECIPE / "kubernetes" / "main.go",
            targets={".": "kube"},
            stamps=version_stamps(version),
            packages=2000,
        ),
        containerd=GoBuild(
            name="containerd",
            module=containerd,
            targets={
                f"{containerd_package}/cmd/containerd": "containerd",
                f"{containerd_package}/cmd/containerd-shim-runc-v2": "containerd-shim-runc-v2",
                f"{containerd_package}/cmd/ctr": "ctr",
                f"{plugins}/ipam/host-local": "host-local",
                f"{plugins}/main/bridge": "bridge",
                f"{plugins}/main/loopback": "loopback",
                f"{plugins}/main/ptp": "ptp",
                f"{plugins}/meta/portmap": "portmap",
            },
            stamps={
                f"{containerd_package}/version.Version": image_go.required_version(
                    containerd, containerd_package
                )
            },
            packages=900,
        ),
        coredns=GoBuild(
            name="coredns", module=RECIPE / "coredns", targets={".": "coredns"}, packages=900
        ),
        pause=GoBuild(name="pause", module=RECIPE / "pause", targets={".": "pause"}),
        rootfs=image_debian.DebianBase(
            name="node-rootfs",
            suite="bookworm",
            packages=image_debian.read_packages(RECIPE / "packages.txt"),
        ),
    )


def etcd_build(module: Path) -> GoBuild:
    """How to compile the etcd that is pinned in a folder of kind-configs/node-image/etcd."""
    return GoBuild(
        name=f"etcd-{module.name}",
        module=module,
        targets={"go.etcd.io/etcd/server/v3": "etcd"},
        packages=500,
    )


def version_stamps(version: str) -> dict[str, str]:
    """Linker variables that make the binaries say which Kubernetes they are."""
    major, minor = version.removeprefix("v").split(".")[:2]
    said = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return {
        f"{package}.{name}": value for package in VERSION_PACKAGES for name, value in said.items()
    }


def pick_etcd(wanted: str, available: list[str]) -> str:
    """The pinned etcd for the one that kubeadm names: same minor, newest patch.

    Minors of etcd drop flags that an older kubeadm passes, patches do not.
    """
    series = _numbers(wanted)[:2]
    fitting = [version for version in available if _numbers(version)[:2] == series]
    if not fitting:
        raise EnvironmentProblem(
            f"kubeadm wants etcd {wanted}, and kind-configs/node-image/etcd has {available} only; "
            f"add a go.mod for a {series[0]}.{series[1]} there."
        )
    return max(fitting, key=_numbers)


def present(engine: Engine, minor: str) -> str | None:
    """The tag of the built image of a minor, when the engine has it and the recipe is the same."""
    tag = parts(minor).tag
    return tag if image_docker.inspect(engine, tag) is not None else None


def uncompiled(minor: str) -> list[str]:
    """Names of the components that building a minor's image would have to compile first."""
    found = parts(minor)
    builds = (found.kubernetes, found.containerd, found.coredns, found.pause)
    return [build.name for build in builds if not image_go.is_built(build)]


def build(engine: Engine, minor: str) -> str:
    """The tag of the minor's node image, built now when the engine does not have it.

    Cold, this compiles Kubernetes: some 7 min on 2 cores. Raises EnvironmentProblem.
    """
    found = parts(minor)
    image_prune.mark_used(found.tag)
    with image_cache.locked(f"node-{found.version}-{found.digest}"):
        if image_docker.inspect(engine, found.tag) is None:
            _assemble(engine, found)
            image_prune.prune(engine)
    return found.tag


def _assemble(engine: Engine, found: Parts) -> None:
    image_go.require_go()
    # Kubernetes first: it takes longest, and everything else is of no use without it.
    kube = image_go.build(found.kubernetes) / "kube"
    binaries = {
        build.name: image_go.build(build)
        for build in (found.containerd, found.coredns, found.pause)
    }
    names = control_plane_images(kube, found.version)
    etcd_version = names["etcd"].rpartition(":")[2].split("-")[0]
    pinned = [folder.name for folder in (RECIPE / "etcd").iterdir()]
    etcd = image_go.build(etcd_build(RECIPE / "etcd" / pick_etcd(etcd_version, pinned)))
    image_go.drop_build_cache()
    rootfs = image_debian.build(engine, found.rootfs)

    with (
        image_cache.scratch(f"node-{found.version}-{found.digest}") as folder,
        board.phase(f"Assembling the node image for Kubernetes {found.version}") as phase,
    ):
        log = image_cache.fresh_log(f"node-{found.version}")
        phase.note("control plane images")
        archives = folder / "archives"
        archives.mkdir()
        _write_control_plane(
            engine,
            rootfs,
            names,
            {
                "kube": kube,
                "etcd": etcd / "etcd",
                "coredns": binaries["coredns"] / "coredns",
                "pause": binaries["pause"] / "pause",
            },
            archives,
            log,
        )
        phase.note("files")
        context = folder / "context"
        _fill_context(context, found, kube, binaries["containerd"], names["pause"])
        bare = f"sidecar-conformance/node-bare:{found.version}-{found.digest}"
        image_docker.build(
            engine,
            context,
            bare,
            "--network=none",
            f"--build-arg=ROOTFS={rootfs}",
            what="building the node image",
            log=log,
        )
        phase.note("preloading")
        _preload(engine, bare, found, archives, log)


def control_plane_images(kube: Path, version: str) -> dict[str, str]:
    """Short name ("etcd", "pause", …) → full reference, as this version's kubeadm names them."""
    said = process.run(
        [kube, "kubeadm", "config", "images", "list", "--kubernetes-version", version],
        what="asking kubeadm for its image names",
        env={"KUBECONFIG": "/nonexistent"},
    )
    names = {}
    for line in said.split():
        short = line.rpartition(":")[0].rpartition("/")[2]
        names[short] = line
    missing = {*CONTROL_PLANE, "kube-proxy", "coredns", "etcd", "pause"} - set(names)
    if missing:
        raise EnvironmentProblem(
            f"kubeadm {version} names no image for {', '.join(sorted(missing))}: it said {said!r}."
        )
    return names


def _write_control_plane(
    engine: Engine,
    rootfs: str,
    names: dict[str, str],
    programs: dict[str, Path],
    folder: Path,
    log: Path,
) -> None:
    """Write all control plane images into ``folder``/images.tar; their layers are shared."""
    work = folder.parent / "layers"
    work.mkdir()
    docker(
        engine,
        *("run", "--rm", "--network", "none", "-v", f"{work}:/out"),
        *("-v", f"{RECIPE / 'kube-proxy-layer.sh'}:/collect.sh:ro"),
        *(rootfs, "/bin/sh", "/collect.sh", "/out/kube-proxy.tar"),
        what="collecting kube-proxy's files",
        log=log,
    )
    kubernetes = image_oci.layer_of_files(
        {"/usr/local/bin/kube": programs["kube"]},
        {f"/usr/local/bin/{name}": "kube" for name in (*CONTROL_PLANE, "kube-proxy")},
        work / "kubernetes.gz",
    )
    tables = image_oci.layer_of_tar(work / "kube-proxy.tar", work / "kube-proxy.gz")
    images = [image_oci.OciImage(names[name], [kubernetes]) for name in CONTROL_PLANE]
    images.append(image_oci.OciImage(names["kube-proxy"], [kubernetes, tables]))
    for name, inside in (
        ("etcd", "/usr/local/bin/etcd"),
        ("coredns", "/coredns"),
        ("pause", "/pause"),
    ):
        layer = image_oci.layer_of_files({inside: programs[name]}, {}, work / f"{name}.gz")
        images.append(image_oci.OciImage(names[name], [layer], entrypoint=[inside]))
    image_oci.write_layout(images, folder / "images.tar")


def _fill_context(context: Path, found: Parts, kube: Path, containerd: Path, sandbox: str) -> None:
    """The build context that kind-configs/node-image/Dockerfile expects."""
    shutil.copytree(RECIPE / "rootfs", context / "rootfs", symlinks=True)
    shutil.copy(RECIPE / "Dockerfile", context)
    config = context / "rootfs" / "etc" / "containerd" / "config.toml"
    config.write_text(config.read_text().replace(SANDBOX_MARK, sandbox))
    (context / "rootfs" / "kind" / "version").write_text(found.version)
    network = context / "rootfs" / "etc" / "cni" / "net.d" / CNI_CONFIG.name
    network.parent.mkdir(parents=True)
    shutil.copy(CNI_CONFIG, network)
    image_cache.link_or_copy(kube, context / "kubernetes" / "kube")
    for binary in containerd.iterdir():
        folder = "cni" if binary.name in CNI_PLUGINS else "containerd"
        image_cache.link_or_copy(binary, context / folder / binary.name)


def _preload(engine: Engine, bare: str, found: Parts, archives: Path, log: Path) -> None:
    """Import the archives in a container of the bare image and commit that as the finished one."""
    container = f"sidecar-conformance-preload-{found.version}-{found.digest}"
    remove = ("rm", "--force", "--volumes", container)
    docker(engine, *remove, what="removing an older container", log=log)
    try:
        docker(
            engine,
            *("run", "--name", container, "--network", "none", "--tmpfs", "/run"),
            *("-v", f"{archives}:/archives:ro", "-v", f"{RECIPE / 'preload.sh'}:/preload.sh:ro"),
            *("--entrypoint", "/bin/sh", bare, "/preload.sh", "/archives/images.tar"),
            what="preloading the control plane's images",
            log=log,
            timeout=300,
        )
        labels = {
            image_docker.BUILT_LABEL: image_docker.BUILT_FROM_PACKAGES,
            VERSION_LABEL: found.version,
        }
        changes = [f"LABEL {name}={value}" for name, value in labels.items()]
        changes += ['ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "CMD []"]
        docker(
            engine,
            "commit",
            *(word for change in changes for word in ("--change", change)),
            *(container, found.tag),
            what="committing the node image",
            log=log,
        )
    finally:
        docker(engine, *remove, what="removing the preloading container", log=log)
    docker(engine, "rmi", bare, what="removing the name of the bare image", log=log)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
