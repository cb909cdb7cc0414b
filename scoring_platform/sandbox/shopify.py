"""The shop: orders, customers and abandoned checkouts over the Admin GraphQL API.

Belongs here: access tokens, the GraphQL endpoint, query cost. Does not belong here: nodes, pages, checkouts and bulk
operations, which have their own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    SelectionSetNode,
    build_schema,
    execute_sync,
    parse,
    validate,
    value_from_ast_untyped,
)
from graphql.language import FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode, OperationDefinitionNode
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.inbound import fields, vendor_base
from scoring_platform.sandbox.limits import LeakyBucket
from scoring_platform.sandbox.people import FIRST_REF
from scoring_platform.sandbox.population import Books
from scoring_platform.sandbox.shopify_bulk import Operations
from scoring_platform.sandbox.shopify_carts import Carts, checkout_node
from scoring_platform.sandbox.shopify_nodes import SHOP, Node, customer_node, line_node, metafield_node, order_node
from scoring_platform.sandbox.shopify_pages import (
    MOST_PER_PAGE,
    Parts,
    connection,
    connection_by_number,
    lines_connection,
    next_part,
    span_of,
)

TOKEN_SECONDS = 86_400


@dataclass(frozen=True)
class _Shop:
    """What the shop keeps beside the books."""

    company: Company
    bucket: LeakyBucket
    operations: Operations
    carts: Carts


@dataclass(frozen=True)
class _Moment:
    """What one request sees: the books as of one moment, the shop's address, and how far a bulk operation has come."""

    shop: _Shop
    books: Books
    now: int
    base: str
    parts: Parts | None = None


def routes(company: Company) -> list[BaseRoute]:
    """Return the shop's routes."""
    bucket = LeakyBucket(company.limits.shopify_bucket, company.limits.shopify_restore_per_second)
    shop = _Shop(company, bucket, Operations(company), Carts())

    async def token(request: Request) -> Response:
        return _token(company, await fields(request))

    async def graphql(request: Request) -> Response:
        if not company.tokens.accepts("shopify", request.headers.get("x-shopify-access-token", "")):
            words = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return JSONResponse({"errors": words}, status_code=401)
        body = await fields(request)
        answer = await run_in_threadpool(_answer, shop, body, base=vendor_base(request))
        return JSONResponse(answer, headers={"X-Shopify-API-Version": request.path_params["version"]})

    return [
        Route("/admin/oauth/access_token", token, methods=["POST"]),
        Route("/admin/api/{version}/graphql.json", graphql, methods=["POST"]),
        Route("/bulk/{number:int}.jsonl", shop.operations.file, methods=["GET"]),
    ]


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """Return the schema with its resolvers."""
    built = build_schema((Path(__file__).parent / "shopify.graphql").read_text(encoding="utf-8"))
    for type_name, by_field in _RESOLVERS.items():
        kind = built.type_map[type_name]
        if isinstance(kind, GraphQLObjectType):
            for name, resolve in by_field.items():
                kind.fields[name].resolve = resolve
    return built


def _token(company: Company, sent: dict[str, Any]) -> Response:
    known = company.credentials["shopify"]
    if sent.get("grant_type") != "client_credentials":
        return JSONResponse({"error": "unsupported_grant_type"}, status_code=400)
    if any(sent.get(name) != value for name, value in known.items()):
        words = {"error": "invalid_client", "error_description": "client id or secret is wrong"}
        return JSONResponse(words, status_code=401)
    token = company.tokens.issue("shopify", lifetime_seconds=TOKEN_SECONDS)
    return JSONResponse(
        {"access_token": token, "scope": "read_orders,read_all_orders,read_customers", "expires_in": TOKEN_SECONDS - 1}
    )


def _answer(shop: _Shop, body: dict[str, Any], *, base: str) -> dict[str, Any]:
    company, bucket = shop.company, shop.bucket
    query, variables = str(body.get("query") or ""), body.get("variables") or {}
    document, errors = _checked(query)
    if document is None or errors:
        return {"errors": [error.formatted for error in errors]}
    requested = _cost(document, variables)
    if requested > company.limits.shopify_query_cost:
        words = f"Query cost is {requested}, which exceeds the single query max cost limit"
        words += f" ({company.limits.shopify_query_cost})."
        return {"errors": [{"message": words, "extensions": {"code": "MAX_COST_EXCEEDED"}}]}
    if not bucket.take(requested):
        error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        return {"errors": [error], "extensions": {"cost": _spent(bucket, requested, actual=None)}}
    now = company.instant()
    moment = _Moment(shop, company.population.books, now, base)
    result = execute_sync(schema(), document, variable_values=variables, context_value=moment).formatted
    unused = _unused(document, variables, data=result.get("data") or {})
    bucket.give_back(unused)
    return {**result, "extensions": {"cost": _spent(bucket, requested, actual=requested - unused)}}


@lru_cache(maxsize=64)
def _checked(query: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, [error]
    return document, validate(schema(), document)


def _spent(bucket: LeakyBucket, requested: int, *, actual: int | None) -> dict[str, Any]:
    throttle = {
        "maximumAvailable": bucket.size,
        "currentlyAvailable": int(bucket.available),
        "restoreRate": bucket.restore_per_second,
    }
    return {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": throttle}


def _cost(document: DocumentNode, variables: dict[str, Any]) -> int:
    """Two points for each connection and one for each entry it may list; nested ones count once."""
    return max(1, sum(2 + size for _, size in _connections(document, variables)))


def _unused(document: DocumentNode, variables: dict[str, Any], *, data: dict[str, Any]) -> int:
    """Return the points reserved for entries of top-level connections that were not there to be listed."""
    unused = 0
    for name, size in _connections(document, variables):
        listed = data.get(name) if name else None
        entries = (listed.get("nodes") or listed.get("edges") or ()) if isinstance(listed, dict) else None
        unused += 0 if entries is None else max(0, size - len(entries))
    return unused


def _connections(document: DocumentNode, variables: dict[str, Any]) -> list[tuple[str | None, int]]:
    """Return the answer's name (None below the top level) and the page size of every connection."""
    fragments = {d.name.value: d.selection_set for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    given = {**_defaults(document), **variables}
    found: list[tuple[str | None, int]] = []

    def walk(selections: SelectionSetNode | None, depth: int) -> None:
        for chosen in selections.selections if selections else ():
            if isinstance(chosen, FieldNode):
                sizes = [a.value for a in chosen.arguments if a.name.value == "first"]
                for size in sizes:
                    name = (chosen.alias or chosen.name).value if depth == 0 else None
                    found.append((name, int(value_from_ast_untyped(size, given) or 0)))
                walk(chosen.selection_set, depth + 1)
            elif isinstance(chosen, InlineFragmentNode):
                walk(chosen.selection_set, depth)
            elif isinstance(chosen, FragmentSpreadNode):
                walk(fragments.get(chosen.name.value), depth)

    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            walk(definition.selection_set, 0)
    return found


def _defaults(document: DocumentNode) -> dict[str, Any]:
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    declared = [variable for operation in operations for variable in operation.variable_definitions]
    return {
        each.variable.name.value: value_from_ast_untyped(each.default_value)
        for each in declared
        if each.default_value is not None
    }


def _orders(_root: None, info: GraphQLResolveInfo, *, query: str | None = None, **arguments: Any) -> Node:
    moment: _Moment = info.context
    span, orders = span_of(query), moment.books.sales
    if moment.parts is not None:
        return next_part(orders, moment.now, node=order_node, span=span, parts=moment.parts, name=str(info.path.key))
    return connection(orders, moment.now, node=order_node, arguments=arguments, span=span, repeats=True)


def _customers(_root: None, info: GraphQLResolveInfo, *, query: str | None = None, **arguments: Any) -> Node:
    moment: _Moment = info.context
    span, accounts = span_of(query, whole_days=True), moment.books.accounts
    if moment.parts is not None:
        name = str(info.path.key)
        return next_part(accounts, moment.now, node=customer_node, span=span, parts=moment.parts, name=name)
    return connection(accounts, moment.now, node=customer_node, arguments=arguments, span=span)


def _checkouts(_root: None, info: GraphQLResolveInfo, *, query: str | None = None, **arguments: Any) -> Node:
    moment: _Moment = info.context
    carts, span = moment.shop.carts.of(moment.books), span_of(query)
    if moment.parts is not None:
        return next_part(carts, moment.now, node=checkout_node, span=span, parts=moment.parts, name=str(info.path.key))
    return connection_by_number(carts, moment.now, node=checkout_node, arguments=arguments, span=span)


def _run_bulk(_root: None, info: GraphQLResolveInfo, *, query: str, **_arguments: Any) -> Node:
    moment: _Moment = info.context

    def check(document: DocumentNode) -> None:
        flaws = validate(schema(), document)
        if flaws:
            raise flaws[0]

    def run(document: DocumentNode) -> Iterator[dict[str, Any]]:
        parts: Parts = {}
        while True:
            result = execute_sync(schema(), document, context_value=replace(moment, parts=parts))
            if result.errors:
                raise result.errors[0]
            yield result.data or {}
            if all(place is None for place in parts.values()):
                return

    return moment.shop.operations.start(query, moment.now, check=check, run=run)


def _bulk_state(_root: None, info: GraphQLResolveInfo, **arguments: Any) -> Node | None:
    moment: _Moment = info.context
    return moment.shop.operations.state(arguments["id"], moment.base)


def _cancel_bulk(_root: None, info: GraphQLResolveInfo, **arguments: Any) -> Node:
    moment: _Moment = info.context
    return moment.shop.operations.cancel(arguments["id"])


def _customer_of(node: Node, info: GraphQLResolveInfo) -> Node | None:
    index = node["_person"]
    return None if index is None else _account(info.context, index)


def _account(moment: _Moment, index: int) -> Node | None:
    version = moment.books.accounts.find(index, moment.now)
    return None if version is None else customer_node(version)


def _lines_of(node: Node, info: GraphQLResolveInfo, **arguments: Any) -> Node:
    order, moment = node["_order"], info.context
    sized = arguments if moment.parts is None else {"first": MOST_PER_PAGE}
    return lines_connection([line_node(line, order.currency) for line in order.lines], sized)


def _found(_root: None, info: GraphQLResolveInfo, **arguments: Any) -> Node | None:
    """Answer ``order``, ``customer`` and ``node``, which name one thing by its id."""
    moment: _Moment = info.context
    named, _, number = str(arguments["id"]).removeprefix("gid://shopify/").partition("/")
    if not number.isdigit() or info.field_name not in ("node", named.lower()):
        return None
    if named == "Customer":
        return _account(moment, int(number) - FIRST_REF)
    version = moment.books.sales.find(int(number), moment.now) if named == "Order" else None
    return None if version is None else order_node(version)


def _metafield(node: Node, _info: GraphQLResolveInfo, **arguments: Any) -> Node | None:
    return metafield_node(node, arguments.get("namespace"), key=arguments["key"])


def _shop(_root: None, _info: GraphQLResolveInfo) -> Node:
    return SHOP


_RESOLVERS: dict[str, dict[str, Callable[..., Any]]] = {
    "QueryRoot": {
        "shop": _shop,
        "order": _found,
        "customer": _found,
        "node": _found,
        "orders": _orders,
        "customers": _customers,
        "abandonedCheckouts": _checkouts,
        "bulkOperation": _bulk_state,
    },
    "Mutation": {"bulkOperationRunQuery": _run_bulk, "bulkOperationCancel": _cancel_bulk},
    "AbandonedCheckout": {"customer": _customer_of},
    "Order": {"customer": _customer_of, "lineItems": _lines_of},
    "Customer": {"metafield": _metafield},
}
