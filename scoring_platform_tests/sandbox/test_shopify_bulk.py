"""The sandbox shop's bulk operations and checkouts keep the vendor's rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import iso_z
from scoring_platform_tests.sandbox.client import Client

RUN = """mutation Run($query: String!) {
  bulkOperationRunQuery(query: $query) { bulkOperation { id status } userErrors { code message } } }"""
STATE = """query State($id: ID!) {
  bulkOperation(id: $id) { status errorCode objectCount rootObjectCount url fileSize partialDataUrl } }"""
SINCE = "updated_at:>='2026-02-01'"
LINED = f'{{ orders(query: "{SINCE}") {{ edges {{ node {{ id lineItems {{ edges {{ node {{ id }} }} }} }} }} }} }}'
CARTS = """query Carts($n: Int!, $after: String, $q: String) {
  abandonedCheckouts(first: $n, after: $after, query: $q) {
    nodes { id createdAt updatedAt completedAt customer { id } }
    pageInfo { hasNextPage endCursor } } }"""


def start(client: Client, query: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.graphql(RUN, {"query": query})["data"]["bulkOperationRunQuery"]
    return answer


def state(client: Client, operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.graphql(STATE, {"id": operation["bulkOperation"]["id"]})["data"]["bulkOperation"]
    return found


def address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@pytest.fixture
def slow(company: Company) -> Iterator[None]:
    """Operations that run for two looks."""
    usual = company.limits
    company.limits = replace(usual, shopify_bulk_looks=2)
    yield
    company.limits = usual


def test_a_file_has_a_line_per_object_and_children_do_not_follow_their_parent(client: Client) -> None:
    ended = state(client, start(client, LINED))
    body = client.http.get(address(ended["url"]), headers={"Accept-Encoding": "identity"}).content
    nodes = [json.loads(line) for line in body.splitlines()]
    places = {node["id"]: place for place, node in enumerate(nodes)}
    children = [(places[node["__parentId"]], place) for place, node in enumerate(nodes) if "__parentId" in node]
    assert ended["status"] == "COMPLETED"
    assert int(ended["objectCount"]) == len(nodes)
    assert int(ended["rootObjectCount"]) == len(nodes) - len(children) == len(_numbers(client))
    assert int(ended["fileSize"]) == len(body)
    assert any(child < parent for parent, child in children)
    assert any(child > parent + 1 for parent, child in children)


def _numbers(client: Client) -> set[str]:
    return {node["legacyResourceId"] for node in client.orders(SINCE, size=250)}


def test_a_file_needs_its_signature_and_refuses_the_shops_token(client: Client) -> None:
    url = address(state(client, start(client, LINED))["url"])
    assert client.http.get(url).status_code == 200
    assert client.http.get(url.partition("?")[0]).status_code == 403
    assert client.http.get(url, headers=client.shopify_headers).status_code == 403


@pytest.mark.usefixtures("slow")
def test_an_operation_runs_for_a_while_and_only_five_at_once(client: Client) -> None:
    operations = [start(client, LINED) for _ in range(6)]
    assert [operation["userErrors"] == [] for operation in operations] == [True] * 5 + [False]
    assert operations[5]["userErrors"][0]["code"] == "OPERATION_IN_PROGRESS"
    looks = [state(client, operations[0]) for _ in range(3)]
    assert [look["status"] for look in looks] == ["RUNNING", "RUNNING", "COMPLETED"]
    assert (looks[0]["url"], looks[0]["objectCount"]) == (None, "0")
    for operation in operations[1:5]:
        for _ in range(3):
            state(client, operation)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{ shop { name } }", "at least one connection"),
        (
            "{ orders { edges { node { createdAt lineItems { edges { node { id } } } } } } }",
            "must select the 'id' field",
        ),
        ("{ orders { edges { node { nothing } } } }", "Cannot query field 'nothing'"),
        ("{ orders", "Syntax Error"),
    ],
)
def test_a_query_that_the_shop_would_refuse_is_refused(client: Client, query: str, words: str) -> None:
    [error] = start(client, query)["userErrors"]
    assert error["code"] == "INVALID"
    assert words in error["message"]


def test_checkouts_come_in_the_order_of_their_numbers_and_only_once_they_have_happened(
    client: Client, company: Company
) -> None:
    found = [node for page in client.pages(CARTS, "abandonedCheckouts", size=50) for node in page]
    numbers = [int(node["id"].rpartition("/")[2]) for node in found]
    assert numbers == sorted(set(numbers))
    now = iso_z(company.instant())
    assert len(found) > 100
    assert all(node["createdAt"] <= node["updatedAt"] <= now for node in found)
    assert all(node["completedAt"] in (None, node["updatedAt"]) for node in found)
    since = found[len(found) // 2]["updatedAt"]
    later = [node for page in client.pages(CARTS, "abandonedCheckouts", f"updated_at:>='{since}'") for node in page]
    assert later == [node for node in found if node["updatedAt"] >= since]


def test_an_unknown_operation_is_null(client: Client) -> None:
    assert client.graphql(STATE, {"id": "gid://shopify/BulkOperation/999999"})["data"] == {"bulkOperation": None}
