"""logs.behind-mesh: a log shipper's last act beside a mesh's proxy, in both orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.evidence import windows
from conformance.evidence.bundle import SUBJECT_ROLE, Bundle
from conformance.evidence.coverage import Blind, Coverage
from conformance.evidence.log_lines import Received, received, require_sink, size, written
from conformance.evidence.probes import first_success
from conformance.evidence.timeline import lives
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.evidence.views import from_inside, identity
from conformance.judges.logs.lines import MIN_LINES, ran_until_told, shipper_of
from conformance.judges.ordering import ENDS_WITHIN_NS
from conformance.judges.plaintext import BESIDE
from conformance.judges.premise import require_premise
from conformance.judges.survey import Survey, Surveyor
from conformance.model import NEVER, NS, Finding, Measured, Window

_BEHAVIOUR = "logs.behind-mesh"
PROXY = "envoy"
MESH_FIRST = {"logs-behind-mesh": True, "logs-before-mesh": False}
_TOLD = 50


def encrypted(bundle: Bundle) -> Finding:
    """To hold: every line is at the sink, and from the deletion on the pod sent nothing in clear.
    To be broken: something left in clear (plaintext), or lines are missing at the end (lost-last)
    or elsewhere (lost-lines)."""
    require_premise(bundle)
    _require_order(bundle)
    wrote = written(bundle, SUBJECT_ROLE, bundle.index.app)
    got = received(bundle, SUBJECT_ROLE)
    shipper, proxy = shipper_of(bundle)[-1], lives(bundle)[PROXY]
    if shipper.exited_latest is None or not proxy or proxy[-1].exited_latest is None:
        raise Unjudgeable("no exit of the shipper or of the proxy is in runtime.log")
    require_sink(bundle, wrote.batches[0].ns, shipper.exited_latest)
    if wrote.count < MIN_LINES or wrote.ended is None:
        raise Unjudgeable(f"the app wrote {wrote.count} lines and did not come to its end")
    window = windows.shutdown(bundle)
    survey, watched = _survey(bundle, window)
    lost = got.missing(0, wrote.count)
    outlived = (proxy[-1].exited_latest - shipper.exited_latest) / NS
    measured = _measured(wrote.count, got, survey, outlived)
    who = (
        f"the proxy ended {abs(outlived):.1f} s {'after' if outlived > 0 else 'before'} the shipper"
    )
    if survey.leaks.number:
        sights = [one.evidence(bundle.capture_file) for one in survey.leaks.told[:_TOLD]]
        return Finding(
            _BEHAVIOUR,
            "broken",
            f"{survey.leaked_bytes} bytes left the pod in clear while it ended, and {size(lost)} "
            f"of {wrote.count} lines were lost: {who}; first: {sights[0].text}.",
            hazard="plaintext" if _behind(bundle, proxy[-1].exited_latest) else BESIDE,
            measured=measured,
            evidence=sights,
        )
    exits = [one.exit_evidence() for one in (shipper, proxy[-1])]
    if lost:
        last = lost[-1][1] == wrote.count - 1 and ran_until_told(bundle)
        return Finding(
            _BEHAVIOUR,
            "broken",
            f"{size(lost)} of {wrote.count} lines were lost: {who}.",
            hazard="lost-last" if last else "lost-lines",
            measured=measured,
            evidence=[*exits, wrote.evidence(lost[0][0])],
        )
    _require_sight(bundle, survey, watched, window, measured)
    final = got.arrival_of(wrote.count - 1)
    assert final is not None
    return Finding(
        _BEHAVIOUR,
        "holds",
        f"All {wrote.count} lines arrived, and nothing of {survey.tls_bytes} bytes was in clear: "
        f"{who}.",
        measured=measured,
        evidence=[*exits, final.evidence],
    )


def _require_order(bundle: Bundle) -> None:
    """The two sidecars stand in the pod as the scenario wants them."""
    uid = bundle.index.subject_pod.uid
    shipper = bundle.index.sidecars[-1]
    for line in bundle.watch():
        if line.get("kind") == "Pod" and line["object"]["metadata"]["uid"] == uid:
            inits: list[dict[str, Any]] = line["object"]["spec"].get("initContainers") or []
            names = [one["name"] for one in inits if one.get("restartPolicy") == "Always"]
            if sorted(names) != sorted([PROXY, shipper]):
                raise Unjudgeable(f"the native sidecars are {', '.join(names) or 'none'}")
            if (names[0] == PROXY) != MESH_FIRST[bundle.index.cell.scenario]:
                raise Unjudgeable(f"{names[0]} comes first in the admitted pod")
            return


def _survey(bundle: Bundle, window: Window) -> tuple[Survey, Coverage]:
    own = identity(bundle)
    surveyor = Surveyor(bundle.index, replace(window, end=NEVER), own.local, own.mac)
    watched = from_inside(bundle, surveyor.see)
    return surveyor.finish(), watched


def _behind(bundle: Bundle, gone: int) -> bool:
    """Whether anything was in clear from the proxy's end on."""
    survey, _ = _survey(bundle, Window("behind the proxy", gone - ENDS_WITHIN_NS, NEVER))
    return bool(survey.leaks.number)


def _require_sight(
    bundle: Bundle, survey: Survey, watched: Coverage, window: Window, measured: Measured
) -> None:
    """That nothing was seen means something: the capture watched, the judge can read what is in
    clear in it (the kubelet's probe of the proxy), and the lines went by."""
    problems = watched.problems(window, to_the_end=True)
    if problems:
        words = [one.why if isinstance(one, Blind) else one for one in problems]
        raise Unjudgeable(
            f"capture blind while the pod ended: {'; '.join(words[:5])}",
            retry=any(isinstance(one, Blind) for one in problems),
            evidence=[one.evidence for one in problems if isinstance(one, Blind)],
            measured=measured,
        )
    probe, _ = first_success(bundle)
    if probe is None:
        raise Unjudgeable("judge blind: the kubelet's probe is not in the capture")
    if survey.doubts.number or not survey.tls_bytes:
        raise Unjudgeable(
            f"{survey.doubts.number} pieces of payload cannot be judged, and {survey.tls_bytes} "
            "bytes of TLS were seen while the pod ended",
            measured=measured,
        )


def _measured(count: int, got: Received, survey: Survey, outlived: float) -> Measured:
    return {
        "written": count,
        "lost": size(got.missing(0, count)),
        "came_twice": got.lines - got.count,
        "proxy_outlived_shipper_seconds": round(outlived, 3),
        "bytes_in_clear": survey.leaked_bytes,
        "connections_in_clear": survey.leaked_streams,
        "tls_bytes": survey.tls_bytes,
    }
