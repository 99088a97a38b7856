"""The bridge, addresses and firewall rules of the suite's own engine, apart from any other's.

Two engines on one machine know nothing of each other. So this one gets a bridge of its own and
one private /16 that overlaps no route, address or name server of the machine; its default bridge
takes the first /24 of it, and every network made later takes another.

The firewall rules are the suite's too (the daemon runs with iptables off): a dockerd that starts
empties the chains DOCKER, DOCKER-ISOLATION-STAGE-1 and -2, which all engines share, and so takes
published ports and isolation from the containers of the other engine. Three rules that name our
/16 give containers a way out and leave nothing behind. Ports published on the host are served by
docker-proxy and need no rule. Networks of this one engine are not isolated from each other.
"""

from __future__ import annotations

import hashlib
import json
import random
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from conformance.errors import EnvironmentProblem
from conformance.machine import process
from conformance.machine.system_path import find

# Kubernetes' usual Service and pod ranges (kubeadm and kind defaults) must stay free in the nodes.
_RESERVED = (IPv4Network("10.96.0.0/12"), IPv4Network("10.244.0.0/16"))
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True)
class Bridge:
    """name: the interface; pool: the /16 of the engine; forwarding: ip_forward as it was found."""

    name: str
    pool: str
    forwarding: str

    @property
    def address(self) -> str:
        """The bridge's own address, with its prefix length."""
        return f"{IPv4Network(self.pool)[1]}/24"


def create(home: Path) -> Bridge:
    """Make and raise the bridge of the engine in ``home``; the same addresses as last time if free.

    Raises EnvironmentProblem when no private range is free or the interface cannot be made.
    """
    name = bridge_name(home)
    remembered = _remembered(home)
    pool = choose(taken(ignoring=name), home, remembered.pool if remembered else None)
    forwarding = _IP_FORWARD.read_text().strip()
    if remembered and remembered.forwarding == "0":
        forwarding = "0"  # an engine that was killed left it on
    bridge = Bridge(name, str(pool), forwarding)
    (home / "bridge.json").write_text(json.dumps(asdict(bridge)))
    # dockerd would set the FORWARD policy to DROP for the whole machine if it had to do this.
    _IP_FORWARD.write_text("1\n")
    if not Path("/sys/class/net", name).exists():
        _ip("link", "add", name, "type", "bridge")
    _ip("address", "replace", bridge.address, "dev", name)
    _ip("link", "set", name, "up")
    for rule in rules(bridge.pool):
        _iptables(*rule)
    return bridge


def remove(home: Path, *, others: bool) -> None:
    """Take away the engine's interfaces and the firewall rules that name them. Idempotent.

    others: another engine runs on this machine; forwarding then stays on.
    """
    bridge = _remembered(home)
    if bridge is None:
        return
    pool = IPv4Network(bridge.pool)
    names = [name for name, net in _addresses() if net.subnet_of(pool) and _is_bridge(name)]
    if Path("/sys/class/net", bridge.name).exists():
        names.append(bridge.name)
    for table, rule in _rules():
        if concerns(rule, set(names) | {bridge.name}, pool):
            with suppress(EnvironmentProblem):
                _iptables("-t", table, "-D", *shlex.split(rule)[1:])
    for name in dict.fromkeys(names):
        with suppress(EnvironmentProblem):
            _ip("link", "delete", name)
    if bridge.forwarding == "0" and not others:
        _IP_FORWARD.write_text("0\n")
        (home / "bridge.json").write_text(json.dumps(asdict(bridge)))


def bridge_name(home: Path) -> str:
    """At most 15 characters (IFNAMSIZ), and the same for the same folder."""
    return "sc-" + hashlib.sha256(str(home).encode()).hexdigest()[:8]


def choose(routed: Iterable[IPv4Network], home: Path, wanted: str | None = None) -> IPv4Network:
    """A private /16 that overlaps none of ``routed``; ``wanted`` if it is free.

    Folders get different orders, so that two engines that start at once rarely want the same.
    """
    busy = [*routed, *_RESERVED]
    ten = [IPv4Network(f"10.{second}.0.0/16") for second in range(16, 250)]
    random.Random(str(home)).shuffle(ten)
    candidates = [
        *([IPv4Network(wanted)] if wanted else []),
        *ten,
        *(IPv4Network(f"172.{second}.0.0/16") for second in range(31, 15, -1)),
        *(IPv4Network(f"198.{second}.0.0/16") for second in (18, 19)),  # RFC 2544, for benchmarks
    ]
    free = (one for one in candidates if not any(one.overlaps(other) for other in busy))
    found = next(free, None)
    if found is None:
        raise EnvironmentProblem(
            "No private address range is left for the suite's own Docker engine: every one of "
            "10.0.0.0/8 and 172.16.0.0/12 is routed here; start a Docker engine yourself."
        )
    return found


def rules(pool: str) -> list[list[str]]:
    """iptables arguments: containers reach each other and the outside, which sees the machine.

    Inserted, not appended: another engine may end FORWARD with a policy of DROP.
    """
    accept = ["-j", "ACCEPT"]
    answers = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    return [
        ["-I", "FORWARD", "-s", pool, *accept],
        ["-I", "FORWARD", "-d", pool, *answers, *accept],
        ["-t", "nat", "-I", "POSTROUTING", "-s", pool, "!", "-d", pool, "-j", "MASQUERADE"],
    ]


def taken(ignoring: str) -> list[IPv4Network]:
    """Everything that is routed, assigned or asked for names here, but for one interface's own."""
    found = []
    for route in _ip_json("route", "show", "table", "all"):
        if route.get("dev") != ignoring:
            found += _networks(str(route.get("dst", "")))
    with suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text().splitlines():
            if line.startswith("nameserver"):
                found += _networks(line.split()[1])
    return [network for network in found if network.prefixlen > 0]


def _networks(text: str) -> list[IPv4Network]:
    with suppress(ValueError):
        network = ip_network(text, strict=False)
        if isinstance(network, IPv4Network):
            return [network]
    return []


def _addresses() -> list[tuple[str, IPv4Network]]:
    return [
        (link["ifname"], IPv4Network(f"{address['local']}/32"))
        for link in _ip_json("address")
        for address in link.get("addr_info", ())
        if address.get("family") == "inet"
    ]


def _is_bridge(name: str) -> bool:
    return Path("/sys/class/net", name, "bridge").exists()


def _rules() -> list[tuple[str, str]]:
    """(table, "-A chain …") of every IPv4 rule; empty where there is no iptables."""
    program = find("iptables-save")
    if program is None:
        return []
    table, found = "filter", []
    for line in process.run([program], what="reading the firewall rules").splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A "):
            found.append((table, line))
    return found


def concerns(rule: str, names: set[str], pool: IPv4Network) -> bool:
    """Whether a rule names one of the interfaces or an address of the pool."""
    for word in shlex.split(rule):
        if word in names:
            return True
        with suppress(ValueError):
            if ip_address(word.partition("/")[0]) in pool:
                return True
    return False


def _remembered(home: Path) -> Bridge | None:
    try:
        return Bridge(**json.loads((home / "bridge.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _ip(*arguments: str) -> None:
    process.run(
        [find("ip") or "ip", *arguments], what="setting up the bridge of the suite's own engine"
    )


def _iptables(*arguments: str) -> None:
    process.run(
        [find("iptables") or "iptables", "-w", *arguments],
        what="setting the firewall rules of the engine",
    )


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    said = process.run(
        [find("ip") or "ip", "-j", "-4", *arguments], what="reading the machine's addresses"
    )
    return list(json.loads(said or "[]"))
