"""The work that is measured, each kind in a process of its own: ``work KIND ARGUMENTS``.

leaks: the leak judge looks through the captures of bundles, from the first packet to the last.
scapy: scapy dissects the first frames of captures, every layer. judge: bundles are judged whole, as
a run judges them. report: the page of a run is made. Each prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.evidence import compressed
from conformance.evidence.bundle import Bundle
from conformance.judges import judge
from conformance.judges.packets import survey_so_far
from conformance.model import NEVER, Window
from conformance.report import document
from conformance.report.decision import answer
from conformance.report.page import html

_ALL = Window("whole", 0, NEVER)


def nothing(_: Sequence[str]) -> Mapping[str, Any]:
    """What all others need before they begin."""
    import scapy.utils  # noqa: F401 - the evidence's reader of captures imports it on first use

    return {}


def leaks(bundles: Sequence[str]) -> Mapping[str, Any]:
    """How many packets, and how many of them in clear without a reason."""
    packets = seen = 0
    for folder in bundles:
        survey, _, why = survey_so_far(Bundle.open(Path(folder)), _ALL)
        if why:
            raise why
        packets += survey.packets
        seen += survey.leaks.number + survey.controls.number
    return {"packets": packets, "in_clear": seen}


def scapy(arguments: Sequence[str]) -> Mapping[str, Any]:
    """arguments: how many frames of each capture, then the captures."""
    from scapy.all import PcapReader

    most, *captures = arguments
    packets = 0
    for capture in captures:
        with PcapReader(compressed.opened(Path(capture))) as reader:
            for _ in range(int(most)):
                try:
                    packet = reader.read_packet()
                except EOFError:
                    break
                packets += 1
                while packet:  # every layer, as far as scapy knows it
                    packet = packet.payload
    return {"packets": packets}


def judge_bundles(bundles: Sequence[str]) -> Mapping[str, Any]:
    """Processor seconds for each bundle, after the suite was loaded by judging the first one."""
    seconds: list[float] = []
    for folder in [bundles[0], *bundles]:
        began = time.process_time()
        bundle = Bundle.open(Path(folder))
        for behaviour in _judged(Path(folder)):
            judge(behaviour, bundle)
        seconds.append(time.process_time() - began)
    return {"seconds": seconds[1:], "first": seconds[0]}


def report(arguments: Sequence[str]) -> Mapping[str, Any]:
    """The decision, report.json and report.html; not the pages of cells, which a run of one version
    makes as many of. arguments: a folder with a report.json."""
    folder = Path(arguments[0])
    told = json.loads((folder / "report.json").read_bytes())
    told |= {"decision": answer.decided(told)}
    document.write(folder, told)
    return {"bytes": html.report_page(told, folder).stat().st_size}


def _judged(bundle: Path) -> Sequence[str]:
    """What the run has judged of a bundle (evidence/<k8s>/<slug>, verdicts beside it)."""
    kept = bundle.parents[2] / "verdicts" / bundle.parent.name / bundle.name
    return [file.stem for file in sorted(kept.glob("*.json"))]


KINDS: Mapping[str, Callable[[Sequence[str]], Mapping[str, Any]]] = {
    "leaks": leaks,
    "scapy": scapy,
    "judge": judge_bundles,
    "report": report,
    "nothing": nothing,
}

if __name__ == "__main__":
    _, kind, *rest = sys.argv
    print(json.dumps(KINDS[kind](rest)))
