"""Files and commands that hold less than they should: who needs the rest says what it is."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from conformance.evidence.bundle import Bundle
from conformance.evidence.lacking import Table
from conformance.evidence.parse import read_json
from conformance.evidence.unjudgeable import Unjudgeable
from conformance.model import Evidence, Finding
from tests.forge.bundle import World
from tests.judges.test_judge import world_of
from tests.worlds.doubts import inconclusive

Break = Callable[[World], object]


def without_own_memory(world: World) -> None:
    text = world.extra["metrics.prom"]
    world.extra["metrics.prom"] = text.replace("pod_memory_working_set_bytes", "pod_memory")


def printed_nothing(world: World) -> None:
    for line in world.commands:
        line["out"] = ""


def not_told_its_code(world: World) -> None:
    for line in world.watch:
        if line["kind"] == "Job":
            line["object"]["spec"]["template"]["spec"]["containers"] = [{"name": "app"}]


def no_app_in_the_template(world: World) -> None:
    for line in world.watch:
        if line["kind"] == "Job":
            line["object"]["spec"]["template"]["spec"]["containers"] = []


def admitted_without_it(world: World) -> None:
    for line in world.answers:
        if line["what"] == "policy":
            line |= {"status": 201, "object": {"spec": {"containers": [{"name": "other"}]}}}


@pytest.mark.parametrize(
    ("behaviour", "poor", "said"),
    [
        ("see.naive-tools", lambda world: world.extra.update({"naive.jsonl": ""}),
         "the old agent said nothing"),
        ("see.naive-tools", lambda world: world.extra.update({"naive.jsonl": "{}\n"}),
         "naive.jsonl:1 has no restarts"),
        ("see.naive-tools", lambda world: world.extra.update({"naive.jsonl": "[1]\n"}),
         "naive.jsonl:1 cannot be read: not a JSON object"),
        ("see.naive-tools", without_own_memory, "do not have the pod's own memory"),
        ("account.oom-score", printed_nothing, "printed no number, but ''"),
        ("job.policies", not_told_its_code, "does not say with which code its main was to end"),
        ("job.failure", no_app_in_the_template, "does not say with which code its main was to"),
        ("see.any-restart-policy", admitted_without_it, "the pod was admitted without "),
        ("stop.order", lambda world: world.extra.update({"gaps.jsonl": '{"ns": 1}\n'}),
         "gaps.jsonl:1 has no what"),
        ("stop.order", lambda world: world.extra.update({"mesh/nacks.jsonl": "half\n"}),
         "mesh/nacks.jsonl:1 cannot be read"),
        ("stop.total-time", lambda world: world.index["pods"]["prompt"].update(containers={}),
         "cell.json knows no container of prompt"),
        ("start.probe-period", lambda world: world.index["pods"]["unhurried"].update(sandbox=""),
         "when the pod's sandbox was made is not in runtime.log"),
        ("stop.order", lambda world: world.index.pop("nonce"), "cell.json has no nonce"),
        ("stop.order", lambda world: world.index["cell"].pop("mode"), "cell.json has no mode"),
        ("stop.order", lambda world: world.index.update(pods=[]),
         "a value in it is of another kind than FORMAT.md says"),
        ("stop.order", lambda world: world.index.update(schema=9), "schema 9 is not known"),
    ],
)  # fmt: skip
def test_what_a_file_lacks_is_named(tmp_path: Path, behaviour: str, poor: Break, said: str) -> None:
    world = world_of(behaviour)
    poor(world)
    inconclusive(world, behaviour, tmp_path, said)


def test_an_index_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "cell.json").write_text("{")
    with pytest.raises(Unjudgeable, match=r"cell\.json cannot be read: it is not JSON"):
        _ = Bundle(tmp_path).index


def test_what_is_measured_may_hold_a_table() -> None:
    line = read_json(1, '{"ns": 1, "step": "x", "node": {"name": "a"}}', "steps.jsonl")
    finding = Finding("stop.order", "measured", "", measured={"node": line["node"]})
    assert json.loads(json.dumps(asdict(finding)))["measured"] == {"node": {"name": "a"}}
    assert pickle.loads(pickle.dumps(line["node"])) == copy.deepcopy(line["node"]) == {"name": "a"}


def test_a_table_says_what_it_lacks_and_where() -> None:
    where = (Evidence("cell.json"),)
    table = Table({"subject": 1}, "cell.json", "address of", where)
    assert table["subject"] == 1
    assert table.get("peer") is None and "peer" not in table
    with pytest.raises(Unjudgeable, match=r"^cell\.json has no address of peer$") as told:
        _ = table["peer"]
    assert told.value.evidence == where
    with pytest.raises(Unjudgeable, match=r"^watch\.jsonl:7 has no status$"):
        _ = Table({}, "watch.jsonl:7")["status"]
