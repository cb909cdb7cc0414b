"""The sandbox's Pipedrive over HTTP: persons and their fields.

Belongs here: addresses, prices, and the shapes of answers about persons. Does not belong here: credentials and limits
(``pipedrive_account``), validation (``pipedrive_rules``), deals, notes and users (``pipedrive_sales``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    checked_person,
    checked_values,
    in_words,
    new_field,
    with_options,
)
from scoring_platform.sandbox.pipedrive_store import Item

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

MOST_IDS, MOST_FIELDS = 100, 15

_PERSONS = "/api/v2/persons"
_FIELDS = "/api/v2/personFields"
_KEY = "顧客キー"
_SHOWN = ("id", "name", "owner_id", "add_time", "update_time", "emails", "is_deleted", "label_ids")


def routes(company: Company) -> list[BaseRoute]:
    """Return the addresses of Pipedrive; each call has a price in tokens."""
    account = PipedriveAccount(company)
    table: tuple[tuple[str, str, Handler, int], ...] = (
        ("GET", _PERSONS, _list, 10),
        ("POST", _PERSONS, _create, 5),
        ("GET", f"{_PERSONS}/search", _search, 20),
        ("GET", f"{_PERSONS}/{{person_id:int}}", _get, 1),
        ("PATCH", f"{_PERSONS}/{{person_id:int}}", _update, 5),
        ("DELETE", f"{_PERSONS}/{{person_id:int}}", _delete, 3),
        ("GET", _FIELDS, _list_fields, 10),
        ("POST", _FIELDS, _create_field, 5),
        ("DELETE", f"{_FIELDS}/{{code:str}}", _delete_field, 3),
        ("POST", f"{_FIELDS}/{{code:str}}/options", _add_options, 5),
        *pipedrive_sales.TABLE,
    )
    guarded = [Route(path, account.guarded(handler, cost), methods=[method]) for method, path, handler, cost in table]
    return [Route("/oauth/token", account.token, methods=["POST"]), *guarded]


async def _list(account: PipedriveAccount, request: Request) -> Response:
    query = request.query_params
    found: Iterable[Item] = account.persons()
    if "ids" in query:
        ids = {int(one) for one in query["ids"].split(",") if one.isdigit()}
        if not ids or len(ids) > MOST_IDS:
            raise RefusedError(400, f"Validation failed: ids: 1 to {MOST_IDS} ids expected")
        found = [item for item in found if item["id"] in ids]
    page, following = paged(found, query)
    return good([_shown(account, item, query) for item in page], next_cursor=following)


async def _get(account: PipedriveAccount, request: Request) -> Response:
    return good(_shown(account, account.person(request.path_params["person_id"]), request.query_params))


async def _create(account: PipedriveAccount, request: Request) -> Response:
    return good(await _written(account, request, None))


async def _update(account: PipedriveAccount, request: Request) -> Response:
    return good(await _written(account, request, request.path_params["person_id"]))


async def _delete(account: PipedriveAccount, request: Request) -> Response:
    item = account.person(request.path_params["person_id"])
    account.store.keep_person({**account.store.person(item["id"]), "is_deleted": True}, item["id"])
    return good({"id": item["id"]})


async def _written(account: PipedriveAccount, request: Request, person_id: int | None) -> Item:
    body, fields = await request.json(), account.fields()
    with account.store.transaction():
        if person_id is not None:
            account.person(person_id)
        changes = checked_person(body, new=person_id is None)
        changes["custom_fields"] = checked_values(body.get("custom_fields") or {}, fields)
        item = account.write(changes, person_id=person_id)
        words = in_words(changes["custom_fields"], fields)
        key = in_words(item["custom_fields"], fields).get(_KEY)
        operation = "create" if person_id is None else "update"
        account.store.log({"operation": operation, "id": item["id"], "customer_key": key, "properties": words})
    return _shown(account, item, {})


async def _search(account: PipedriveAccount, request: Request) -> Response:
    query = request.query_params
    term, exact = query.get("term", "").strip().lower(), query.get("exact_match") == "true"
    if len(term) < (1 if exact else 2):
        raise RefusedError(400, "Validation failed: term: String must contain at least 2 character(s)")
    limit = whole_number(query.get("limit"), 100, least=1, most=MOST_PER_PAGE) or 100
    asked = [name for name in query.get("fields", "").split(",") if name] or ["name", "email", "custom_fields"]
    fields = account.fields()
    found = []
    for item in account.persons():
        texts = _searchable(item, asked, fields)
        if any(term == text if exact else term in text for text in texts):
            found.append(_hit(item, fields))
    return good({"items": found[:limit]}, next_cursor=None)


async def _list_fields(account: PipedriveAccount, request: Request) -> Response:
    fields, query = account.all_fields(), request.query_params
    limit = whole_number(query.get("limit"), 100, least=1, most=MOST_PER_PAGE) or 100
    (start,) = place(query.get("cursor"), 1) or (0,)
    end = start + limit
    return good(fields[start:end], next_cursor=cursors.encode(end) if end < len(fields) else None)


async def _create_field(account: PipedriveAccount, request: Request) -> Response:
    field = new_field(await request.json(), account.fields())
    account.store.keep_field(field["field_code"], field)
    return good(field)


async def _delete_field(account: PipedriveAccount, request: Request) -> Response:
    field = _field(account, request)
    account.store.drop_field(field["field_code"])
    return good(field)


async def _add_options(account: PipedriveAccount, request: Request) -> Response:
    field = _field(account, request)
    changed = with_options(field, await request.json(), account.fields())
    account.store.keep_field(field["field_code"], changed)
    return good(changed["options"][len(field["options"]) :])


def _shown(account: PipedriveAccount, item: Item, query: Mapping[str, str]) -> Item:
    codes = [code for code in query.get("custom_fields", "").split(",") if code]
    if len(codes) > MOST_FIELDS:
        raise RefusedError(400, f"Validation failed: custom_fields: at most {MOST_FIELDS} keys")
    values = item.get("custom_fields") or {}
    shown = {name: item[name] for name in _SHOWN if name in item}
    shown["custom_fields"] = {code: values.get(code) for code in account.fields() if not codes or code in codes}
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


def _field(account: PipedriveAccount, request: Request) -> Item:
    field = account.fields().get(request.path_params["code"])
    if field is None:
        raise RefusedError(404, "Field not found", code="ERR_NOT_FOUND")
    return field
