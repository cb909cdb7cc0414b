"""The sandbox's answers against the vendors' own descriptions, where those are at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType, GraphQLSchema
from jsonschema import Draft202012Validator

from scoring_platform.sandbox.shopify import schema
from scoring_platform_tests.sandbox.client import Client
from scoring_platform_tests.sandbox.conftest import specs
from scoring_platform_tests.sources.shop import vendor_schema

pytestmark = pytest.mark.skipif(not specs().exists(), reason="the vendors' descriptions are not at hand")


def test_every_type_field_and_argument_of_the_shop_exists_at_the_vendor() -> None:
    assert list(_missing(schema(), vendor_schema())) == []


def _missing(ours: GraphQLSchema, vendor: GraphQLSchema) -> Iterator[str]:
    for name, kind in ours.type_map.items():
        if not isinstance(kind, GraphQLObjectType) or name.startswith("__"):
            continue
        theirs = vendor.type_map.get(name)
        fields = theirs.fields if isinstance(theirs, GraphQLObjectType) else {}
        for field_name, field in kind.fields.items():
            if field_name not in fields:
                yield f"{name}.{field_name}"
            else:
                yield from (f"{name}.{field_name}({a})" for a in field.args if a not in fields[field_name].args)


def test_events_match_the_vendors_description(client: Client) -> None:
    page = next(client.events(include="profile,metric"))
    _check(page, specs() / "klaviyo" / "events-profiles.json", "/api/events", media="application/vnd.api+json")


def test_tickets_match_the_vendors_description(client: Client) -> None:
    path = "/api/v2/incremental/tickets/cursor"
    _check(next(client.tickets(size=100)), specs() / "zendesk" / "support.json", path)


def test_responses_match_the_vendors_description(client: Client) -> None:
    _check(client.responses(limit="250"), specs() / "formbricks" / "management.v2.json", "/management/responses")


def test_reports_match_the_vendors_description(client: Client) -> None:
    document = json.loads((specs() / "ga4" / "data-v1beta.openapi3.json").read_text(encoding="utf-8"))
    page = client.report("2026-02-01", "2026-02-03").json()
    _validate(page, document, {"$ref": "#/components/schemas/RunReportResponse"})


def _check(answer: Any, file: Path, path: str, *, media: str = "application/json") -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    _validate(answer, document, document["paths"][path]["get"]["responses"]["200"]["content"][media]["schema"])


def _validate(answer: Any, document: dict[str, Any], shape: dict[str, Any]) -> None:
    assert answer
    problems = Draft202012Validator({**shape, "components": document["components"]}).iter_errors(_without_nulls(answer))
    assert [f"{list(problem.path)}: {problem.message[:200]}" for problem in problems] == []


def _without_nulls(value: Any) -> Any:
    """Drop nulls, which OpenAPI 3.0 marks in a way JSON Schema does not know."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
