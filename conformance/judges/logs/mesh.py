"""logs.behind-mesh: a log shipper's last act beside a mesh's proxy, in both orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.evidence import windows
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.log_lines import Received, received, require_sink, size, written
from conformance.evidence.packets.coverage import Coverage
from conformance.evidence.packets.probes import successes
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import require_watched
from conformance.judges.logs.lines import (
    MIN_LINES,
    ran_until_told,
    require_consistent,
    shipper_of,
)
from conformance.judges.ordering import ENDS_WITHIN_NS
from conformance.judges.packets import survey
from conformance.judges.plaintext import BESIDE
from conformance.judges.ruling import broken, holds
from conformance.judges.sights import Survey
from conformance.judges.sources import versions
from conformance.model import NEVER, NS, Finding, Measured, Window

MESH_FIRST = {"logs-behind-mesh": True, "logs-before-mesh": False}


def encrypted(bundle: Bundle) -> Finding:
    """To hold: every line is at the sink, and from the deletion on the pod sent nothing in clear.
    To be broken: something left in clear (plaintext), or lines are missing at the end (lost-last)
    or elsewhere (lost-lines)."""
    proxy_name = _proxy_of(bundle)
    wrote = written(bundle, SUBJECT_ROLE, bundle.index.app)
    got = received(bundle, SUBJECT_ROLE)
    shipper, proxy = shipper_of(bundle)[-1], lives(bundle).get(proxy_name)
    if shipper.exited_latest is None or not proxy or proxy[-1].exited_latest is None:
        raise Unjudgeable("no exit of the shipper or of the proxy is in runtime.log")
    require_consistent(bundle, SUBJECT_ROLE, wrote, got)
    require_sink(bundle, wrote.batches[0].ns, shipper.exited_latest)
    if wrote.count < MIN_LINES or wrote.ended is None:
        raise Unjudgeable(f"the app wrote {wrote.count} lines and did not come to its end")
    window = windows.shutdown(bundle)
    found, watched = survey(bundle, replace(window, end=NEVER))
    lost = got.missing(0, wrote.count)
    outlived = (proxy[-1].exited_latest - shipper.exited_latest) / NS
    measured = _measured(wrote.count, got, found, outlived)
    who = (
        f"the proxy ended {abs(outlived):.1f} s {'after' if outlived > 0 else 'before'} the shipper"
    )
    if found.leaks.number:
        sights = [one.evidence(bundle.capture_file) for one in found.leaks.told]
        return broken(
            "plaintext" if _after_its_end(bundle, proxy[-1].exited_latest) else BESIDE,
            f"{found.leaked_bytes} bytes left the pod in clear while it ended, and {size(lost)} "
            f"of {wrote.count} lines were lost: {who}; first: {sights[0].text}.",
            measured,
            sights,
        )
    exits = [one.exit_evidence() for one in (shipper, proxy[-1])]
    if lost:
        last = lost[-1][1] == wrote.count - 1 and ran_until_told(bundle)
        return broken(
            "lost-last" if last else "lost-lines",
            f"{size(lost)} of {wrote.count} lines were lost: {who}.",
            measured,
            [*exits, wrote.evidence(lost[0][0])],
        )
    _require_sight(bundle, found, watched, window, measured)
    final = got.arrival_of(wrote.count - 1)
    assert final is not None
    return holds(
        f"All {wrote.count} lines arrived, and nothing of {found.tls_bytes} bytes was in clear: "
        f"{who}.",
        measured,
        [*exits, final.evidence],
    )


def _proxy_of(bundle: Bundle) -> str:
    """The pod's other native sidecar: the mesh's. Raises Unjudgeable unless there are two, in the
    order that the scenario wants."""
    line, shipper = next(versions(bundle)), bundle.index.sidecars[-1]
    inits: list[dict[str, Any]] = line["object"]["spec"].get("initContainers") or []
    names = [str(one["name"]) for one in inits if one.get("restartPolicy") == "Always"]
    others = [name for name in names if name != shipper]
    if len(names) != 2 or len(others) != 1:
        raise Unjudgeable(f"the native sidecars are {', '.join(names) or 'none'}")
    if (names[0] != shipper) != MESH_FIRST[bundle.index.cell.scenario]:
        raise Unjudgeable(f"{names[0]} comes first in the admitted pod")
    return others[0]


def _after_its_end(bundle: Bundle, gone: int) -> bool:
    """Whether anything was in clear from the proxy's end on."""
    found, _ = survey(bundle, Window("after the proxy", gone - ENDS_WITHIN_NS, NEVER))
    return bool(found.leaks.number)


def _require_sight(
    bundle: Bundle, found: Survey, watched: Coverage, window: Window, measured: Measured
) -> None:
    """That nothing was seen means something: the capture watched, the judge can read what is in
    clear in it (the kubelet's probe of the proxy), and the lines went by."""
    require_watched(watched, window, to_the_end=True, measured=measured)
    if not successes(bundle)[0]:
        raise Unjudgeable("judge blind: the kubelet's probe is not in the capture")
    if found.doubts.number or not found.tls_bytes:
        raise Unjudgeable(
            f"{found.doubts.number} pieces of payload cannot be judged, and {found.tls_bytes} "
            "bytes of TLS were seen while the pod ended",
            measured,
        )


def _measured(count: int, got: Received, found: Survey, outlived: float) -> Measured:
    return {
        "written": count,
        "lost": size(got.missing(0, count)),
        "came_twice": got.lines - got.count,
        "proxy_outlived_shipper_seconds": round(outlived, 3),
        "bytes_in_clear": found.leaked_bytes,
        "connections_in_clear": found.leaked_streams,
        "tls_bytes": found.tls_bytes,
    }
