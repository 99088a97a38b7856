"""Istio's images and its istioctl: pulled by their official names, or built under the same names.

What is built: pilot-discovery, pilot-agent and istioctl from the module that fixtures/istio/module
pins, around the Envoy of a wheel. Whoever uses the images cannot tell the difference but by the
tag and the label.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from conformance.engine import client as image_docker
from conformance.engine.client import Engine, docker
from conformance.errors import Unobtainable
from conformance.images import cache as image_cache
from conformance.images import ensure as images
from conformance.images import fetch as image_fetch
from conformance.images import go_build as image_go
from conformance.images import official as image_official
from conformance.images.ensure import FixtureImage, Image
from conformance.images.go_build import GoBuild
from conformance.images.pull import pull
from conformance.images.tools import released_on_path
from conformance.machine import process
from conformance.machine.paths import FIXTURES, cache_dir
from conformance.sidecars.istio.release import BUILT, Release

RECIPE = FIXTURES / "istio"
MODULE = "istio.io/istio"
HUB = "docker.io/istio"
IMAGES = ("pilot", "proxyv2")

NOTE = (
    "{name} built from {module} and an Envoy without Istio's extensions, in place of {wanted} "
    "({why}); ALPN filter, metadata exchange and telemetry are switched off for it"
)


def ensure(engine: Engine, release: Release, policy: str) -> Mapping[str, FixtureImage]:
    """The images of the control plane and the sidecar, ready to be loaded, and istioctl.

    policy: auto, pull or build. Raises Unobtainable when they can be neither pulled nor built.
    """
    if release.built or (policy == "build" and not release.asked):
        return _build_all(engine, policy, release.tag, "by choice")
    if policy == "build":
        raise Unobtainable(
            f"Istio {release.tag} cannot be built here, only {BUILT}; leave ISTIO_VERSION out, or "
            "let the engine pull it."
        )
    found = {}
    for name in IMAGES:
        reference = f"{HUB}/{name}:{release.tag}"
        have = image_docker.inspect(engine, reference)
        if have is None:
            failure = pull(engine, reference)
            if failure is not None:
                # A version that was asked for is not replaced by another one.
                images.must_be_buildable(reference, failure, "pull" if release.asked else policy)
                return _build_all(engine, policy, release.tag, failure.said)
        source: images.Source = "pulled" if have is None else "present"
        found[reference] = image_official.archived(
            engine, images.image_of(engine, reference, source), "istio"
        )
    _fetch_istioctl(engine, release.tag)
    return found


def references(release: Release) -> list[str]:
    """The images that Istio publishes of a release and that are used here; [] for what is built."""
    return (
        [] if release.built else [f"{HUB}/{name}:{release.tag}" for name in (*IMAGES, "istioctl")]
    )


def uncompiled(engine: Engine, release: Release, policy: str) -> list[GoBuild]:
    """What ``ensure`` would compile first, as far as that is known without asking a registry."""
    if release.asked and not release.built:
        return []
    if not release.built and not images.will_build(engine, f"{HUB}/pilot:{release.tag}", policy):
        return []
    return [build for build in (agent_build(), server_build()) if not image_go.is_built(build)]


def istioctl(tag: str) -> Path:
    """istioctl of this very version, after ``ensure``."""
    if tag == BUILT:
        return image_go.build(server_build()) / "istioctl"
    return _istioctl_on_path(tag) or _kept_istioctl(tag)


def tools(release: Release) -> list[Path]:
    """Every istioctl that is there: which one is used shows when images are looked for."""
    there = [_istioctl_on_path(release.tag), _kept_istioctl(release.tag)]
    if image_go.is_built(server_build()):
        there.append(image_go.build(server_build()) / "istioctl")
    return [path for path in there if path is not None and path.is_file()]


def envoy_wheel() -> str:
    """The Envoy that is built in, as fetch.toml pins it."""
    wheels = image_fetch.read_fetch_file(RECIPE / "proxyv2" / image_fetch.FETCH_FILE)
    return wheels[0].requirement


def module_version() -> str:
    """The pinned version of Istio's module."""
    return image_go.required_version(RECIPE / "module", MODULE)


def server_build() -> GoBuild:
    """How to compile istiod and istioctl, with the tags of Istio's own builds."""
    programs = {"pilot-discovery": "pilot", "istioctl": "istioctl"}
    return _go_build("istio-server", programs, "vtprotobuf,disable_pgv", cpu_minutes=8.5)


def agent_build() -> GoBuild:
    """How to compile the agent that runs beside Envoy."""
    tags = "agent,disable_pgv,grpcnotrace,retrynotrace"
    return _go_build("istio-agent", {"pilot-agent": "pilot"}, tags, cpu_minutes=1.5)


def _go_build(name: str, programs: Mapping[str, str], tags: str, *, cpu_minutes: float) -> GoBuild:
    stamped = f"{MODULE}/pkg/version"
    return GoBuild(
        name=name,
        module=RECIPE / "module",
        targets={
            f"{MODULE}/{folder}/cmd/{program}": program for program, folder in programs.items()
        },
        stamps={
            f"{stamped}.buildVersion": BUILT,
            f"{stamped}.buildTag": BUILT,
            f"{stamped}.buildHub": HUB,
            f"{stamped}.buildGitRevision": module_version().rpartition("-")[2],
            f"{stamped}.buildStatus": "Clean",
        },
        packages=1500,
        cpu_minutes=cpu_minutes,
        tags=tags,
    )


# -- built ------------------------------------------------------------------------------------


def _build_all(
    engine: Engine, policy: str, instead_of: str, why: str
) -> Mapping[str, FixtureImage]:
    base = images.ensure_base(engine, policy)
    found = {}
    for name in IMAGES:
        reference = f"{HUB}/{name}:{BUILT}"
        digest = _build(engine, name, reference, base)
        note = NOTE.format(
            name=reference,
            module=f"{MODULE}@{module_version()}",
            wanted=f"{HUB}/{name}:{instead_of}",
            why=why,
        )
        built = Image(reference, digest, "built", "; ".join(x for x in (note, base.note) if x))
        found[reference] = image_official.archived(engine, built, "istio")
    return found


def _build(engine: Engine, name: str, reference: str, base: Image) -> str:
    """Build one image unless the engine has it from this very recipe; returns its id."""
    programs = {"pilot": server_build(), "proxyv2": agent_build()}[name]
    recipe = image_cache.digest_of(
        image_cache.digest_of_files(RECIPE / name), programs.digest, base.digest
    )

    def fill(context: Path) -> None:
        _context(context, name, base, image_go.build(programs))

    return image_official.build(engine, reference, recipe, fill)


def _context(context: Path, name: str, base: Image, binaries: Path) -> Path:
    shutil.copytree(RECIPE / name, context, ignore=shutil.ignore_patterns(image_fetch.FETCH_FILE))
    dockerfile = context / "Dockerfile"
    named = images.with_parents(dockerfile.read_text(), {images.BASE_IMAGE: base.name})
    dockerfile.write_text(named)
    image_fetch.fetch_into(context, image_fetch.read_fetch_file(RECIPE / name / "fetch.toml"))
    if name == "pilot":
        image_cache.link_or_copy(binaries / "pilot-discovery", context / "pilot-discovery")
    else:
        image_cache.link_or_copy(binaries / "pilot-agent", context / "pilot-agent")
        template = _module_folder() / "tools" / "packaging" / "common" / "envoy_bootstrap.json"
        shutil.copyfile(template, context / "envoy_bootstrap.json")
    return context


def _module_folder() -> Path:
    """Where Go keeps the pinned module's files, downloaded now if need be."""
    said = process.run(
        ["go", "mod", "download", "-json", f"{MODULE}@{module_version()}"],
        what=f"downloading {MODULE}",
        env={"GOFLAGS": "-mod=mod", "GOWORK": "off"},
        cwd=RECIPE / "module",
        timeout=1800,
    )
    return Path(json.loads(said)["Dir"])


# -- istioctl ---------------------------------------------------------------------------------


def _fetch_istioctl(engine: Engine, tag: str) -> None:
    """Have istioctl of a pulled release: the user's own, or the one of its official image."""
    if _istioctl_on_path(tag) is not None or _kept_istioctl(tag).is_file():
        return
    if sys.platform != "linux":
        raise Unobtainable(
            f"There is no istioctl {tag} on PATH, and the one of Istio's image runs on Linux only; "
            f"put istioctl {tag} on PATH."
        )
    reference = f"{HUB}/istioctl:{tag}"
    failure = pull(engine, reference)
    if failure is not None and failure.kind not in images.BUILT_AFTER:
        raise images.refusal(reference, failure, f"put istioctl {tag} on PATH")
    if failure is not None:
        raise Unobtainable(
            f"There is no istioctl {tag} on PATH, and {reference} could not be pulled: "
            f"{failure.said}; put istioctl {tag} on PATH."
        )
    with image_cache.locked(f"istioctl-{tag}"), image_cache.scratch(f"istioctl-{tag}") as work:
        what = f"taking istioctl out of {reference}"
        container = docker(engine, "create", reference, what=what).strip()
        try:
            docker(engine, "cp", f"{container}:/usr/local/bin/istioctl", work, what=what)
        finally:
            docker(engine, "rm", "-f", container, what=what)
        place = _kept_istioctl(tag)
        place.parent.mkdir(parents=True, exist_ok=True)
        (work / "istioctl").replace(place)


def _kept_istioctl(tag: str) -> Path:
    return cache_dir() / "tools" / f"istioctl-{tag}" / "istioctl"


def _istioctl_on_path(tag: str) -> Path | None:
    return released_on_path("istioctl", tag, ["version", "--remote=false", "--short"])
