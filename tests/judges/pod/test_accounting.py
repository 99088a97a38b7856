"""What a pod with a sidecar counts for: exact boundaries, refused for the right reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.evidence.pod_request import pod_request
from tests.forge.bundle import Json, World, ns
from tests.worlds import visible
from tests.worlds.start import SIDECAR
from tests.worlds.visible import LAYOUTS, RESOURCE, SIZES, answer, refuse

REQUESTS, RANGE, QOS = "account.requests", "account.limit-range", "account.qos"
NODE, POLICY = "account.node", "see.any-restart-policy"
PATTERNS = ("native", "classic")
Break = Callable[[World], object]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_effective_request_as_counted_by_hand(pattern: str, layout: str) -> None:
    spec = visible.spec_of(pattern, LAYOUTS[layout])
    assert pod_request(spec, "cpu") * 1000 == SIZES[layout][pattern == "classic"]


def test_what_asks_for_nothing_counts_for_nothing() -> None:
    assert pod_request({"containers": [{"name": "app"}]}, "cpu") == 0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_layout_has_its_boundary(pattern: str, tmp_path: Path) -> None:
    found = visible.accounting(pattern).judged(REQUESTS, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["init-behind"] == SIZES["init-behind"][pattern == "classic"]


def of(world: World, what: str, **fields: object) -> list[Json]:
    return [
        one
        for one in world.answers
        if one["what"] == what and all(one.get(k) == v for k, v in fields.items())
    ]


def again(world: World, layout: str, quota: int, *, fits: bool) -> None:
    """The last answer under a quota is another."""
    if fits:
        answer(world, "quota", LAYOUTS[layout], layout=layout, quota_milli=quota)
    else:
        refuse(world, "quota", "exceeded quota", layout=layout, quota_milli=quota)


def sidecar_is_not_counted(world: World) -> None:
    """A quota of 500 admits a pod of 600: the sidecar below the big step is forgotten."""
    again(world, "init-behind", 599, fits=True)


def sidecar_is_counted_twice(world: World) -> None:
    again(world, "init-before", 500, fits=False)


def real_pod_uses_less(world: World) -> None:
    next(one for one in world.steps if one["step"] == "quota.used")["cpu"] = "500m"


@pytest.mark.parametrize(
    "wrong", [sidecar_is_not_counted, sidecar_is_counted_twice, real_pod_uses_less]
)
def test_another_boundary_is_miscounted(wrong: Break, tmp_path: Path) -> None:
    world = visible.accounting()
    wrong(world)
    found = world.judged(REQUESTS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "miscounted"), found.reason


def test_a_refusal_names_a_whole_cpu_without_its_thousands(tmp_path: Path) -> None:
    """The API server says requests.cpu=1 of 1000m: such a refusal is as good as any other."""
    world, layout = visible.accounting(), "no-init"
    extra = 1000 - SIZES[layout][0]
    for one in of(world, "quota", layout=layout):
        one["quota_milli"] += extra
        one["message"] = one["message"].replace(
            f"requests.cpu={SIZES[layout][0]}m", "requests.cpu=1"
        )
        for its in (one.get("object") or {}).get("spec", {}).get("containers", ())[:1]:
            its["resources"]["requests"]["cpu"] = f"{_asked(its) + extra}m"
    found = world.judged(REQUESTS, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured[layout] == 1000


def _asked(container: Json) -> int:
    return int(container["resources"]["requests"]["cpu"].removesuffix("m"))


def refused_for_another_reason(world: World) -> None:
    for one in of(world, "quota", layout="no-init", status=403):
        one["message"] = "exceeded quota: pods, requested: pods=1"


def one_layout_is_missing(world: World) -> None:
    world.answers = [one for one in world.answers if one.get("layout") != "init-between"]


def quota_was_far_too_small(world: World) -> None:
    """A refusal far below the boundary proves no boundary."""
    of(world, "quota", layout="no-init", status=403)[0]["quota_milli"] = 1


def dry_run_has_no_sidecar(world: World) -> None:
    for one in of(world, "quota", status=201):
        for its in one["object"]["spec"]["initContainers"]:
            its.pop("restartPolicy", None)


def usage_is_unknown(world: World) -> None:
    world.drop(world.steps, "quota.used")


@pytest.mark.parametrize(
    "doubtful",
    [
        refused_for_another_reason, one_layout_is_missing, quota_was_far_too_small,
        dry_run_has_no_sidecar, usage_is_unknown,
    ],
)  # fmt: skip
def test_a_boundary_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = visible.accounting()
    doubtful(world)
    assert world.judged(REQUESTS, tmp_path).observed == "inconclusive"


def no_default(world: World) -> None:
    of(world, "limit", asked_milli=None)[-1]["object"]["spec"]["initContainers"][0][
        "resources"
    ] = {}


def more_than_the_most(world: World) -> None:
    of(world, "limit", asked_milli=701)[0] |= {"status": 201, "message": ""}


def less_than_the_most(world: World) -> None:
    of(world, "limit", asked_milli=700)[0] |= {"status": 403, "message": "maximum cpu usage"}


@pytest.mark.parametrize("wrong", [no_default, more_than_the_most, less_than_the_most])
def test_a_limit_range_that_passes_a_sidecar_over(wrong: Break, tmp_path: Path) -> None:
    world = visible.accounting()
    wrong(world)
    found = world.judged(RANGE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "miscounted"), found.reason


def test_a_refusal_by_something_else_is_inconclusive(tmp_path: Path) -> None:
    world = visible.accounting()
    of(world, "limit", asked_milli=701)[0]["message"] = "exceeded quota"
    assert world.judged(RANGE, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("milli", [700, 701])
def test_a_limit_range_that_was_met_from_one_side_only_is_inconclusive(
    tmp_path: Path, milli: int
) -> None:
    """That what fits was admitted twice does not show that anything is refused."""
    world = visible.accounting()
    other = of(world, "limit", asked_milli=1401 - milli)[0]
    other |= copy.deepcopy(of(world, "limit", asked_milli=milli)[0])
    assert world.judged(RANGE, tmp_path).observed == "inconclusive"


def test_a_limit_range_that_nothing_met_is_inconclusive(tmp_path: Path) -> None:
    world = visible.accounting()
    world.answers = [one for one in world.answers if one["what"] != "limit"]
    assert world.judged(RANGE, tmp_path).observed == "inconclusive"


def test_a_class_without_the_sidecar_is_miscounted(tmp_path: Path) -> None:
    """The app alone is guaranteed, and so the pod would be if nobody looked at the sidecar."""
    world = visible.accounting()
    of(world, "class", limited="app-only")[0]["object"]["status"]["qosClass"] = "Guaranteed"
    found = world.judged(QOS, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "miscounted"), found.reason


@pytest.mark.parametrize("status", [201, 403])
def test_a_class_that_is_not_on_record_is_inconclusive(status: int, tmp_path: Path) -> None:
    world = visible.accounting()
    one = of(world, "class", limited="neither")[0]
    if status == 403:
        one["status"] = 403
    else:
        world.answers.remove(one)
    assert world.judged(QOS, tmp_path).observed == "inconclusive"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_node_counts_to_the_unit(pattern: str, tmp_path: Path) -> None:
    found = visible.accounting(pattern).judged(NODE, tmp_path)
    assert found.observed == "holds", found.reason
    assert found.measured["units"] == visible.UNITS[pattern]


def test_a_scheduler_that_is_faster_than_the_answer_about_the_node(tmp_path: Path) -> None:
    """Seen on a crowded machine: placed 1 ms before the diary said that the node had the unit."""
    world = visible.accounting()
    placed = next(one for one in world.watch if one["object"]["spec"].get("nodeName"))
    placed["ns"] = ns(3.05)
    found = world.judged(NODE, tmp_path)
    assert found.observed == "holds", found.reason


def test_a_node_in_a_bundle_from_before_the_asking_was_recorded(tmp_path: Path) -> None:
    world = visible.accounting()
    world.drop(world.steps, "node.offer-asked")
    assert world.judged(NODE, tmp_path).observed == "holds"


def test_what_fits_and_met_a_slow_api_server(tmp_path: Path) -> None:
    """Kubernetes' own answer when a quota is not worked out within 10 s."""
    world = visible.accounting()
    said = "Internal error occurred: resource quota evaluation timed out"
    again = {**of(world, "quota", layout="no-init", quota_milli=300)[0], "status": 500}
    again.pop("object")
    world.answers.append({**again, "ns": again["ns"] + 1000, "message": said})
    assert world.judged("account.requests", tmp_path).observed == "inconclusive"


def test_what_the_limits_allow_and_met_a_slow_api_server(tmp_path: Path) -> None:
    world = visible.accounting()
    said = "Timeout: request did not complete within the allotted timeout"
    of(world, "limit", asked_milli=700)[0] |= {"status": 504, "message": said}
    assert world.judged("account.limit-range", tmp_path).observed == "inconclusive"


def placed_too_early(world: World) -> None:
    placed = next(one for one in world.watch if one["object"]["spec"].get("nodeName"))
    placed["ns"] = ns(2.9)


def described_without_the_sidecar(world: World) -> None:
    visible.described(world, "500m", 6)


def described_units_without_the_sidecar(world: World) -> None:
    visible.described(world, "600m", 5)


@pytest.mark.parametrize(
    "wrong", [placed_too_early, described_without_the_sidecar, described_units_without_the_sidecar]
)
def test_a_node_that_forgets_the_sidecar(wrong: Break, tmp_path: Path) -> None:
    world = visible.accounting()
    wrong(world)
    found = world.judged(NODE, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "miscounted"), found.reason


def held_by_something_else(world: World) -> None:
    for one in world.watch:
        for condition in one["object"]["status"].get("conditions", ()):
            condition["message"] = "0/1 nodes are available: 1 Insufficient cpu."


def node_offered_far_less(world: World) -> None:
    for name in ("node.offer-asked", "node.offers"):
        next(one for one in world.steps if one["step"] == name)["units"] = 1


def asked_at_nobody_knows_when(world: World) -> None:
    """Placed 50 ms before the answer was read, in a bundle from before the asking was recorded."""
    world.drop(world.steps, "node.offer-asked")
    next(one for one in world.watch if one["object"]["spec"].get("nodeName"))["ns"] = ns(3.05)


def never_placed(world: World) -> None:
    for one in world.watch:
        one["object"]["spec"].pop("nodeName", None)


def asks_for_none(world: World) -> None:
    for one in world.watch:
        for its in one["object"]["spec"].get("initContainers", ()):
            its["resources"]["requests"].pop(RESOURCE, None)


def another_pod_is_described(world: World) -> None:
    world.commands[0]["out"] = world.commands[0]["out"].replace("forged       subject", "x y")


@pytest.mark.parametrize(
    "doubtful",
    [
        held_by_something_else, node_offered_far_less, asked_at_nobody_knows_when, never_placed,
        asks_for_none, another_pod_is_described,
    ],
)  # fmt: skip
def test_a_node_without_proof_is_inconclusive(doubtful: Break, tmp_path: Path) -> None:
    world = visible.accounting()
    doubtful(world)
    assert world.judged(NODE, tmp_path).observed == "inconclusive"


def kept(world: World, *, policies: bool = True) -> None:
    """The API server admits every pod; with the field kept, or dropped."""
    for one in of(world, "policy"):
        its = {"name": one["container"]} | ({"restartPolicy": one["policy"]} if policies else {})
        spec = {"initContainers": [], "containers": [its]}
        one |= {"status": 201, "message": "", "object": {"spec": spec, "status": {}}}


@pytest.mark.parametrize(
    ("k8s", "policies", "observed", "hazard"),
    [
        ("1.33", False, "holds", ""),  # admitted, and dropped
        ("1.34", True, "broken", "kept"),
        ("1.35", True, "holds", ""),
        ("1.37", False, "broken", "not-kept"),
    ],
)
def test_what_is_legal_depends_on_the_minor(
    k8s: str, policies: bool, observed: str, hazard: str, tmp_path: Path
) -> None:
    world = visible.accounting()
    world.index["cell"]["k8s"] = k8s
    kept(world, policies=policies)
    found = world.judged(POLICY, tmp_path)
    assert (found.observed, found.hazard) == (observed, hazard), found.reason


def test_a_new_minor_that_refuses_breaks_it(tmp_path: Path) -> None:
    world = visible.accounting()
    world.index["cell"]["k8s"] = "1.36"
    found = world.judged(POLICY, tmp_path)
    assert (found.observed, found.hazard) == ("broken", "not-kept"), found.reason


def test_a_policy_refused_for_another_reason_is_inconclusive(tmp_path: Path) -> None:
    world = visible.accounting()
    of(world, "policy")[0]["message"] = "quota exceeded"
    assert world.judged(POLICY, tmp_path).observed == "inconclusive"


def test_policies_that_were_not_tried_are_inconclusive(tmp_path: Path) -> None:
    world = visible.accounting()
    world.answers.remove(of(world, "policy")[0])
    assert world.judged(POLICY, tmp_path).observed == "inconclusive"


def test_the_sidecar_is_part_of_every_layout() -> None:
    assert all(SIDECAR in layout for layout in LAYOUTS.values())
