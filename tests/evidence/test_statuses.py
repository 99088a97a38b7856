"""Lives by the API's whole seconds: what is supposed of them, and what bounds it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from conformance.evidence.parse import Line
from conformance.evidence.statuses import Supposition, events, stops, suppositions
from conformance.model import NS

TEN = 1_795_000_010 * NS  # 2026-11-18T11:06:50Z
AT_TEN, AT_TWELVE = "2026-11-18T11:06:50Z", "2026-11-18T11:06:52Z"


def _bundle(stamps: dict[str, list[Line]]) -> Any:
    def one(name: str, ident: str, state: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "containerID": f"containerd://{ident}", "state": state}

    running = {"running": {"startedAt": AT_TEN}}
    ended = {
        "terminated": {
            "startedAt": AT_TEN,
            "finishedAt": AT_TWELVE,
            "exitCode": 3,
            "containerID": "containerd://a",
        }
    }
    lines = [
        Line(number, ns, {"kind": "Pod", "object": {"metadata": {"uid": "u"}, "status": status}})
        for number, ns, status in (
            (4, TEN + 700_000_000, {"containerStatuses": [one("app", "a", running)]}),
            (
                9,
                TEN + 5 * NS,
                {"containerStatuses": [one("app", "a", ended), one("sidecar", "s", running)]},
            ),
        )
    ]
    pod = SimpleNamespace(uid="u", containers={"app": None, "sidecar": None})
    return SimpleNamespace(
        index=SimpleNamespace(pods={"subject": pod}, subject="subject"),
        watch=lambda: iter(lines),
        has=lambda file: file in stamps,
        records=lambda file: iter(stamps[file]),
    )


def _moments(bundle: Any, supposed: Supposition) -> dict[tuple[str, str], int]:
    return {(one.container_id, one.topic): one.ns - TEN for one in events(bundle, supposed)}


def test_a_moment_lies_anywhere_in_its_second_and_no_later_than_its_receipt() -> None:
    bundle = _bundle({})
    early, late = _moments(bundle, Supposition()), _moments(bundle, Supposition("", True, True))
    assert early["a", "/tasks/create"] == -NS // 10 and late["a", "/tasks/create"] == 700_000_000
    assert early["a", "/tasks/exit"] == 2 * NS and late["a", "/tasks/exit"] == 3 * NS
    assert late["s", "/tasks/create"] == NS
    (exit_,) = (one for one in events(bundle, Supposition()) if one.topic == "/tasks/exit")
    assert (exit_.status, exit_.number, exit_.exited_ns) == (3, 9, exit_.ns)


def test_a_programs_stamps_bound_its_life() -> None:
    stamps = [
        Line(1, TEN + 200_000_000, {"event": "app.started"}),
        Line(2, TEN + NS, {"event": "app.sigterm"}),
        Line(3, TEN + 2 * NS + 400_000_000, {"event": "app.last"}),
    ]
    bundle = _bundle({"stamps/subject.app.jsonl": stamps})
    early, late = _moments(bundle, Supposition()), _moments(bundle, Supposition("", True, True))
    assert late["a", "/tasks/create"] == 200_000_000
    assert early["a", "/tasks/exit"] == 2 * NS + 400_000_000
    (stop,) = stops(bundle)
    assert (stop.container_id, stop.ns) == ("a", TEN + NS)


def test_any_two_moments_are_held_against_each_other_both_ways() -> None:
    bundle = _bundle({})
    held = [_moments(bundle, one) for one in suppositions(bundle)]
    apart = {each["a", "/tasks/create"] - each["s", "/tasks/create"] for each in held}
    assert min(apart) == -NS // 10 - NS and max(apart) == 700_000_000 + NS // 10
    both = {(each["a", "/tasks/exit"], each["s", "/tasks/create"]) for each in held}
    assert both == {(x, y) for x in (2 * NS, 3 * NS) for y in (-NS // 10, NS)}
