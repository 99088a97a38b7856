"""Injectors themselves: their webhooks, and their templates."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from conformance.audit import known, patch
from conformance.audit.document import Document, Path, mapping, mappings
from conformance.audit.rule import Hit, Rule, object_rule, rule
from conformance.audit.subject import Container, Subject, at
from conformance.audit.world import World

# Istio's own templates (manifests/charts/istio-control/istio-discovery/files): no user's.
_OWN = (
    "sidecar",
    "gateway",
    "grpc-simple",
    "grpc-agent",
    "waypoint",
    "kube-gateway",
    "agentgateway",
)
_PROXY = "istio-proxy"


@object_rule(
    Rule(
        id="injector-may-be-missed",
        title="With the injector down, pods come up without their sidecar, and nobody notices",
        level="warning",
        behaviour="inject.outage",
        see="kubectl get mutatingwebhookconfiguration NAME -o jsonpath='{.webhooks[*]"
        ".failurePolicy}' says Ignore: a pod that is made while the injector is away has no "
        "sidecar.",
        repair="Set failurePolicy: Fail, and run more than one replica of the injector.",
        kinds=("MutatingWebhookConfiguration",),
    )
)
def ignored(document: Document, world: World) -> Iterator[Hit]:
    """Webhooks of known injectors, for pods."""
    del world
    for place, hook in mappings(document.content.get("webhooks")):
        names = (document.name, str(hook.get("name") or ""))
        if hook.get("failurePolicy") != "Ignore" or not any(map(known.injects, names)):
            continue
        if any("pods" in (row.get("resources") or []) for _, row in mappings(hook.get("rules"))):
            path: Path = ("webhooks", place, "failurePolicy")
            yield Hit(
                path,
                f"Webhook {hook.get('name')} is ignored when it does not answer.",
                patch=patch.put(document, path, "Fail"),
            )


@object_rule(
    Rule(
        id="template-names-the-proxy",
        title="A custom injection template names the proxy under containers",
        level="warning",
        behaviour="move.pattern-flip",
        source="istio/istio#56455",
        see="kubectl create --dry-run=server -f POD.yaml is refused: the proxy is there twice, "
        "under containers and under initContainers.",
        repair="Write the template's part for istio-proxy under initContainers where the proxy is "
        "native (Istio 1.27 and later on Kubernetes 1.33), and under containers where it is not.",
        kinds=("ConfigMap", "IstioOperator"),
    )
)
def template(document: Document, world: World) -> Iterator[Hit]:
    """From Istio 1.27 on the default is native, and such a template is refused."""
    del world
    if document.kind == "IstioOperator":
        path: Path = ("spec", "values", "sidecarInjectorWebhook", "templates")
        templates = at(document.content, path)
    elif document.name.startswith("istio-sidecar-injector"):
        path = ("data", "config")
        templates = _templates(str(mapping(document.content.get("data")).get("config") or ""))
    else:
        return
    for name, text in templates.items():
        if name not in _OWN and _names_proxy(str(text)):
            yield Hit(
                (*path, name) if document.kind == "IstioOperator" else path,
                f"Template {name} has {_PROXY} under containers: an injector that makes it native "
                "has it twice.",
            )


@rule(
    Rule(
        id="rewritten-probe-without-target",
        title="A probe was turned to Istio's agent, and the agent was not told what to ask",
        level="error",
        behaviour="start.unready-sidecar",
        source="istio/istio#56102",
        see="kubectl describe pod POD says that a probe failed with 404, for ever, and the pod "
        "stays in Init or unready.",
        repair="Order the webhooks so that Istio's comes last (reinvocationPolicy: Never on the "
        'other), or annotate the pod with sidecar.istio.io/rewriteAppHTTPProbers: "false".',
    )
)
def untold(subject: Subject, world: World) -> Iterator[Hit]:
    """The agent answers /app-health/CONTAINER/PROBE from ISTIO_KUBE_APP_PROBERS: what another
    webhook adds later is rewritten when Istio's is invoked again, and is not in that table."""
    del world
    everyone = (*subject.inits, *subject.regular)
    tables = [one.env.get("ISTIO_KUBE_APP_PROBERS", "") for one in everyone if _is_proxy(one)]
    if not tables:
        return
    for one in everyone:
        for key in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = mapping(mapping(one.spec.get(key)).get("httpGet"))
            path = str(asked.get("path") or "")
            if path.startswith("/app-health/") and not any(
                f'"{path}"' in table for table in tables
            ):
                yield Hit(
                    (*one.path, key),
                    f"{one.name}'s {key} asks the agent for {path}, which it does not know.",
                    one.name,
                )


def _is_proxy(container: Container) -> bool:
    return container.known is not None and container.known.id == "istio"


def _templates(config: str) -> dict[str, object]:
    try:
        return dict(mapping(mapping(yaml.load(config, yaml.CSafeLoader)).get("templates")))
    except yaml.YAMLError:
        return {}


def _names_proxy(text: str) -> bool:
    """Whether a template's text (Go template and YAML) has the proxy in its list of containers."""
    lines, inside, depth = text.splitlines(), False, 0
    for line in lines:
        start = re.match(r"(\s*)(-\s+)?(\w+):\s*$", line)
        if start and start[3] in ("containers", "initContainers"):
            inside, depth = start[3] == "containers", len(start[1])
        elif inside and line.strip() and not line.strip().startswith(("{{", "-", "#")):
            inside = len(line) - len(line.lstrip()) > depth
        if inside and re.match(rf"\s*(?:-\s+)?name:\s*[\"']?{_PROXY}[\"']?\s*$", line):
            return True
    return False
