"""The sandbox's Pipedrive over HTTP: persons, organizations and deals, and their fields.

Belongs here: addresses, prices, and the shapes of answers about records. Does not belong here: credentials and limits
(``pipedrive_account``), what records are (``pipedrive_records``), validation (``pipedrive_rules``), stages, notes and
users (``pipedrive_sales``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox import cursors, pipedrive_sales
from scoring_platform.sandbox.inbound import whole_number
from scoring_platform.sandbox.pipedrive_account import Handler, PipedriveAccount
from scoring_platform.sandbox.pipedrive_pages import MOST_PER_PAGE, good, paged, place
from scoring_platform.sandbox.pipedrive_rules import (
    SEARCHED,
    RefusedError,
    checked_standard,
    checked_values,
    in_words,
    new_field,
    with_options,
)
from scoring_platform.sandbox.pipedrive_store import Item, Kind

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

MOST_IDS, MOST_FIELDS = 100, 15

_KEY = "顧客キー"
_SHOWN = ("id", "name", "owner_id", "org_id", "add_time", "update_time", "emails", "is_deleted", "label_ids")
_FIELDS: Mapping[Kind, str] = {
    "persons": "personFields",
    "organizations": "organizationFields",
    "deals": "dealFields",
}

_Row = tuple[str, str, Handler, int]


def routes(company: Company) -> list[BaseRoute]:
    """Return the addresses of Pipedrive; each call has a price in tokens."""
    account = PipedriveAccount(company)
    table: tuple[_Row, ...] = (
        ("GET", "/api/v2/persons/search", _search, 20),
        ("POST", "/api/v2/persons", _create, 5),
        *(row for kind in _FIELDS for row in _of_kind(kind)),
        *pipedrive_sales.TABLE,
    )
    guarded = [Route(path, account.guarded(handler, cost), methods=[method]) for method, path, handler, cost in table]
    return [Route("/oauth/token", account.token, methods=["POST"]), *guarded]


def _of_kind(kind: Kind) -> tuple[_Row, ...]:
    records, fields = f"/api/v2/{kind}", f"/api/v2/{_FIELDS[kind]}"
    return (
        ("GET", records, partial(_list, kind=kind), 10),
        ("GET", f"{records}/{{key:int}}", partial(_get, kind=kind), 1),
        ("PATCH", f"{records}/{{key:int}}", partial(_update, kind=kind), 5),
        ("DELETE", f"{records}/{{key:int}}", partial(_delete, kind=kind), 3),
        ("GET", fields, partial(_list_fields, kind=kind), 10),
        ("POST", fields, partial(_create_field, kind=kind), 5),
        ("DELETE", f"{fields}/{{code:str}}", partial(_delete_field, kind=kind), 3),
        ("POST", f"{fields}/{{code:str}}/options", partial(_add_options, kind=kind), 5),
    )


async def _list(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    query = request.query_params
    found: Iterable[Item] = account.records.listed(kind)
    if "ids" in query:
        ids = {int(one) for one in query["ids"].split(",") if one.isdigit()}
        if not ids or len(ids) > MOST_IDS:
            raise RefusedError(400, f"Validation failed: ids: 1 to {MOST_IDS} ids expected")
        found = [item for item in found if item["id"] in ids]
    page, following = paged(found, query)
    fields = account.store.fields(kind)
    return good([_shown(item, kind, fields, query) for item in page], next_cursor=following)


async def _get(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    item = account.records.one(kind, request.path_params["key"])
    return good(_shown(item, kind, account.store.fields(kind), request.query_params))


async def _create(account: PipedriveAccount, request: Request) -> Response:
    return good(await _written(account, request, "persons", None))


async def _update(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    return good(await _written(account, request, kind, request.path_params["key"]))


async def _delete(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    account.records.delete(kind, request.path_params["key"])
    return good({"id": request.path_params["key"]})


async def _written(account: PipedriveAccount, request: Request, kind: Kind, key: int | None) -> Item:
    body, fields = await request.json(), account.store.fields(kind)
    with account.store.transaction():
        if key is not None:
            account.records.one(kind, key)
        changes = checked_standard(kind, body, new=key is None)
        changes["custom_fields"] = checked_values(body.get("custom_fields") or {}, fields)
        item = account.records.write(kind, changes, key)
        account.store.log(_logged(item, changes["custom_fields"], fields, kind=kind, new=key is None))
    return _shown(item, kind, fields, {})


def _logged(item: Item, values: Item, fields: Mapping[str, Item], *, kind: Kind, new: bool) -> Item:
    words = in_words(values, fields)
    if kind != "persons":
        return {"operation": f"update_{kind[:-1]}", "id": item["id"], "properties": words}
    key = in_words(item["custom_fields"], fields).get(_KEY)
    return {
        "operation": "create" if new else "update", "id": item["id"], "customer_key": key, "properties": words,
    }  # fmt: skip


async def _search(account: PipedriveAccount, request: Request) -> Response:
    query = request.query_params
    term, exact = query.get("term", "").strip().lower(), query.get("exact_match") == "true"
    if len(term) < (1 if exact else 2):
        raise RefusedError(400, "Validation failed: term: String must contain at least 2 character(s)")
    limit = whole_number(query.get("limit"), 100, least=1, most=MOST_PER_PAGE) or 100
    asked = [name for name in query.get("fields", "").split(",") if name] or ["name", "email", "custom_fields"]
    fields = account.store.fields("persons")
    found = []
    for item in account.records.listed("persons"):
        texts = _searchable(item, asked, fields)
        if any(term == text if exact else term in text for text in texts):
            found.append(_hit(item, fields))
    return good({"items": found[:limit]}, next_cursor=None)


async def _list_fields(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    fields, query = account.records.all_fields(kind), request.query_params
    limit = whole_number(query.get("limit"), 100, least=1, most=MOST_PER_PAGE) or 100
    (start,) = place(query.get("cursor"), 1) or (0,)
    end = start + limit
    return good(fields[start:end], next_cursor=cursors.encode(end) if end < len(fields) else None)


async def _create_field(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    field = new_field(await request.json(), account.store.fields(kind))
    account.store.keep_field(kind, field["field_code"], field)
    return good(field)


async def _delete_field(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    field = _field(account, request, kind)
    account.store.drop_field(kind, field["field_code"])
    return good(field)


async def _add_options(account: PipedriveAccount, request: Request, *, kind: Kind) -> Response:
    field = _field(account, request, kind)
    changed = with_options(field, await request.json(), account.store.fields(kind))
    account.store.keep_field(kind, field["field_code"], changed)
    return good(changed["options"][len(field["options"]) :])


def _shown(item: Item, kind: Kind, fields: Mapping[str, Item], query: Mapping[str, str]) -> Item:
    codes = [code for code in query.get("custom_fields", "").split(",") if code]
    if len(codes) > MOST_FIELDS:
        raise RefusedError(400, f"Validation failed: custom_fields: at most {MOST_FIELDS} keys")
    values = item.get("custom_fields") or {}
    shown = {name: item[name] for name in (_SHOWN if kind == "persons" else item) if name in item}
    shown["custom_fields"] = {code: values.get(code) for code in fields if not codes or code in codes}
    if "marketing_status" in query.get("include_fields", "").split(","):
        shown["marketing_status"] = item["marketing_status"]
    return shown


def _searchable(item: Item, asked: list[str], fields: Mapping[str, Item]) -> list[str]:
    texts = [item["name"]] if "name" in asked else []
    if "email" in asked:
        texts += [one["value"] for one in item.get("emails") or []]
    if "custom_fields" in asked:
        texts += _texts(item, fields)
    return [str(text).strip().lower() for text in texts]


def _texts(item: Item, fields: Mapping[str, Item]) -> list[str]:
    values = item.get("custom_fields") or {}
    return [
        str(value)
        for code, value in values.items()
        if value is not None and code in fields and fields[code]["field_type"] in SEARCHED
    ]


def _hit(item: Item, fields: Mapping[str, Item]) -> Item:
    emails = [one["value"] for one in item.get("emails") or []]
    found = {"id": item["id"], "type": "person", "name": item["name"], "phones": [], "emails": emails}
    owner = {"id": item["owner_id"]}
    return {"result_score": 1.0, "item": {**found, "owner": owner, "custom_fields": _texts(item, fields), "notes": []}}


def _field(account: PipedriveAccount, request: Request, kind: Kind) -> Item:
    field = account.store.fields(kind).get(request.path_params["code"])
    if field is None:
        raise RefusedError(404, "Field not found", code="ERR_NOT_FOUND")
    return field
