"""Cilium's images: pulled by their official names, or built under the same names.

What is built: agent, operator and CNI plugin from the module that fixtures/cilium/module pins, with
the BPF sources of the same module, and the compiler, iptables and the rest from Debian's packages.
There is no Envoy in it, no Hubble, and no cilium-health: the chart's values switch them off.

The chart is the module's own, whichever way the images came. Helm itself is a module, too.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from conformance.engine.client import Engine
from conformance.images import cache as image_cache
from conformance.images import ensure as images
from conformance.images import go_build as image_go
from conformance.images import official as image_official
from conformance.images.ensure import FixtureImage, Image
from conformance.images.go_build import Change, GoBuild
from conformance.images.tools import released_on_path
from conformance.machine.paths import FIXTURES
from conformance.sidecars.cilium.release import FORMER, PRESENT, Release

RECIPE = FIXTURES / "cilium"
MODULE = "github.com/cilium/cilium"
HUB = "quay.io/cilium"
RELEASES = (PRESENT, FORMER)
HELM = "helm.sh/helm/v3"
CHART = Path("install", "kubernetes", "cilium")

NOTE = (
    "{name} built from {module}@{version} and Debian's packages in its place ({why}), with one "
    "change of its source: a kernel without loadable modules, which has no /proc/modules, counts "
    "as one with none; its bpftool asks without privileges where it may not ask with them"
)
# The agent ends at once where /proc/modules is not there, as on a kernel without loadable modules
# (CONFIG_MODULES is not set): what is no list of modules is a list of none.
_NO_MODULES = Change(
    dependency=MODULE,
    file="pkg/datapath/linux/modules/modules_linux.go",
    before="""	fModules, err := os.Open(loadedModulesFilepath)
	if err != nil {""",
    after="""	fModules, err := os.Open(loadedModulesFilepath)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {""",
)


def agent(release: Release) -> str:
    """The official name of what runs on every node."""
    return f"{HUB}/cilium:{release.tag}"


def operator(release: Release) -> str:
    """The official name of the operator."""
    return f"{HUB}/operator-generic:{release.tag}"


def official() -> list[str]:
    """The official names of all that is used."""
    return [name(release) for release in RELEASES for name in (agent, operator)]


def ensure(engine: Engine, policy: str) -> Mapping[str, FixtureImage]:
    """The images of agent and operator of each release, ready to be loaded, and helm.

    policy: auto, pull or build. Raises Unobtainable when they can be neither pulled nor built.
    """
    found = {}
    for release in RELEASES:
        for reference in (agent(release), operator(release)):
            image = image_official.obtain(engine, reference, policy)
            if not isinstance(image, Image):
                image = _built(engine, policy, release, reference, image)
            found[reference] = image_official.archived(engine, image, "cilium")
    helm()
    return found


def uncompiled(engine: Engine, policy: str) -> list[GoBuild]:
    """What ``ensure`` would compile first, as far as that is known without asking a registry."""
    builds = [] if released_on_path("helm", helm_version(), _HELM_VERSION) else [helm_build()]
    for release in RELEASES:
        if images.will_build(engine, agent(release), policy):
            builds += [agent_build(release), operator_build(release)]
    return [build for build in builds if not image_go.is_built(build)]


def chart(release: Release) -> Path:
    """The chart of a release: a folder of its module. Raises EnvironmentProblem."""
    image_go.require_go()
    return image_go.sources_of(RECIPE / release.module, MODULE) / CHART


def helm() -> Path:
    """helm of the pinned release: the user's own, or compiled."""
    on_path = released_on_path("helm", helm_version(), _HELM_VERSION)
    return on_path or image_go.build(helm_build()) / "helm"


_NO_DATE = "1970-01-01T00:00:00+00:00"
_HELM_VERSION = ["version", "--template={{.Version}}"]


def helm_version() -> str:
    """The release of helm that is pinned."""
    return image_go.required_version(RECIPE / "helm", HELM)


def helm_build() -> GoBuild:
    """How to compile helm."""
    return GoBuild(
        name="helm",
        module=RECIPE / "helm",
        targets={f"{HELM}/cmd/helm": "helm"},
        stamps={f"{HELM}/internal/version.version": helm_version()},
        packages=900,
        cpu_minutes=4,
    )


def agent_build(release: Release) -> GoBuild:
    """How to compile what runs on every node."""
    programs = {
        "daemon": "cilium-agent",
        "cilium-dbg": "cilium-dbg",
        "plugins/cilium-cni": "cilium-cni",
        "tools/mount": "cilium-mount",
        "tools/sysctlfix": "cilium-sysctlfix",
    }
    return _go_build(release, "cilium-agent", programs, cpu_minutes=16)


def operator_build(release: Release) -> GoBuild:
    """How to compile the operator, with the tag of the generic one."""
    programs = {"operator": "cilium-operator-generic"}
    return _go_build(release, "cilium-operator", programs, cpu_minutes=2)


def _go_build(
    release: Release, name: str, programs: Mapping[str, str], *, cpu_minutes: float
) -> GoBuild:
    return GoBuild(
        name=name,
        module=RECIPE / release.module,
        targets={f"{MODULE}/{folder}": program for folder, program in programs.items()},
        # Version, commit and its date: pkg/version/version.go takes it apart at the blanks.
        stamps={f"{MODULE}/pkg/version.ciliumVersion": f"{release.version} module {_NO_DATE}"},
        packages=2200,
        cpu_minutes=cpu_minutes,
        tags="osusergo,ipam_provider_operator",
        change=_NO_MODULES,
    )


# -- built ------------------------------------------------------------------------------------


def _built(engine: Engine, policy: str, release: Release, reference: str, why: str) -> Image:
    """Build one image unless the engine has it from this very recipe."""
    base = images.ensure_base(engine, policy)
    is_agent = reference == agent(release)
    name = "agent" if is_agent else "operator-generic"
    programs = agent_build(release) if is_agent else operator_build(release)
    recipe = image_cache.digest_of(
        image_cache.digest_of_files(RECIPE / name), programs.digest, base.digest
    )

    def fill(context: Path) -> None:
        shutil.copytree(RECIPE / name, context)
        dockerfile = context / "Dockerfile"
        named = images.with_parents(dockerfile.read_text(), {images.BASE_IMAGE: base.name})
        dockerfile.write_text(named)
        binaries = image_go.build(programs)
        for binary in programs.targets.values():
            image_cache.link_or_copy(binaries / binary, context / binary)
        if is_agent:
            _add_sources(context, release)

    digest = image_official.build(engine, reference, recipe, fill)
    note = NOTE.format(
        name=reference,
        module=MODULE,
        version=release.tag,
        why=why,
    )
    return Image(reference, digest, "built", "; ".join(x for x in (note, base.note) if x))


def _add_sources(context: Path, release: Release) -> None:
    """The BPF programs, which the agent compiles on each node, and the module's own scripts."""
    source = image_go.sources_of(RECIPE / release.module, MODULE)
    image_go.copy_sources(source / "bpf", context / "bpf")
    for script in (
        "images/cilium/init-container.sh",
        "plugins/cilium-cni/install-plugin.sh",
        "plugins/cilium-cni/cni-uninstall.sh",
    ):
        shutil.copy(source / script, context)
