"""The node image for machines that can pull none: built from packages by kind-configs/node-image.

Components are kept apart, each under the hash of its own recipe: a change to a unit file or to a
script assembles the image anew (some 20 s) and compiles nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from conformance.engine import client
from conformance.engine.client import Engine, docker
from conformance.errors import EnvironmentProblem
from conformance.images import cache, debian, go_build, oci_layout, prune
from conformance.images.go_build import GoBuild
from conformance.images.node_recipe import (
    CNI_CONFIG,
    RECIPE,
    Parts,
    etcd_build,
    parts,
    pick_etcd,
)
from conformance.machine import process
from conformance.machine.progress import board

VERSION_LABEL = "io.sidecar-conformance.kubernetes"

CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap", "ptp")
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")

SANDBOX_MARK = "@SANDBOX_IMAGE@"
"""Stands in containerd's configuration for the pause image that this kubeadm names."""


@dataclass(frozen=True)
class Programs:
    """What was compiled. names: short name → reference of each control plane image."""

    kube: Path
    containerd: Path  # a folder: containerd, its shim, ctr, the CNI plugins
    coredns: Path
    pause: Path
    etcd: Path
    names: Mapping[str, str]


def present(engine: Engine, minor: str) -> str | None:
    """The tag of the built image of a minor, when the engine has it and the recipe is the same."""
    tag = parts(minor).tag
    return tag if client.inspect(engine, tag) is not None else None


def uncompiled(minor: str) -> list[GoBuild]:
    """What building a minor's image would have to compile first.

    Without etcd: which one it is, kubeadm says when it is compiled.
    """
    found = parts(minor)
    builds = (found.kubernetes, found.containerd, found.coredns, found.pause)
    return [build for build in builds if not go_build.is_built(build)]


def build(engine: Engine, minor: str) -> str:
    """The tag of the minor's node image, built now when the engine does not have it.

    Cold, this compiles Kubernetes: some 7 min on 2 cores. Raises EnvironmentProblem.
    """
    found = parts(minor)
    prune.mark_used(found.tag)
    cache.image_once(
        engine,
        f"node-{found.version}-{found.digest}",
        lambda: present(engine, minor),
        lambda folder: _assemble(engine, found, folder),
    )
    return found.tag


def _assemble(engine: Engine, found: Parts, folder: Path) -> None:
    go_build.require_go()
    debian.require_debootstrap()
    # Debian's packages come over the network while the processors compile.
    with ThreadPoolExecutor(1, thread_name_prefix="rootfs") as beside:
        rootfs = beside.submit(debian.build, engine, found.rootfs)
        programs = _compile(found)
    _put_together(engine, found, rootfs.result(), programs, folder)


def _compile(found: Parts) -> Programs:
    # Kubernetes first: it takes longest, and everything else is of no use without it.
    kube = go_build.build(found.kubernetes) / "kube"
    containerd = go_build.build(found.containerd)
    coredns = go_build.build(found.coredns) / "coredns"
    pause = go_build.build(found.pause) / "pause"
    names = control_plane_images(kube, found.version)
    wanted = names["etcd"].rpartition(":")[2].split("-")[0]
    pinned = [folder.name for folder in (RECIPE / "etcd").iterdir()]
    etcd = go_build.build(etcd_build(RECIPE / "etcd" / pick_etcd(wanted, pinned))) / "etcd"
    go_build.drop_build_cache()
    return Programs(kube, containerd, coredns, pause, etcd, names)


def _put_together(
    engine: Engine, found: Parts, rootfs: str, programs: Programs, folder: Path
) -> None:
    with board.phase(f"Assembling the node image for Kubernetes {found.version}") as phase:
        log = cache.fresh_log(f"node-{found.version}")
        phase.note("control plane images")
        _write_control_plane(engine, rootfs, programs, folder / "archives", log)
        phase.note("containerd's store")
        context = folder / "context"
        _fill_context(context, found.version, programs)
        _preload(engine, rootfs, context, folder / "archives", log)
        phase.note("building")
        client.build(
            engine,
            context,
            found.tag,
            "--network=none",
            f"--build-arg=ROOTFS={rootfs}",
            f"--label={client.BUILT_LABEL}={client.BUILT_FROM_PACKAGES}",
            f"--label={VERSION_LABEL}={found.version}",
            what="building the node image",
            log=log,
        )


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
    engine: Engine, rootfs: str, programs: Programs, folder: Path, log: Path
) -> None:
    """Write all control plane images into ``folder``/images.tar; their layers are shared."""
    names = programs.names
    work = folder.parent / "layers"
    work.mkdir()
    folder.mkdir()
    docker(
        engine,
        *("run", "--rm", "--network", "none", "-v", f"{work}:/out"),
        *("-v", f"{RECIPE / 'kube-proxy-layer.sh'}:/collect.sh:ro"),
        *(rootfs, "/bin/sh", "/collect.sh", "/out/kube-proxy.tar"),
        what="collecting kube-proxy's files",
        log=log,
    )
    kubernetes = oci_layout.layer_of_files(
        {"/usr/local/bin/kube": programs.kube},
        {f"/usr/local/bin/{name}": "kube" for name in (*CONTROL_PLANE, "kube-proxy")},
        work / "kubernetes.gz",
    )
    tables = oci_layout.layer_of_tar(work / "kube-proxy.tar", work / "kube-proxy.gz")
    images = [oci_layout.OciImage(names[name], [kubernetes]) for name in CONTROL_PLANE]
    images.append(oci_layout.OciImage(names["kube-proxy"], [kubernetes, tables]))
    for name, inside, program in (
        ("etcd", "/usr/local/bin/etcd", programs.etcd),
        ("coredns", "/coredns", programs.coredns),
        ("pause", "/pause", programs.pause),
    ):
        layer = oci_layout.layer_of_files({inside: program}, {}, work / f"{name}.gz")
        images.append(oci_layout.OciImage(names[name], [layer], entrypoint=[inside]))
    oci_layout.write_layout(images, folder / "images.tar")


def _fill_context(context: Path, version: str, programs: Programs) -> None:
    """The build context that kind-configs/node-image/Dockerfile expects."""
    shutil.copytree(RECIPE / "rootfs", context / "rootfs", symlinks=True)
    shutil.copy(RECIPE / "Dockerfile", context)
    config = context / "rootfs" / "etc" / "containerd" / "config.toml"
    config.write_text(config.read_text().replace(SANDBOX_MARK, programs.names["pause"]))
    (context / "rootfs" / "kind" / "version").write_text(version)
    network = context / "rootfs" / "etc" / "cni" / "net.d" / CNI_CONFIG.name
    network.parent.mkdir(parents=True)
    shutil.copy(CNI_CONFIG, network)
    cache.link_or_copy(programs.kube, context / "kubernetes" / "kube")
    for binary in programs.containerd.iterdir():
        folder = "cni" if binary.name in CNI_PLUGINS else "containerd"
        cache.link_or_copy(binary, context / folder / binary.name)


def _preload(engine: Engine, rootfs: str, context: Path, archives: Path, log: Path) -> None:
    """Import the archives into the containerd store of the build context, by its own containerd.

    The container needs no clean-up of ours: it ends by itself, even when this process is killed.
    """
    store = context / "store"
    store.mkdir()
    docker(
        engine,
        *("run", "--rm", "--network", "none", "--tmpfs", "/run"),
        *("-v", f"{archives}:/archives:ro", "-v", f"{RECIPE / 'preload.sh'}:/preload.sh:ro"),
        *(
            "-v",
            f"{context / 'containerd'}:/usr/local/bin:ro",
            "-v",
            f"{store}:/var/lib/containerd",
        ),
        *(rootfs, "/bin/sh", "/preload.sh", "/archives/images.tar"),
        what="preloading the control plane's images",
        log=log,
        timeout=300,
    )
