"""Settings as trees: whose word stands, what was overridden, and what a pod shows of it."""

from __future__ import annotations

import json

from conformance.sidecars.settings import tree


def test_the_suites_word_stands_above_the_users() -> None:
    users = {"a": {"b": 1, "c": 2}, "d": [1], "e": {"f": 3}}
    suites = {"a": {"b": 9}, "d": [2], "e": 4}
    assert tree.merged(users, suites) == {"a": {"b": 9, "c": 2}, "d": [2], "e": 4}
    assert users == {"a": {"b": 1, "c": 2}, "d": [1], "e": {"f": 3}}
    assert tree.overridden(users, suites) == ["a.b (1 → 9)", "d ([1] → [2])"]
    assert tree.overridden({"a": {"b": 9}}, suites) == []


def test_lists_of_named_things_are_merged_by_their_names() -> None:
    users = {"providers": [{"name": "zipkin", "port": 1}, {"name": "ours", "port": 2}]}
    suites = {"providers": [{"name": "ours", "port": 3}]}
    both = tree.merged(users, suites)["providers"]
    assert both == [{"name": "zipkin", "port": 1}, {"name": "ours", "port": 3}]


def test_what_is_the_suites_alone_is_taken_out_and_named() -> None:
    users = {
        "hub": "x",
        "components": {"ingressGateways": [1], "pilot": {"k8s": {}}},
        "values": {"global": {"tag": "1", "proxy": {"image": "y", "logLevel": "info"}}},
    }
    kept, gone = tree.without(
        users, ("hub", "components.*Gateways", "values.global.tag", "values.global.proxy.image")
    )
    assert kept == {
        "components": {"pilot": {"k8s": {}}},
        "values": {"global": {"proxy": {"logLevel": "info"}}},
    }
    assert gone == [
        "hub", "components.ingressGateways", "values.global.tag", "values.global.proxy.image",
    ]  # fmt: skip


def test_an_admitted_pod_shows_what_became_of_a_setting() -> None:
    pod = {
        "spec": {
            "initContainers": [
                {
                    "name": "istio-proxy",
                    "resources": {"limits": {"cpu": "500m"}},
                    "env": [
                        {"name": "PROXY_CONFIG",
                         "value": json.dumps({"drainDuration": "20s", "concurrency": 1})},
                        {"name": "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "value": "true"},
                    ],
                }
            ]
        }
    }  # fmt: skip
    users = {
        "meshConfig": {"defaultConfig": {
            "drainDuration": "20s", "concurrency": 2,
            "proxyMetadata": {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"},
        }},
        "values": {"global": {"proxy": {"resources": {"limits": {"cpu": "500m"}}}}},
    }  # fmt: skip
    found, unseen = tree.seen(users, pod)
    assert found == [
        (
            "meshConfig.defaultConfig.drainDuration = 20s "
            "(spec.initContainers.istio-proxy.env.PROXY_CONFIG.drainDuration)"
        ),
        (
            "meshConfig.defaultConfig.proxyMetadata.EXIT_ON_ZERO_ACTIVE_CONNECTIONS = true "
            "(spec.initContainers.istio-proxy.env.EXIT_ON_ZERO_ACTIVE_CONNECTIONS)"
        ),
        (
            "values.global.proxy.resources.limits.cpu = 500m "
            "(spec.initContainers.istio-proxy.resources.limits.cpu)"
        ),
    ]
    assert unseen == ["meshConfig.defaultConfig.concurrency = 2"]


def test_linkerds_settings_are_known_in_its_pod_by_its_own_names() -> None:
    """As its chart names them, and as its injector writes them (edge-26.8.3)."""
    proxy = {
        "name": "linkerd-proxy",
        "resources": {"requests": {"cpu": "30m", "memory": "30Mi"}, "limits": {"cpu": "1"}},
        "env": [
            {"name": "LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD", "value": "20s"},
            {"name": "LINKERD2_PROXY_LOG", "value": "warn"},
        ],
    }
    users = {
        "proxy": {
            "shutdownGracePeriod": "20s",
            "log": "warn",  # too short a word to be known by the end of another
            "resources": {"cpu": {"request": "30m", "limit": "2"}, "memory": {"request": "30Mi"}},
        }
    }
    found, unseen = tree.seen(users, {"spec": {"containers": [proxy]}})
    at = "spec.containers.linkerd-proxy"
    assert found == [
        f"proxy.shutdownGracePeriod = 20s ({at}.env.LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD)",
        f"proxy.resources.cpu.request = 30m ({at}.resources.requests.cpu)",
        f"proxy.resources.memory.request = 30Mi ({at}.resources.requests.memory)",
    ]
    assert unseen == ["proxy.log = warn", "proxy.resources.cpu.limit = 2"]
