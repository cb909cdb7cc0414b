"""The page of all keys of ``scoring.yaml``, from the model that validates it.

Belongs here: model to Markdown. Does not belong here: the model, the wording of types (``types``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from scoring_platform.config.crm import Mapped
from scoring_platform.config.model import ScoringConfig
from scoring_platform.reference.markdown import WRITTEN_BY, code, table, words
from scoring_platform.reference.types import section_of, type_words

_INTRODUCTION = """# Configuration

Everything that differs between two companies is in one file, `scoring.yaml`. `SCORING_CONFIG` names it; without it the
packaged `scoring_platform/config/scoring.yaml` is used, which is that of the sandbox company and a starting point to
copy. Keys left out have the defaults below. An unknown key, a key given twice and a value that is not allowed are
errors that name the place and what is allowed.

Credentials never stand in the file. They come from the environment as `SCORING_<SYSTEM>_<NAME>`; `SCORING_HOME` is the
folder of all state, by default `var/` in the working directory. An endpoint is an `https://` address or `sandbox`.
"""

_LONGEST_DEFAULT = 60


@dataclass(frozen=True)
class Place:
    """One section at one place of the file, with its values when it is left out (None: it has none)."""

    path: str
    section: type[BaseModel]
    default: BaseModel | None

    @property
    def title(self) -> str:
        """The heading."""
        return f"`{self.path}`" if self.path else "Top level"


def configuration_page() -> str:
    """Return docs/configuration.md."""
    parts = [WRITTEN_BY, _INTRODUCTION]
    for place in places():
        rows = [_row(place, name, field) for name, field in place.section.model_fields.items()]
        about = words(place.section.__doc__ or "")
        parts.append(f"## {place.title}\n\n{about}\n\n{table(('Key', 'Type', 'Default', 'Meaning'), rows)}")
    return "\n".join(parts)


def places() -> Iterator[Place]:
    """Give every section at every place it can stand, the top level first, depth first."""
    seen: set[tuple[type[BaseModel], str]] = set()
    waiting = [Place("", ScoringConfig, None)]
    while waiting:
        place = waiting.pop(0)
        mark = (place.section, "" if place.default is None else place.default.model_dump_json())
        if mark in seen:
            continue
        seen.add(mark)
        yield place
        waiting = [*_below(place), *waiting]


def _below(place: Place) -> list[Place]:
    found = []
    for name, field in place.section.model_fields.items():
        section = section_of(field.annotation)
        if section is None:
            continue
        value = _default(place, name, field)
        path = ".".join(part for part in (place.path, name) if part) + _item(field.annotation)
        found.append(Place(path, section, value if isinstance(value, BaseModel) else None))
    return found


def _item(annotation: Any) -> str:
    """Return how an entry of a map or a list is written behind its key."""
    for candidate in (annotation, *get_args(annotation)):
        origin = get_origin(candidate)
        if origin is dict:
            return ".<name>"
        if origin in (tuple, list):
            return "[]"
    return ""


def _default(place: Place, name: str, field: FieldInfo) -> Any:
    if place.default is not None:
        return getattr(place.default, name)
    return field.get_default(call_default_factory=True, validated_data={})


def _row(place: Place, name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    section = section_of(field.annotation)
    about = field.description or words((section.__doc__ or "") if section else "")
    return code(name), type_words(field.annotation, field.metadata), _default_words(place, name, field), about


def _default_words(place: Place, name: str, field: FieldInfo) -> str:
    value = _default(place, name, field)
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "see below"
    text = json.dumps(_plain(value), ensure_ascii=False)
    if len(text) <= _LONGEST_DEFAULT:
        return code(text)
    return "see [segments](segments.md)" if place.path == "segments" else "as in the packaged file"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapped):
        return value.field if value.target == "contact" else {"field": value.field, "target": value.target}
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
