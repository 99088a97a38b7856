"""requests/ of a bundle: the neutral words, and the older bundles of proxies that are Envoy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.evidence import envoy_log
from conformance.evidence.access_log import records
from conformance.evidence.attempts import attempts
from conformance.evidence.bundle import Bundle
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.judges import judge
from conformance.model import Finding
from conformance.sidecars.envoy import requests
from tests.approved import given
from tests.forge.bundle import World
from tests.judges.mesh import test_identity as identity
from tests.worlds import lifecycle as worlds

FILE = "requests/subject.envoy.jsonl"


def neutral(world: World, folder: Path, **more: object) -> Bundle:
    """The world's bundle, as a driver of today leaves it, without the log that it was made from."""
    world.write(folder)
    requests.write(folder, "envoy")
    shutil.rmtree(folder / "logs")
    index = json.loads((folder / "cell.json").read_text()) | {"files": {}} | more
    (folder / "cell.json").write_text(json.dumps(index))
    return Bundle.open(folder)


def judged(bundle: Bundle) -> Finding:
    """What is said of a bundle whose records name a log that it does not hold."""
    found = judge(identity.MUTUAL, bundle, trusting=True)
    given.finding(found)
    return found


def denied(world: World) -> None:
    """The last stranger got a 403."""
    line = world.lines("dialer.dialer", "request.end")[-1]
    line |= {"outcome": "wrong", "detail": "403 no identity"}


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: None,
        identity.wrong_peer,
        identity.wrong_own,
        identity.wrong_in_the_drain,
        identity.one_way_out,
        identity.one_way_in,
        identity.served_to_nobody_of_the_mesh,
    ],
)
def test_the_neutral_words_say_what_envoys_say(
    tmp_path: Path, broken: Callable[[World], object]
) -> None:
    world = worlds.lifecycle("native")
    broken(world)
    before = world.judged(identity.MUTUAL, tmp_path)
    now = judged(neutral(world, tmp_path / "neutral"))
    assert (now.observed, now.hazard, now.reason) == (
        before.observed,
        before.hazard,
        before.reason,
    )
    assert now.measured == before.measured and now.evidence == before.evidence


def test_a_record_keeps_what_the_proxy_said(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    bundle = neutral(world, tmp_path)
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len(lines) == records(bundle).number == len(world.logs["subject.envoy"])
    first = json.loads(lines[0])
    assert first["source"] == "logs/subject.envoy.log:1"
    assert first["status"] == 200 and first["tls"] == "TLSv1.3" and first["begin_ns"] > 0


def test_what_a_proxy_does_not_know_may_be_left_out(tmp_path: Path) -> None:
    bundle = neutral(worlds.lifecycle("native"), tmp_path)
    (tmp_path / FILE).write_text(
        '{"direction": "inbound", "remote": "10.244.0.5:9", "status": 200}\n'
    )
    found = records(bundle)
    assert found.number == found.anonymous_number == 1
    assert found.anonymous[0].file == FILE and found.anonymous[0].line == 1


@pytest.mark.parametrize("line", ["{}", "no json", '{"direction": "inbound", "colour": "red"}'])
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str) -> None:
    bundle = neutral(worlds.lifecycle("native"), tmp_path)
    (tmp_path / FILE).write_text(line + "\n")
    with pytest.raises(Unjudgeable, match=rf"{FILE}:1"):
        records(bundle)


def test_another_proxys_log_is_not_read_as_envoys(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    world.index["cell"]["sidecar"] = "toy"
    with pytest.raises(Unjudgeable, match=f"{FILE} is missing"):
        records(Bundle.open(world.write(tmp_path)))


def test_lines_of_another_kind_are_no_requests() -> None:
    for text in ("[warning] starting {not json", '{"half": ', '{"a": 1}', "[1]", "x"):
        assert envoy_log.request_of(text) is None


def test_directions_are_neutral() -> None:
    said = {"direction": "inbound-refused", "downstream_remote": "10.0.0.1:5", "response_code": "-"}
    found = envoy_log.request_of(f"2026 {json.dumps(said)}")
    assert found is not None
    assert (found["direction"], found["remote"], found["status"]) == ("refused", "10.0.0.1:5", 0)


def test_what_a_proxys_answer_means_is_the_drivers_word(tmp_path: Path) -> None:
    """A stranger that is denied by the proxy's rules is turned away, though it was answered."""
    world = worlds.lifecycle("native")
    identity.stranger_was_answered_by_the_proxy(world)
    denied(world)
    words = {"late": ["^504 "], "denied": ["^403 "]}
    known = neutral(world, tmp_path / "known", proxy_answers=words)
    (one,) = [one for one in attempts(known, "dialer", "dialer") if one.outcome == "wrong"]
    assert one.answer == "denied"
    assert judged(known).observed == "holds"
    unknown = neutral(world, tmp_path / "unknown", proxy_answers={})
    assert judged(unknown).hazard == "not-mutual"


def test_a_denied_stranger_whom_the_app_served_was_let_in(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    identity.stranger_reached_the_app(world)
    denied(world)
    bundle = neutral(world, tmp_path, proxy_answers={"denied": ["^403 "]})
    assert judged(bundle).hazard == "not-mutual"


def test_a_status_elsewhere_in_the_answer_is_none(tmp_path: Path) -> None:
    world = worlds.lifecycle("native")
    identity.stranger_was_answered_by_the_proxy(world)
    world.lines("dialer.dialer", "request.end")[-1]["detail"] = "500 not 403 but an error"
    bundle = neutral(world, tmp_path, proxy_answers={"denied": ["^403 "]})
    assert judged(bundle).hazard == "not-mutual"


def test_a_pattern_that_is_none_makes_a_bundle_unreadable(tmp_path: Path) -> None:
    bundle = neutral(worlds.lifecycle("native"), tmp_path, proxy_answers={"denied": ["("]})
    with pytest.raises(Unjudgeable, match="proxy_answers"):
        _ = bundle.index
