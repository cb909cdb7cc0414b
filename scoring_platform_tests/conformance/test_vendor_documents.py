"""What we ask and what the sandbox answers, against the vendors' own descriptions, where those are at hand.

Every exchange of every table is held against the description: the path and its parameters, the body we send, the body
that comes back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate
from jsonschema import Draft202012Validator

from scoring_platform_tests.conformance.world import TABLES, Exchange, World
from scoring_platform_tests.http.loopback import Seen
from scoring_platform_tests.sources.vendor_specs import FOLDER, openapi, spec_path

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not FOLDER.exists(), reason="no copy of the vendors' descriptions at ../shared"),
]

Document = dict[str, Any]
Check = Callable[[Exchange], list[str]]


@dataclass(frozen=True)
class Described:
    """A vendor with an OpenAPI or Swagger description.

    Attributes:
        files: The documents; a path may be in any of them.
        mounted: What stands before the documents' paths at the sandbox.
    """

    files: tuple[str, ...]
    mounted: str

    def problems(self, exchange: Exchange) -> list[str]:
        """Return what in ``exchange`` the description does not know, one line each."""
        path = exchange.seen.path.removeprefix(self.mounted)
        for document in (openapi(file) for file in self.files):
            template = next((known for known in document["paths"] if _fits(known, path)), None)
            if template is not None:
                operation = document["paths"][template].get(exchange.seen.method.lower(), {})
                shared = document["paths"][template].get("parameters", [])
                return [*_asked(exchange, operation, shared, document), *_answered(exchange, operation, document)]
        return [f"{exchange.seen.method} {path} is not described"]


DESCRIBED = {
    "klaviyo": Described(("klaviyo/events-profiles.json",), "/klaviyo"),
    "mailchimp": Described(("mailchimp/marketing.json",), "/mailchimp/3.0"),
    "sendgrid": Described(("sendgrid/suppressions.v3.json",), "/sendgrid"),
    "ga4": Described(("ga4/data-v1beta.openapi3.json",), "/ga4"),
    "zendesk": Described(("zendesk/support.json",), "/zendesk"),
    "intercom": Described(("intercom/conversations-contacts.v2.15.json",), "/intercom"),
    "formbricks": Described(("formbricks/management.v2.json",), "/formbricks/api/v2"),
    "salesforce": Described(("salesforce/rest-bulk2.derived.openapi3.json",), "/salesforce"),
}

NOT_DESCRIBED = {"matomo": "publishes no description"}

NOT_IN_THE_COPY = ("'abandonedCheckouts'",)
"""Fields of Shopify's schema that the copy, cut down to orders and customers, leaves out."""


@lru_cache
def shop_schema() -> GraphQLSchema:
    """Shopify's own schema."""
    return build_schema(spec_path("shopify/admin-2026-07.orders-customers.graphql").read_text(encoding="utf-8"))


def graphql_problems(exchange: Exchange) -> list[str]:
    """Hold a query against Shopify's schema; the answer's shape follows from the query."""
    if not exchange.seen.path.endswith("/graphql.json"):
        return []
    messages = [error.message for error in validate(shop_schema(), parse(exchange.seen.json["query"]))]
    return [message for message in messages if not any(field in message for field in NOT_IN_THE_COPY)]


def shop_object_problems(exchange: Exchange) -> list[str]:
    """Hold the objects of a WooCommerce list against the schema of one."""
    kind = {"orders": "order", "customers": "customer"}.get(exchange.seen.path.rsplit("/", 1)[-1])
    if kind is None:
        return [f"{exchange.seen.path} is not described"]
    shape = openapi(f"woocommerce/{kind}.schema.json")
    return [problem for item in exchange.json for problem in _violations(_without_nulls(item), shape)]


def person_problems(exchange: Exchange) -> list[str]:
    """Hold Pipedrive's persons against its documents, whose copies have no deals, stages and lists of users."""
    if exchange.seen.path.rsplit("/", 1)[-1] in ("deals", "stages", "users"):
        return []
    return Described(("pipedrive/persons.v2.json",), "/pipedrive/api/v2").problems(exchange)


def contact_problems(exchange: Exchange) -> list[str]:
    """Hold HubSpot's contacts and properties against its documents, whose copies have no deals and owners."""
    path = exchange.seen.path.removeprefix("/hubspot")
    if path in ("/crm/v3/objects/deals", "/crm/v3/pipelines/deals", "/crm/v3/owners"):
        return []
    return Described(("hubspot/crm-contacts.v3.json", "hubspot/crm-properties.v3.json"), "/hubspot").problems(exchange)


CHECKS: dict[str, Check] = {
    **{name: described.problems for name, described in DESCRIBED.items()},
    "hubspot": contact_problems,
    "shopify": graphql_problems,
    "woocommerce": shop_object_problems,
    "pipedrive": person_problems,
}


def test_every_source_is_held_against_its_vendors_description_or_has_a_reason() -> None:
    assert {name.partition(".")[0] for name in TABLES} == CHECKS.keys() | NOT_DESCRIBED.keys()


@pytest.mark.parametrize("name", [name for name in TABLES if name.partition(".")[0] not in NOT_DESCRIBED])
def test_every_exchange_is_one_the_vendor_describes(world: World, name: str) -> None:
    check = CHECKS[name.partition(".")[0]]
    held = [one for one in world.baseline(name).exchanges if not one.is_token]

    problems = {problem for one in held for problem in check(one)}

    assert held
    assert sorted(problems) == []


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ({"per_pages": "5"}, b"{}", "unknown parameter per_pages"),
        ({"per_page": "many"}, b"{}", "per_page: : 'many' is not of type 'integer'"),
        ({}, b'{"tickets": [{"id": "one"}]}', "tickets.id: 'one' is not of type 'integer'"),
    ],
)
def test_a_request_or_an_answer_of_another_shape_would_be_noticed(
    query: dict[str, str], body: bytes, words: str
) -> None:
    seen = Seen("GET", "/zendesk/api/v2/incremental/tickets/cursor", query, {}, b"")

    assert words in CHECKS["zendesk"](Exchange(seen, 200, body))


def _fits(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(template)), path) is not None


def _asked(exchange: Exchange, operation: Document, shared: list[Document], document: Document) -> list[str]:
    parameters = [_resolved(one, document) for one in (*shared, *operation.get("parameters", []))]
    known = {one["name"]: one for one in parameters if one["in"] == "query"}
    unknown = [f"unknown parameter {name}" for name in exchange.seen.query if name not in known]
    missing = [f"missing {n}" for n, one in known.items() if one.get("required") and n not in exchange.seen.query]
    wrong = [
        f"{name}: {problem}"
        for name, value in exchange.seen.query.items()
        if name in known
        for problem in _violations(_typed(value, _shape(known[name], document)), _shape(known[name], document))
    ]
    return [*unknown, *missing, *wrong, *_sent(exchange, operation, document)]


def _sent(exchange: Exchange, operation: Document, document: Document) -> list[str]:
    described = _resolved(operation.get("requestBody", {}), document).get("content", {}).get("application/json")
    if described is None:
        return [f"{exchange.seen.path} takes no body"] if exchange.seen.body else []
    return _violations(exchange.seen.json, {**described["schema"], "components": document["components"]})


def _answered(exchange: Exchange, operation: Document, document: Document) -> list[str]:
    described = _resolved(operation["responses"][str(exchange.status)], document)
    shapes = [media["schema"] for media in described.get("content", {}).values()] or [described["schema"]]
    roots: Document = {name: document[name] for name in ("components", "definitions") if name in document}
    return _violations(_without_nulls(exchange.json), {**shapes[0], **roots})


def _violations(value: Any, shape: Document) -> list[str]:
    found = Draft202012Validator(shape).iter_errors(value)
    return [f"{'.'.join(part for part in one.path if isinstance(part, str))}: {one.message[:160]}" for one in found]


def _shape(parameter: Document, document: Document) -> Document:
    """The schema of a query parameter: OpenAPI has it apart, Swagger in the parameter itself."""
    inline = {key: value for key, value in parameter.items() if key in ("type", "items", "enum", "maximum", "minimum")}
    return _resolved(parameter.get("schema", inline), document)


def _typed(value: str, shape: Document) -> Any:
    """A query value as its schema sees it."""
    if shape.get("type") == "array":
        return value.split(",")
    if shape.get("type") in ("integer", "number", "boolean"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _resolved(node: Document, document: Document) -> Document:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _without_nulls(value: Any) -> Any:
    """Drop nulls, which OpenAPI 3.0 marks in a way JSON Schema does not know."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
