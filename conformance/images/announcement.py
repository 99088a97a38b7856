"""Says before the first build of a run what will be built from packages, and about how long."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from conformance.engine import client
from conformance.engine.client import Engine
from conformance.images import ensure, node_image, node_recipe, pull
from conformance.images.go_build import GoBuild


@dataclass(frozen=True)
class Part:
    """One thing that will be built: its name, and what has to be compiled for it alone."""

    name: str
    builds: Sequence[GoBuild]

    @property
    def minutes(self) -> float:
        """On this machine, when it has nothing else to do: Go compiles on every processor."""
        return sum(build.cpu_minutes for build in self.builds) / (os.cpu_count() or 1)

    @property
    def duration(self) -> str:
        """The minutes in words."""
        return f"about {math.ceil(self.minutes)} min" if self.minutes >= 1 else "under a minute"


def ready_first(engine: Engine, versions: Sequence[str], policy: str) -> list[str]:
    """The versions in the order in which they can be had: those first whose nodes want nothing
    compiled. The first one's node image is pulled here, where that works: so it becomes known
    whether a registry can be reached."""
    _try_to_pull(engine, versions[0], policy)
    return sorted(
        versions, key=lambda k8s: any(one.builds for one in _nodes(engine, [k8s], policy))
    )


def _try_to_pull(engine: Engine, k8s: str, policy: str) -> None:
    first = ensure.node_image_names(k8s)[0]
    if policy == "auto" and client.inspect(engine, first) is None:
        pull.pull(engine, first)


def sentence(
    engine: Engine,
    versions: Sequence[str],
    policy: str,
    sidecars: Mapping[str, Sequence[GoBuild]],
) -> str:
    """What a run will build, and about how long; "" when nothing.

    versions: in the order in which they are prepared. sidecars: name → what its images have to
    compile. The first version's node image is pulled here where that works: so it becomes known
    whether a registry can be reached, and it is what the run needs first in any case.
    """
    _try_to_pull(engine, versions[0], policy)
    nodes = _nodes(engine, versions, policy)
    parts = nodes + [Part(name, builds) for name, builds in sidecars.items() if builds]
    if not parts:
        return ""
    said = f"Will build from packages: {', '.join(_named(parts))}"
    if len(parts) > 1:
        whole = Part("", [build for part in parts for build in part.builds])
        said += f"; {whole.duration} in all"
    said += f", on {os.cpu_count()} idle processors"
    names = ensure.node_image_names(versions[0])
    needed = {_SHARED, *(ensure.recipe_of(versions[0], name) for name in names)}
    if any(part.name not in needed for part in nodes):
        said += f"; verdicts of {versions[0]} fall meanwhile"
    return f"{said}."


_SHARED = "what all nodes share"


def _nodes(engine: Engine, versions: Sequence[str], policy: str) -> list[Part]:
    """What node images need, the shared programs first; each version by its number, and once."""
    own: dict[str, list[GoBuild]] = {}
    shared: dict[str, GoBuild] = {}
    named = [(k8s, name) for k8s in versions for name in ensure.node_image_names(k8s)]
    for k8s, reference in named:
        recipe = ensure.recipe_of(k8s, reference)
        if (
            ensure.will_build(engine, reference, policy)
            and node_recipe.can_be_built(recipe)
            and node_image.present(engine, recipe) is None
        ):
            kubernetes = node_recipe.parts(recipe).kubernetes
            wanted = node_image.uncompiled(recipe)
            own[recipe] = [build for build in wanted if build == kubernetes]
            shared |= {build.name: build for build in wanted if build != kubernetes}
    common = [Part(_SHARED, list(shared.values()))] if shared else []
    return common + [Part(minor, builds) for minor, builds in own.items()]


def _named(parts: Sequence[Part]) -> list[str]:
    """Parts with their minutes; Kubernetes minors that take equally long stand together."""
    named = []
    for (is_minor, duration), group in groupby(parts, lambda p: (p.name[0].isdigit(), p.duration)):
        names = [part.name for part in group]
        if is_minor:
            each = " each" if len(names) > 1 else ""
            named.append(f"Kubernetes {', '.join(names)} ({duration}{each})")
        else:
            named += [f"{name} ({duration})" for name in names]
    return named
