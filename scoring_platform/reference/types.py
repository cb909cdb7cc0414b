"""Types of configuration keys in words.

Belongs here: annotation and constraints to words. Does not belong here: the page they stand on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel

from scoring_platform.config import base
from scoring_platform.config.crm import Mapped

_SIMPLE: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    Decimal: "decimal number",
    bool: "true or false",
    date: "day (YYYY-MM-DD)",
    NoneType: "null",
    Mapped: "field name, or `{field, target}`",
}
_VALIDATED = {
    get_args(base.ZoneName)[1].func: "time zone name",
    get_args(base.Endpoint)[1].func: "address or `sandbox`",
}


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section an annotation is, or holds in a list, a map or as an option."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = section_of(part)
        if found is not None:
            return found
    return None


def type_words(annotation: Any, constraints: Sequence[Any] = ()) -> str:
    """Return the type of a key in words, its limits included."""
    for constraint in constraints:
        if isinstance(constraint, AfterValidator) and constraint.func in _VALIDATED:
            return _VALIDATED[constraint.func]
    limits = _limits(constraints)
    return _bare_words(annotation) + (f", {limits}" if limits else "")


def _bare_words(annotation: Any) -> str:
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(parts[0], parts[1:])
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in parts)
    if origin in (Union, UnionType):
        return " or ".join(type_words(part) for part in parts)
    if origin is dict:
        return f"map of {_bare_words(parts[0])} to {_bare_words(parts[1])}"
    if origin in (tuple, list):
        return _list_words(parts)
    return "section"


def _list_words(parts: tuple[Any, ...]) -> str:
    if len(parts) > 1 and Ellipsis not in parts:
        return f"list of {len(parts)}: {_bare_words(parts[0])}"
    return f"list of {_bare_words(parts[0])}"


def _limits(constraints: Sequence[Any]) -> str:
    """Return the bounds and the pattern of a value, such as "1 to 365"."""
    given = {
        name: getattr(constraint, name)
        for constraint in constraints
        for name in ("ge", "gt", "le", "lt", "pattern")
        if getattr(constraint, name, None) is not None
    }
    low, high = given.get("ge"), given.get("le")
    said = []
    if low is not None and high is not None:
        said.append(f"{low} to {high}")
    elif low is not None or high is not None:
        said.append(f"at least {low}" if high is None else f"at most {high}")
    said += [f"above {given['gt']}"] if "gt" in given else []
    said += [f"below {given['lt']}"] if "lt" in given else []
    said += [f"like `{given['pattern']}`"] if "pattern" in given else []
    return ", ".join(said)
