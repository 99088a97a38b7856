"""The Linkerd driver: what it asks of the injector, and what it reads back."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conformance.model import Cell, Pattern
from conformance.plan.sidecars import REGISTRY
from conformance.sidecars.driver import IntroducesWitness, TellsRequests
from conformance.sidecars.linkerd.driver import Driver
from conformance.sidecars.linkerd.names import CONTAINER, CREATED_BY, identity

POD = {
    "metadata": {"name": "subject", "labels": {"app": "subject"}, "annotations": {"own": "kept"}},
    "spec": {"containers": [{"name": "app", "image": "app", "env": [{"name": "A", "value": "1"}]}]},
}
CONFIG = "config.linkerd.io"


def cell(pattern: Pattern = "classic", mode: str = "default", scenario: str = "lifecycle") -> Cell:
    return Cell("1.33", "linkerd", pattern, mode, scenario)


def asked(
    pattern: Pattern = "classic",
    mode: str = "default",
    scenario: str = "lifecycle",
    role: str = "subject",
    version: str = "",
) -> dict[str, str]:
    pod = Driver(version).inject(POD, cell(pattern, mode, scenario), role)
    found: dict[str, str] = pod["metadata"]["annotations"]
    return found


class TestAsked:
    def test_the_pod_is_annotated_and_nothing_is_put_into_it(self) -> None:
        before = copy.deepcopy(POD)
        pod = Driver().inject(POD, cell(), "subject")
        assert before == POD
        assert [one["name"] for one in pod["spec"]["containers"]] == ["app"]
        assert "initContainers" not in pod["spec"]
        assert pod["metadata"]["annotations"]["own"] == "kept"
        assert pod["metadata"]["annotations"]["linkerd.io/inject"] == "enabled"
        assert pod["spec"]["serviceAccountName"] == "subject"

    @pytest.mark.parametrize(
        ("version", "name"),
        [("", CONFIG), ("2.19", "config.beta.linkerd.io"), ("2.15", "config.alpha.linkerd.io")],
    )
    def test_the_pattern_is_said_by_the_releases_own_annotation(
        self, version: str, name: str
    ) -> None:
        annotation = f"{name}/proxy-enable-native-sidecar"
        assert asked("native", version=version)[annotation] == "true"
        assert asked("classic", version=version)[annotation] == "false"

    def test_the_peer_is_native_and_as_it_comes_whatever_the_cell_is(self) -> None:
        found = asked("classic", "short-drain", role="peer")
        assert found[f"{CONFIG}/proxy-enable-native-sidecar"] == "true"
        assert f"{CONFIG}/shutdown-grace-period" not in found

    def test_nobody_without_an_identity_is_served(self) -> None:
        assert asked()[f"{CONFIG}/default-inbound-policy"] == "all-authenticated"

    def test_each_mode_sets_what_it_is_called_after(self) -> None:
        assert asked(mode="no-await")[f"{CONFIG}/proxy-await"] == "disabled"
        assert asked(mode="short-drain")[f"{CONFIG}/shutdown-grace-period"] == "2s"
        wait = "config.alpha.linkerd.io/proxy-wait-before-exit-seconds"
        assert asked(mode="wait-before-exit")[wait] == "18"
        assert asked()[f"{CONFIG}/skip-outbound-ports"] == "9001"
        assert asked(mode="skip-ports")[f"{CONFIG}/skip-outbound-ports"] == "9001,9000"

    def test_every_mode_is_registered(self) -> None:
        assert set(REGISTRY["linkerd"].modes) == {
            *("default", "no-await", "short-drain", "wait-before-exit", "transparent"),
            *("skip-ports", "proxy-uid"),
        }

    def test_the_app_can_run_as_the_proxys_user(self) -> None:
        def user(role: str) -> Any:
            pod = Driver().inject(POD, cell(mode="proxy-uid"), role)
            return pod["spec"]["containers"][0].get("securityContext")

        assert user("subject") == {"runAsUser": 2102}
        assert user("peer") is None

    @pytest.mark.parametrize("scenario", ["job", "cronjob", "quota", "workarounds"])
    def test_a_proxy_may_be_told_to_quit_where_a_job_needs_it(self, scenario: str) -> None:
        assert asked(scenario=scenario)[f"{CONFIG}/proxy-admin-shutdown"] == "enabled"
        assert f"{CONFIG}/proxy-admin-shutdown" not in asked()

    def test_lengths_of_time_are_set_where_they_belong(self) -> None:
        def variables(role: str) -> dict[str, str]:
            pod = Driver().inject(POD, cell(), role)
            return {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}

        assert variables("subject") == {"A": "1", "SC_DRAIN_SECONDS": "9"}
        assert variables("peer") == {"A": "1", "SC_SLOW_SECONDS": "6"}


def pod_of(
    init: list[dict[str, str]],
    containers: list[str],
    by: str = "linkerd/proxy-injector x",
) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {CREATED_BY: by} if by else {}},
        "spec": {
            "initContainers": init,
            "containers": [{"name": name} for name in containers],
        },
    }


class TestAdmitted:
    def test_native(self) -> None:
        init = [{"name": "linkerd-init"}, {"name": CONTAINER, "restartPolicy": "Always"}]
        found = Driver().admitted(pod_of(init, ["app"]), cell("native"))
        assert (found.pattern, found.sidecars) == ("native", (CONTAINER,))

    def test_classic(self) -> None:
        found = Driver().admitted(pod_of([{"name": "linkerd-init"}], [CONTAINER, "app"]), cell())
        assert (found.pattern, found.sidecars) == ("classic", (CONTAINER,))

    @pytest.mark.parametrize("by", ["", "linkerd/cli edge-26.8.3"])
    def test_what_the_injector_did_not_make_is_none(self, by: str) -> None:
        found = Driver().admitted(pod_of([], [CONTAINER, "app"], by), cell())
        assert found.pattern == "none"

    def test_a_pod_without_a_proxy_is_none(self) -> None:
        assert Driver().admitted(pod_of([], ["app"]), cell()).pattern == "none"


class TestFacts:
    def test_the_identities_are_those_of_the_service_accounts(self) -> None:
        facts = Driver().facts(cell(), "ns")
        name = "subject.ns.serviceaccount.identity.linkerd.cluster.local"
        assert facts.identities["subject"] == identity("ns", "subject") == name
        assert facts.server_name == name

    def test_what_a_stranger_is_answered_with_is_no_answer_of_the_apps(self) -> None:
        assert Driver().facts(cell(), "ns").proxy_answers["denied"] == (r"^403\b",)

    def test_the_drain_is_known_where_it_is_set(self) -> None:
        assert Driver().facts(cell(mode="short-drain"), "ns").sidecar_drain_seconds == 2.0
        assert Driver().facts(cell(), "ns").sidecar_drain_seconds == 0.0

    def test_the_app_is_not_answered_when_it_runs_as_the_proxys_user(self) -> None:
        assert Driver().facts(cell(), "ns").egress_answered
        assert not Driver().facts(cell(mode="proxy-uid"), "ns").egress_answered

    def test_it_must_be_told_of_the_witness(self) -> None:
        assert isinstance(Driver(), IntroducesWitness)
        assert isinstance(Driver(), TellsRequests)
