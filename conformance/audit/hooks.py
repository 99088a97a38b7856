"""What preStop hooks do to the container that has them, and how long a container takes to end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from conformance.audit.document import Json, Path, mapping
from conformance.audit.subject import Container, Subject, words

# Ways to end a sidecar, or to have it drain itself. "kill -0" only asks whether a process lives.
_QUITS = re.compile(
    r"quitquitquit|drain_listeners|healthcheck/fail"
    r"|\bpilot-agent\b.*\b(?:exit|quit)\b"
    r"|\b(?:pkill|killall)\b(?!\s+-0\b)"
    r"|(?<![\w.-])kill\s+(?!-(?:0|s\s*0)\b)"
    r"|(?:https?://|localhost|127\.0\.0\.1)\S*/shutdown(?![\w-])"
    r"|\b(?:nginx|envoy|haproxy)\s+-s\s+(?:quit|stop)"
    r"|\blinkerd-await\b.*--shutdown"
)
_QUIT_PATHS = re.compile(r"quit|shutdown|drain|terminate|exit|healthcheck/fail|stop")
# What stands before these words has waited for the app: the quit comes when nobody needs it.
_WAITS = re.compile(r"\b(?:while|until)\b")
_SLEEP = re.compile(r"\bsleep\s+(\d+(?:\.\d+)?)([smh]?)\b")
_FACTOR = {"": 1, "s": 1, "m": 60, "h": 3600}
# How long a program may take after SIGTERM, as its own flags say (seconds or Go durations):
# cloud-sql-proxy 2 and 1, gunicorn, hypercorn, daprd, and what others call theirs.
_FLAGS = re.compile(
    r"--?(?:max-sigterm-delay|term_timeout|graceful-timeout|dapr-graceful-shutdown-seconds"
    r"|graceful-shutdown-timeout|shutdown-grace-period|shutdown-timeout|shutdown-delay)"
    r"[= ]\"?(\d+)(ms|s|m|h)?\b"
)
# The same by environment: Istio's agent, Spring Boot, gunicorn, and what others call theirs.
_VARIABLES = (
    "TERMINATION_DRAIN_DURATION_SECONDS",
    "MINIMUM_DRAIN_DURATION",
    "SPRING_LIFECYCLE_TIMEOUT_PER_SHUTDOWN_PHASE",
    "GRACEFUL_TIMEOUT",
    "SHUTDOWN_TIMEOUT",
    "GRACEFUL_SHUTDOWN_TIMEOUT",
)
# The same by annotation on the pod, for what an injector brings.
_ANNOTATIONS: Mapping[str, re.Pattern[str]] = {
    "proxy.istio.io/config": re.compile(r"terminationDrainDuration\"?:\s*\"?(\d+)(ms|s|m|h)"),
    "config.linkerd.io/proxy-wait-before-exit-seconds": re.compile(r"^(\d+)()$"),
    "config.alpha.linkerd.io/proxy-wait-before-exit-seconds": re.compile(r"^(\d+)()$"),
    "dapr.io/graceful-shutdown-seconds": re.compile(r"^(\d+)()$"),
    "dapr.io/block-shutdown-duration": re.compile(r"^(\d+)(ms|s|m|h)$"),
}


@dataclass(frozen=True)
class Ending:
    """How long something takes to end. sure: seconds that it certainly takes (hooks that sleep);
    most: what it may take beside that. what: the field that says so."""

    sure: float
    most: float
    what: str
    path: Path


def pre_stop(container: Container) -> Json:
    """The preStop hook; empty where there is none."""
    return mapping(mapping(container.spec.get("lifecycle")).get("preStop"))


def quits(container: Container) -> str:
    """What a preStop hook does that takes its container away early; "" where it does not."""
    hook = pre_stop(container)
    asked = str(mapping(hook.get("httpGet")).get("path") or "")
    if _QUIT_PATHS.search(asked):
        return f"GET {asked}"
    text = words(mapping(hook.get("exec")).get("command"))
    found = _QUITS.search(text)
    if found and not _WAITS.search(text[: found.start()]):
        return found[0].strip()
    return ""


def drains(container: Container) -> bool:
    """Whether the hook is Istio's own, which POSTs "drain" to the agent."""
    text = words(mapping(pre_stop(container).get("exec")).get("command"))
    return re.search(r"\bpilot-agent request\b.*\bPOST drain\b", text) is not None


def quits_then_sleeps(container: Container) -> bool:
    """Whether a hook that quits also sleeps (the article's Step 5)."""
    return _slept(words(mapping(pre_stop(container).get("exec")).get("command"))) > 0


def ending(container: Container) -> Ending:
    """What the hook, the flags and the environment of a container say of its end."""
    sure = _hook(container)
    path = (*container.path, "lifecycle", "preStop") if sure else container.path
    drain, what = _drain(container)
    told = f"its preStop hook sleeps {sure:g} s" if sure else ""
    return Ending(sure, drain, " and ".join(filter(None, (told, what))), path)


def asked_drains(subject: Subject) -> Iterator[tuple[float, str]]:
    """Drains that annotations ask an injector for: seconds, and the annotation's name."""
    for name, pattern in _ANNOTATIONS.items():
        found = pattern.search(subject.marks.get(name, ""))
        if found:
            yield _seconds(found[1], found[2]), name


def _hook(container: Container) -> float:
    hook = pre_stop(container)
    sleep = mapping(hook.get("sleep")).get("seconds")
    if isinstance(sleep, int | float):
        return float(sleep)
    return _slept(words(mapping(hook.get("exec")).get("command")))


def _slept(text: str) -> float:
    return sum(float(number) * _FACTOR[unit] for number, unit in _SLEEP.findall(text))


def _drain(container: Container) -> tuple[float, str]:
    found = _FLAGS.search(container.words)
    if found:
        return _seconds(found[1], found[2] or ""), f"{found[0].strip()} gives it time to drain"
    for name in _VARIABLES:
        value = re.fullmatch(r"(\d+)(ms|s|m|h)?", container.env.get(name, ""))
        if value:
            seconds = _seconds(value[1], value[2] or "")
            return seconds, f"{name}={value[0]} gives it time to drain"
    return 0.0, ""


def _seconds(number: str, unit: str) -> float:
    return float(number) / 1000 if unit == "ms" else float(number) * _FACTOR[unit]
