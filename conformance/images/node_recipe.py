"""What a minor's node image is made of: pinned sources, and the names that follow from them.

Everything is read from kind-configs/node-image. Nothing is built here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import EnvironmentProblem, Unobtainable
from conformance.images import cache, debian, pin
from conformance.images.go_build import GoBuild, required_version
from conformance.machine import paths
from conformance.machine.progress import board

RECIPE = paths.KIND_CONFIGS / "node-image"
CNI_CONFIG = paths.KIND_CONFIGS / "cni" / "10-sidecar-conformance.conflist"


REVISION = "2"
"""Counts changes of the assembly below that no recipe file shows."""


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
    rootfs: debian.DebianBase

    @property
    def digest(self) -> str:
        """The hash of the whole image's recipe. Which etcd follows from the Kubernetes version."""
        go = (self.kubernetes, self.containerd, self.coredns, self.pause)
        return cache.digest_of(
            REVISION,
            self.rootfs.digest,
            *(build.digest for build in go),
            *(etcd_build(folder).digest for folder in sorted((RECIPE / "etcd").iterdir())),
            cache.digest_of_files(RECIPE / "rootfs"),
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
    return sorted((path.name for path in folders), key=numbers)


def can_be_built(recipe: str) -> bool:
    """Whether a minor has a recipe; a patch can have one, and Go's proxy has the last word."""
    return paths.is_patch(recipe) or recipe in minors()


def parts(recipe: str) -> Parts:
    """What the node image of a minor ("1.33") is made of, or of a patch ("1.33.4"), which Go pins
    when it is asked for the first time. Raises Unobtainable when it cannot be."""
    module = _pinned(recipe) if paths.is_patch(recipe) else RECIPE / "kubernetes" / recipe
    if not (module / "go.mod").is_file():
        raise Unobtainable(
            f"A node image for Kubernetes {recipe} cannot be built here: kind-configs/node-image/"
            f"kubernetes has go.mod files for {', '.join(minors())} only; let the engine pull it."
        )
    version = required_version(module, "k8s.io/kubernetes")
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
            tags=pin.TAGS,
            packages=2700,
            cpu_minutes=9.0,  # 1.33.13: 542 s of processor time, 290 s on the clock
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
                f"{containerd_package}/version.Version": required_version(
                    containerd, containerd_package
                )
            },
            packages=900,
            cpu_minutes=2.3,  # 70 s on the clock
        ),
        coredns=GoBuild(
            name="coredns",
            module=RECIPE / "coredns",
            targets={".": "coredns"},
            packages=900,
            cpu_minutes=2.2,  # 66 s on the clock, after containerd
        ),
        pause=GoBuild(name="pause", module=RECIPE / "pause", targets={".": "pause"}),
        rootfs=debian.DebianBase(
            name="node-rootfs",
            suite="bookworm",
            packages=debian.read_packages(RECIPE / "packages.txt"),
        ),
    )


def _pinned(patch: str) -> Path:
    """The folder with the go.mod and go.sum of a patch: the minor's own, or one in the cache."""
    own = RECIPE / "kubernetes" / ".".join(patch.split(".")[:2])
    pinned = (own / "go.mod").is_file() and required_version(own, "k8s.io/kubernetes")
    if pinned == f"v{patch}":
        return own

    def resolve(folder: Path) -> None:
        with board.phase(f"Resolving the modules of Kubernetes {patch}"):
            pin.pin(patch, folder)

    try:
        return cache.component(f"pin-{patch}", resolve)
    except EnvironmentProblem as error:
        raise Unobtainable(f"Kubernetes {patch} cannot be built from packages: {error}") from error


def etcd_build(module: Path) -> GoBuild:
    """How to compile the etcd that is pinned in a folder of kind-configs/node-image/etcd."""
    return GoBuild(
        name=f"etcd-{module.name}",
        module=module,
        targets={"go.etcd.io/etcd/server/v3": "etcd"},
        packages=500,
        cpu_minutes=0.8,  # 25 s on the clock
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
    series = numbers(wanted)[:2]
    fitting = [version for version in available if numbers(version)[:2] == series]
    if not fitting:
        raise EnvironmentProblem(
            f"kubeadm wants etcd {wanted}, and kind-configs/node-image/etcd has {available} only; "
            f"add a go.mod for a {series[0]}.{series[1]} there."
        )
    return max(fitting, key=numbers)


def numbers(version: str) -> tuple[int, ...]:
    """(1, 33, 13) of "v1.33.13": what versions are compared by."""
    return tuple(int(number) for number in re.findall(r"\d+", version))
