"""A cluster's API server is asked directly, whatever proxies the user has."""

from __future__ import annotations

import pytest
from kubernetes import client as k8s
from kubernetes.client.rest import should_bypass_proxies

from conformance.machine.proxies import reach_loopback_directly

API = "https://127.0.0.1:36443"


@pytest.mark.parametrize("before", ["", "example.com, .internal", "127.0.0.1"])
def test_kubernetes_client_goes_directly(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"https_proxy": "http://192.0.2.1:3128", "NO_PROXY": before}
    reach_loopback_directly(environment)
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = k8s.Configuration(host=API)
    assert should_bypass_proxies(API, found.no_proxy)
    assert not should_bypass_proxies("https://192.0.2.7:6443", found.no_proxy)
    assert set(before.replace(" ", "").split(",")) - {""} <= set(found.no_proxy.split(","))


def test_without_a_proxy_nothing_is_changed() -> None:
    for environment in (
        {},
        {"NO_PROXY": "x"},
        {"HTTP_PROXY": ""},
        {"http_proxy": "p", "no_proxy": "*"},
    ):
        copy = dict(environment)
        reach_loopback_directly(environment)
        assert environment == copy
