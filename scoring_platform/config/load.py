"""Reads ``scoring.yaml``, validates it and names it by its hash.

Belongs here: file to validated model, and errors in the reader's words. Does not belong here: the model.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import ValidationError

from scoring_platform.config.model import ScoringConfig
from scoring_platform.errors import ConfigurationError


@dataclass(frozen=True)
class LoadedConfig:
    """A validated configuration, the file it came from and its version."""

    config: ScoringConfig
    path: Path
    text: str
    version: str

    def archive(self, folder: Path) -> Path:
        """Keep the file under its version in ``folder`` and return where."""
        target = folder / f"{self.version}.yaml"
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(f".{uuid.uuid4().hex}")
            partial.write_text(self.text, encoding="utf-8")
            partial.replace(target)
        return target


def load_config(path: Path) -> LoadedConfig:
    """Read and validate the configuration at ``path``.

    Raises:
        ConfigurationError: The file is missing, is not YAML, or a value is not allowed. The message names the file,
            the place in it, the value and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path}: the configuration cannot be read ({error.strerror}); set SCORING_CONFIG to a scoring.yaml"
        raise ConfigurationError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path}: the configuration is not UTF-8 text ({error.reason} at byte {error.start})"
        raise ConfigurationError(msg) from error
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 -- a SafeLoader that is stricter still
    except (yaml.YAMLError, ValueError) as error:  # a value such as `!!int x` is no YAML error to the parser
        msg = f"{path}: not valid YAML: {error}"
        raise ConfigurationError(msg) from error
    if not isinstance(data, dict):
        found = "nothing" if data is None else f"a {type(data).__name__}"
        msg = f"{path}: the file must hold keys such as time_zone and sources; it holds {found}"
        raise ConfigurationError(msg)
    try:
        config = ScoringConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError(_describe(path, error)) from error
    return LoadedConfig(config=config, path=path, text=text, version=version_of(config))


def version_of(config: ScoringConfig) -> str:
    """Return the 12-digit hash that names ``config``; comments and key order do not matter."""
    return digest(config.model_dump(mode="json"))


def digest(value: Any) -> str:
    """Return a 12-digit hash of a JSON-like value, independent of key order."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _describe(path: Path, error: ValidationError) -> str:
    lines = [f"{path}: {error.error_count()} problem(s)"]
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {place}: unknown key; {_allowed_keys(problem['loc'])}")
            continue
        whole_section = problem["type"] == "value_error" and isinstance(problem["input"], dict)  # the message names it
        value = "" if problem["type"] == "missing" or whole_section else f" (value: {_shorten(problem['input'])})"
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"  {place}: {message}{value}")
    return "\n".join(lines)


def _allowed_keys(loc: tuple[int | str, ...]) -> str:
    kind: Any = ScoringConfig
    for part in loc[:-1]:
        kind = _inside(kind, part)
    sections = [candidate for candidate in _alternatives(kind) if hasattr(candidate, "model_fields")]
    keys = sorted({name for section in sections for name in section.model_fields})
    return f"allowed here: {', '.join(keys)}" if keys else "no keys are allowed here"


def _inside(kind: Any, part: int | str) -> Any:
    """Return the type found under ``part``: a key of a section, a key of a mapping, a place in a list."""
    for candidate in _alternatives(kind):
        if hasattr(candidate, "model_fields") and part in candidate.model_fields:
            return candidate.model_fields[part].annotation
        if get_origin(candidate) in (dict, tuple, list):
            return get_args(candidate)[1 if get_origin(candidate) is dict else 0]
    return None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error, and a date stays text for the model to judge."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add((key.tag, key.value))
        return node


_UniqueKeyLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
