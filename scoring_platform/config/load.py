"""Reads ``scoring.yaml``, validates it and names it by its hash.

Belongs here: file to validated model, and errors in the reader's words. Does not belong here: the model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
            partial = target.with_suffix(".partial")
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
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        msg = f"{path}: not valid YAML: {error}"
        raise ConfigurationError(msg) from error
    if not isinstance(data, dict):
        msg = f"{path}: the file must hold keys such as time_zone and sources, not {type(data).__name__}"
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
        value = "" if problem["type"] == "missing" else f" (value: {_shorten(problem['input'])})"
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"  {place}: {message}{value}")
    return "\n".join(lines)


def _allowed_keys(loc: tuple[int | str, ...]) -> str:
    model: Any = ScoringConfig
    for part in loc[:-1]:
        model = _child(model, part)
        if model is None:
            return "see docs/configuration.md for the allowed keys"
    return f"allowed here: {', '.join(sorted(model.model_fields))}"


def _child(model: Any, part: int | str) -> Any:
    field = getattr(model, "model_fields", {}).get(part)
    if field is None:
        return None
    for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
        if hasattr(candidate, "model_fields"):
            return candidate
    return None


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
