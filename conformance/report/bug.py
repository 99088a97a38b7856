"""A report for upstream on one verdict: a folder with what a maintainer asks for, ready to paste.

The pod's manifest, the versions, the timeline, the packets around those that the verdict names, and
the logs around that time; without secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from conformance.errors import UsageProblem, harmless
from conformance.evidence.packets.pcap import Pcap, UnreadableCapture
from conformance.model import NS
from conformance.plan.catalogue import behaviours, scenarios
from conformance.report import story, words
from conformance.report.decision import answer
from conformance.report.diary import lines
from conformance.report.pack import secrets
from conformance.report.trace.records import records

Json = dict[str, Any]
_AROUND_NS = 2 * NS  # of packets and logs, before and after what a verdict names
_MOST_FRAMES = 5000
# Of a pod's metadata and spec: what the API server added, and nobody has to send again.
_ADDED = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation",
          "ownerReferences")  # fmt: skip


def write(run: Path, report: Mapping[str, Any], id_: str, target: Path) -> Path:
    """Write the folder of a verdict. id_: as reports name it. Raises UsageProblem."""
    entry = find(report, id_)
    if not entry["bundle"]:
        raise UsageProblem(f"{id_} has no evidence to report: {entry['reason']}")
    bundle = run / entry["bundle"]
    target.mkdir(parents=True, exist_ok=True)
    told = json.loads((bundle / "cell.json").read_bytes())
    files: dict[str, str] = {
        "README.md": harmless(_text(report, entry, told, bundle)),
        "verdict.json": json.dumps(entry, indent=1) + "\n",
        "logs.txt": harmless(_logs(bundle, entry)),
    }
    manifest = _manifest(bundle, told["subject"])
    if manifest:
        files["manifest.yaml"] = manifest
    for name, text in files.items():
        (target / name).write_bytes(secrets.without(text.encode()))
    for number, file in enumerate(dict.fromkeys(_captures(entry))):
        name = "packets.pcap" if not number else f"packets-{number + 1}.pcap"
        _trim(bundle / file, _times(entry), target / name)
    return target


def find(report: Mapping[str, Any], id_: str) -> Json:
    """The entry with this id. Raises UsageProblem, and names those that are alike."""
    entries: Sequence[Json] = report["cells"]
    for entry in entries:
        if words.fragment(entry) == id_:
            return entry
    alike = [words.fragment(one) for one in entries if one["behaviour"] == id_.split(".", 2)[-1]]
    alike += [words.fragment(one) for one in entries if one["observed"] == "broken"]
    raise UsageProblem(
        f"{id_} is no verdict of this run; name one by its id, such as "
        f"{', '.join(dict.fromkeys(alike[:3])) or 'those in report.html'}."
    )


def _text(report: Mapping[str, Any], entry: Json, told: Json, bundle: Path) -> str:
    behaviour = behaviours()[entry["behaviour"]]
    scenario = scenarios()[entry["scenario"]]
    versions = told["versions"]
    when = f"{entry['sidecar']}, {entry['pattern']} pattern, mode {entry['mode']}"
    expected = f"{entry['expected']}: {entry['expected_because']} ({entry['source']})"
    parts = [
        f"# {behaviour.id}: {behaviour.promise}", "",
        f"**Seen:** {entry['reason']}", "",
        f"**When:** {scenario.title} ({when}).", "",
        f"**Expected:** {expected}.", "",
        "## Versions", "",
    ]  # fmt: skip
    names = ("server", "kubelet", "runtime", "kernel", "os", "cgroup", "sidecar_gate")
    parts += [f"- {name}: {versions[name]}" for name in names if versions.get(name)]
    for name, value in (versions.get("sidecars") or {}).get(entry["sidecar"], {}).items():
        parts.append(f"- {entry['sidecar']} {name}: {value}")
    images = {one["note"] for one in told.get("images", {}).values() if one.get("note")}
    parts += [f"- substituted: {note}" for note in sorted(images)]
    parts += ["", "## Timeline", "", "```", *story.timeline(bundle), "```", "", "## Evidence", ""]
    for one in entry["evidence"][:20]:
        place = f", frame {one['frame']}" if "frame" in one else f":{one.get('line', '')}"
        parts.append(f"- {one['file']}{place} {one.get('text', '')}".rstrip())
    if len(entry["evidence"]) > 20:
        parts.append(f"- and {len(entry['evidence']) - 20} more in verdict.json")
    beside = (
        "Beside this file: manifest.yaml (the pod as admitted), packets.pcap (what crossed its "
        "link around that time), logs.txt, verdict.json."
    )
    parts += [
        "", "## Again", "", "```", words.again(report), words.judge_again(entry), "```", "",
        beside, "",
        answer.instrument(report["decision"]), "",
    ]  # fmt: skip
    return "\n".join(parts)


def _manifest(bundle: Path, subject: str) -> str:
    """The pod as the API server admitted it, without what it added; "" when it was not seen."""
    for line in lines(bundle / "watch.jsonl"):
        pod = line.get("object") or {}
        if line.get("kind") == "Pod" and pod.get("metadata", {}).get("name") == subject:
            metadata = {k: v for k, v in pod["metadata"].items() if k not in _ADDED}
            spec = {k: v for k, v in pod["spec"].items() if k not in ("nodeName",)}
            manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            plain = json.loads(json.dumps(manifest))  # yaml knows no other tables than dict
            return str(yaml.safe_dump(plain, sort_keys=False))
    return ""


def _times(entry: Json) -> list[int]:
    return [one["ns"] for one in entry["evidence"] if one.get("ns")]


def _logs(bundle: Path, entry: Json) -> str:
    times = _times(entry)
    found = records(bundle)
    begin, end = (min(times), max(times)) if times else (0, found[-1].ns if found else 0)
    return "".join(
        f"{one.ns}  {one.source}  {one.text}\n"
        for one in found
        if begin - _AROUND_NS <= one.ns <= end + _AROUND_NS
    )


def _captures(entry: Json) -> list[str]:
    return [one["file"] for one in entry["evidence"] if one["file"].endswith(".pcap")]


def _trim(source: Path, times: Sequence[int], target: Path) -> None:
    """The packets of a capture near any of the moments, in a pcap of its own."""
    begin, end = (min(times), max(times)) if times else (0, 1 << 62)
    try:
        with Pcap(source) as file, target.open("wb") as trimmed:
            trimmed.write(file.header)
            written = 0
            for record in file:
                if begin - _AROUND_NS <= record.ns <= end + _AROUND_NS and written < _MOST_FRAMES:
                    written += 1
                    frame = secrets.without(record.frame)
                    trimmed.write(file.packed(record._replace(frame=frame)))
    except UnreadableCapture as error:
        raise UsageProblem(f"{source} cannot be trimmed ({error}); judge the bundle.") from error
