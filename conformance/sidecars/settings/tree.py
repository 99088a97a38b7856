"""Settings as trees: merged, compared leaf by leaf, and looked for in what became of them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from conformance.machine.yaml_places import dotted

Tree = dict[str, Any]
Path = tuple[str, ...]


def merged(below: Tree, above: Tree) -> Tree:
    """Both, with the upper one's word where both have one. Lists whose items have names are merged
    by them, as strategic merges do; others are replaced."""
    made = copy.deepcopy(below)
    for key, value in above.items():
        made[key] = _both(made[key], value) if key in made else copy.deepcopy(value)
    return made


def _both(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return merged(below, above)
    if _named(below) and _named(above):
        mine = {one["name"]: one for one in above}
        kept = [one for one in below if one["name"] not in mine]
        return copy.deepcopy([*kept, *above])
    return copy.deepcopy(above)


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)


def leaves(tree: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no mapping, with its place. A list is one value."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, (*at, str(key)))
    else:
        yield at, tree


def without(tree: Tree, dropped: Sequence[str]) -> tuple[Tree, list[str]]:
    """The tree without what patterns of places name ("components.*Gateways"), and those places."""
    patterns = [_pattern(one) for one in dropped]
    gone: list[str] = []

    def kept(value: Any, at: Path) -> Any:
        if not isinstance(value, dict):
            return value
        made = {}
        for key, item in value.items():
            place = dotted((*at, str(key)))
            if any(one.fullmatch(place) for one in patterns):
                gone.append(place)
            else:
                made[key] = kept(item, (*at, str(key)))
        return made

    return kept(tree, ()), gone


def overridden(users: Tree, suites: Tree) -> list[str]:
    """Where the suite's own word stands in the place of the user's: "a.b (theirs → ours)"."""
    ours = dict(leaves(suites))
    found = []
    for place, value in leaves(users):
        mine = ours.get(place)
        if place in ours and mine != value and not (_named(mine) and _named(value)):
            found.append(f"{dotted(place)} ({_short(value)} → {_short(mine)})")
    return found


def seen(users: Tree, pod: Any) -> tuple[list[str], list[str]]:
    """Which of the user's settings are to be found in a pod by their last key and their value, and
    where; and which are not, for most settings are the control plane's. A variable may say before
    the key whose it is (LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD)."""
    there: dict[str, list[tuple[str, str]]] = {}
    for place, value in _within(pod):
        there.setdefault(_last(place), []).append((_text(value), dotted(place)))
    found, unseen = [], []
    for place, value in leaves(users):
        key = _last(place)
        long = len(key) >= _TELLING
        named = [one for one in there if one == key or (long and one.endswith(key))]
        spots = [spot for one in named for text, spot in there[one] if text == _text(value)]
        if spots:
            found.append(f"{dotted(place)} = {_short(value)} ({spots[0]})")
        else:
            unseen.append(f"{dotted(place)} = {_short(value)}")
    return found, unseen


_TELLING = 10  # letters: a key so long is no other one's end by chance
_AMOUNTS = ("request", "limit")


def _last(place: Path) -> str:
    """The key by which a value is known; of an amount of a resource two, in one order: a chart has
    cpu.request, and a container requests.cpu."""
    if not place:
        return ""
    last, before = place[-1], place[-2] if len(place) > 1 else ""
    for amount, resource in ((last, before), (before, last)):
        if amount.rstrip("s") in _AMOUNTS and resource:
            return f"{amount.rstrip('s')} {resource}"
    return _plain(last)


def _within(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in a pod. A variable is at its name; JSON in a text is looked into."""
    if isinstance(value, dict):
        if set(value) == {"name", "value"}:
            yield from _within(value["value"], at)
            return
        for key, item in value.items():
            yield from _within(item, (*at, str(key)))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            name = item.get("name") if isinstance(item, dict) else None
            yield from _within(item, (*at, str(name or number)))
    elif isinstance(value, str) and value[:1] in "{[" and (parsed := _json(value)) is not None:
        yield from _within(parsed, at)
    else:
        yield at, value


def _json(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of a place; a star stands for any part of one name."""
    return re.compile(re.escape(text).replace(r"\*", "[^.]*"))


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(value: Any) -> str:
    text = json.dumps(value, default=str) if isinstance(value, dict | list) else _text(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def as_tree(value: Mapping[str, Any] | None) -> Tree:
    """An empty tree for nothing."""
    return dict(value or {})
