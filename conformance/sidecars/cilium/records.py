"""Writes into a bundle what Cilium says of itself: mesh/agents.jsonl and mesh/charts.jsonl."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.errors import EnvironmentProblem
from conformance.images import go_build
from conformance.machine import process
from conformance.sidecars.cilium import images as image_cilium
from conformance.sidecars.cilium.network import AGENTS, kubectl
from conformance.sidecars.cilium.release import FORMER, PRESENT

if TYPE_CHECKING:
    from conformance.cluster.state import ClusterHandle

# The charts that are used, the one that an upgrade begins with too, and a later one.
CHARTS = (PRESENT.tag, FORMER.tag, "v1.20.2")
# Whatever the value could be called: nativeSidecar, native_sidecars, native-sidecar.
CLAIMED = re.compile(rb"native[-_ ]?sidecar", re.IGNORECASE)


def keep(cluster: ClusterHandle, bundle: Path) -> None:
    """Write both. A chart that cannot be had is left out, and its reason told."""
    folder = bundle / "mesh"
    folder.mkdir(exist_ok=True)
    with (folder / "agents.jsonl").open("w") as sink:
        for node in cluster.nodes:
            said = {"ns": time.time_ns(), "node": node, "encryption": _status(cluster, node)}
            sink.write(json.dumps(said) + "\n")
    with (folder / "charts.jsonl").open("w") as sink:
        for chart in charts():
            sink.write(json.dumps({"ns": time.time_ns(), **chart}) + "\n")


def charts() -> Iterator[Mapping[str, Any]]:
    """What is in each version's chart of what the article claims."""
    for version in CHARTS:
        try:
            yield {"version": version, "used": version == PRESENT.tag, **look_into(_chart(version))}
        except EnvironmentProblem as problem:
            yield {"version": version, "used": version == PRESENT.tag, "missing": str(problem)}


def look_into(chart: Path) -> Mapping[str, Any]:
    """files: how many of the chart's were read. found: the lines that have the claimed value."""
    files = sorted(path for path in chart.rglob("*") if path.is_file())
    found = [
        f"{path.relative_to(chart)}:{number}"
        for path in files
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if CLAIMED.search(line)
    ]
    values = (chart / "values.yaml").read_bytes().count(b"\n")
    return {"files": len(files), "values_lines": values, "found": found}


def _chart(version: str) -> Path:
    for release in (PRESENT, FORMER):
        if version == release.tag:
            return image_cilium.chart(release)
    go_build.require_go()
    said = process.run(
        ["go", "mod", "download", "-json", f"{image_cilium.MODULE}@{version}"],
        what=f"downloading Cilium {version}",
        env={"GOFLAGS": "-mod=mod", "GOWORK": "off"},
        cwd=image_cilium.RECIPE / "module",
        timeout=600,
    )
    return Path(json.loads(said)["Dir"]) / image_cilium.CHART


def _status(cluster: ClusterHandle, node: str) -> str:
    """What the node's agent says of its encryption, in its own words, or why it says nothing."""
    where = ("-l", AGENTS, "--field-selector", f"spec.nodeName={node}")
    try:
        pod = kubectl(cluster, "get", "pods", *where, "-o", "jsonpath={.items[0].metadata.name}")
        asked = ("exec", pod, "-c", "cilium-agent", "--", "cilium-dbg", "encrypt", "status")
        return kubectl(cluster, *asked, timeout=30).strip()
    except EnvironmentProblem as problem:
        return f"no answer: {problem}"
