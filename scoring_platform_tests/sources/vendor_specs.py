"""The vendors' published documents, where a copy lies next to the repository.

Belongs here: finding them and validating requests against them. Does not belong here: the documents themselves, some
of which may not be redistributed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from scoring_platform_tests.http.loopback import Seen

FOLDER = Path(__file__).parents[3] / "shared" / "vendor-specs"


def spec_path(name: str) -> Path:
    """Return the document, or skip the test when there is no copy."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"no copy of the vendor's document {name} at ../shared/vendor-specs")
    return path


@lru_cache
def openapi(name: str) -> dict[str, Any]:
    """Return an OpenAPI document."""
    document: dict[str, Any] = json.loads(spec_path(name).read_text(encoding="utf-8"))
    return document


def check_query(seen: Seen, document: dict[str, Any], path: str) -> None:
    """Assert that every query parameter is declared for ``path`` and within its type, range or list."""
    item = document["paths"][path]
    parameters = [_resolved(p, document) for p in _parameters(item, seen.method)]
    declared = {p["name"]: p for p in parameters}
    for name, value in seen.query.items():
        assert name in declared, f"{path} knows no parameter {name}; it has {sorted(declared)}"
        schema = _resolved(declared[name]["schema"], document)
        _check(value, schema, document)
    required = {name for name, p in declared.items() if p.get("required") and p["in"] == "query"}
    assert required <= seen.query.keys()


def check_body(body: Any, document: dict[str, Any], schema: str) -> None:
    """Assert that ``body`` fits a named schema and uses no property that the schema lacks."""
    closed = {name: {"additionalProperties": False, **kind} for name, kind in document["components"]["schemas"].items()}
    rooted = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": closed}}
    jsonschema.validate(body, rooted)


def _parameters(item: dict[str, Any], method: str) -> list[dict[str, Any]]:
    return [*item.get("parameters", []), *item[method.lower()].get("parameters", [])]


def _resolved(node: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _check(value: str, schema: dict[str, Any], document: dict[str, Any]) -> None:
    if schema.get("type") == "array":
        for part in value.split(","):
            _check(part, _resolved(schema["items"], document), document)
    elif schema.get("type") in ("integer", "number"):
        jsonschema.validate(float(value) if schema["type"] == "number" else int(value), schema)
    elif schema.get("type") == "boolean":
        assert value in ("true", "false")
    else:
        jsonschema.validate(value, schema)
