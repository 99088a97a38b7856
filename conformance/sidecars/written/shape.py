"""Holds what users write against models: fields that nobody knows are refused, with the nearest.

Kubernetes' own objects have their models in its client, made from the API's own description: so
the fields are those of the newest minor that the client knows.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import pydantic

from conformance.errors import UsageProblem
from conformance.machine.yaml_places import Place, dotted
from conformance.plan.spelling import did_you_mean
from conformance.sidecars.written.document import Document

Model = TypeVar("Model", bound=pydantic.BaseModel)
_Problem = tuple[int, UsageProblem]
_QUANTITIES = ("limits", "requests", "sizeLimit", "capacity")


def hold(document: Document, model: type[Model], content: Any, place: Place = ()) -> None:
    """Raises UsageProblem, naming line and field, for what does not fit the model: the first.

    content: what stands at ``place``; it may have been completed before.
    """
    found = [
        _unknown(document, names, [*place, *loc]) for names, loc in _strangers(model, content, ())
    ]
    try:
        model.model_validate(content)
    except pydantic.ValidationError as error:
        for one in error.errors(include_url=False):
            if one["type"] != "extra_forbidden" and not _quantity(dict(one)):
                found.append(_misfit(document, dict(one), place))
    if found:
        raise min(found, key=lambda one: one[0])[1] from None


def _quantity(error: Mapping[str, Any]) -> bool:
    """Whether it is about a number where the API takes a quantity, which may be one: cpu: 1."""
    number = isinstance(error["input"], int | float) and not isinstance(error["input"], bool)
    quantity = any(one in error["loc"] for one in _QUANTITIES)
    return error["type"] == "string_type" and number and quantity


def _misfit(document: Document, error: Mapping[str, Any], place: Place) -> _Problem:
    at = [*place, *(one for one in error["loc"] if not _of_pydantic(one))]
    if error["type"] == "missing":
        why = "is missing"
    else:
        said = str(error["msg"]).rstrip(".")
        why = f"is {_shown(error['input'])}: {said[:1].lower()}{said[1:]}"
    return document.line(at), document.problem(at, why)


def _unknown(document: Document, names: list[str], at: Place) -> _Problem:
    near = did_you_mean(str(at[-1]), names)
    where = f" in {dotted(at[:-1])}" if at[:-1] else ""
    choice = near or f"; there are {', '.join(sorted(names))}."
    line = document.line(at)
    return line, UsageProblem(f"{document.file}, line {line}: {at[-1]} is not known{where}{choice}")


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:40]}…"


def _of_pydantic(part: object) -> bool:
    """Whether a part of an error's place is pydantic's own word (a member of a union), no field."""
    return isinstance(part, str) and (part in ("int", "str", "float", "bool") or "[" in part)


def _strangers(
    model: type[pydantic.BaseModel], content: Any, loc: tuple[str | int, ...]
) -> Iterator[tuple[list[str], tuple[str | int, ...]]]:
    """Keys that no field is written by, with the names that there are. Not pydantic's own answer:
    the client's models take Python's names, too, and the API server does not."""
    if not isinstance(content, dict):
        return
    fields = {
        one.serialization_alias or name: one.annotation for name, one in model.model_fields.items()
    }
    names = [name for name in fields if name != "local_vars_configuration"]
    for key, value in content.items():
        if key not in fields:
            yield names, (*loc, key)
        elif (inner := _model_in(fields[key])) is not None:
            for part, item in _items(value):
                yield from _strangers(inner, item, (*loc, key, *part))


def _items(value: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield (number,), item
    else:
        yield (), value


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The model that a field's values, or their items, have; None for plain ones."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, pydantic.BaseModel) else None
    if typing.get_origin(annotation) is dict:
        return None
    for part in typing.get_args(annotation):
        if (found := _model_in(part)) is not None:
            return found
    return None
