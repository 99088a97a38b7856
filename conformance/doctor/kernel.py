"""What a kernel has of what redirection needs, read from what is there; no rule is made."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from conformance.doctor.facts import Has

# Feature → the module, what shows it in /proc/net ("file" or "file:word"), the option of the
# kernel's config. Since Linux 6.17 the legacy tables have an option of their own.
_SIGNS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "legacy": (
        "ip_tables",
        ("ip_tables_names",),
        ("CONFIG_IP_NF_IPTABLES_LEGACY", "CONFIG_IP_NF_IPTABLES"),
    ),
    "nft": ("nf_tables", (), ("CONFIG_NF_TABLES",)),
    "owner": ("xt_owner", ("ip_tables_matches:owner",), ("CONFIG_NETFILTER_XT_MATCH_OWNER",)),
    "redirect": (
        "xt_REDIRECT",
        ("ip_tables_targets:REDIRECT",),
        ("CONFIG_NETFILTER_XT_TARGET_REDIRECT",),
    ),
}


def features(
    proc: Mapping[str, str], loaded: Collection[str], modules: Collection[str], config: str
) -> Mapping[str, Has]:
    """Feature → whether the kernel has it.

    proc: files of /proc/net and their text. loaded: modules that are loaded. modules: those that
    can be loaded or are built in; empty where no list is to be seen. config: the kernel's, or "".
    """
    found: dict[str, Has] = {}
    for name, (module, signs, options) in _SIGNS.items():
        if module in loaded or module in modules or any(_shown(sign, proc) for sign in signs):
            found[name] = "yes"
        elif modules:
            found[name] = "no"
        else:
            found[name] = _configured(config, options)
    return found


def _shown(sign: str, proc: Mapping[str, str]) -> bool:
    file, _, word = sign.partition(":")
    return file in proc and (not word or word in proc[file].split())


def _configured(config: str, options: tuple[str, ...]) -> Has:
    """The first option that the config knows of at all."""
    if not config:
        return "unknown"
    for option in options:
        if re.search(rf"^{option}=[ym]$", config, re.MULTILINE):
            return "yes"
        if re.search(rf"^# {option} is not set$", config, re.MULTILINE):
            return "no"
    return "no"
