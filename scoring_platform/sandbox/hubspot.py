"""The sandbox CRM: HubSpot contacts and properties over HTTP.

Belongs here: addresses and the shapes of answers. Does not belong here: what a write does (``hubspot_account``),
validation (``hubspot_rules``), storage (``hubspot_store``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox import hubspot_search
from scoring_platform.sandbox.hubspot_account import NOT_FOUND, Account, Handler
from scoring_platform.sandbox.hubspot_rules import RefusedError, error_body, new_definition
from scoring_platform.sandbox.hubspot_sales import TABLE as SALES
from scoring_platform.sandbox.hubspot_store import Contact, iso

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

MAX_INPUTS = 100

_CONTACTS = "/crm/v3/objects/contacts"
_PROPERTIES = "/crm/v3/properties/contacts"
_SHOWN = ("email", "firstname", "lastname")


def routes(
    company: Company, *, multi_status: bool = True, clock: Callable[[], float] = time.monotonic
) -> list[BaseRoute]:
    """Return the addresses of the CRM.

    Args:
        company: The sandbox company.
        multi_status: Answer 207 to a batch with trace ids in which some inputs are bad; otherwise one bad input fails
            the whole batch with 400, as the vendor's older versions do.
        clock: Seconds by which the allowance is counted.
    """
    account = Account(company, multi_status=multi_status, clock=clock)
    table: tuple[tuple[str, str, Handler], ...] = (
        ("GET", _CONTACTS, _list),
        ("POST", _CONTACTS, _create),
        ("POST", f"{_CONTACTS}/search", _search),
        ("POST", f"{_CONTACTS}/batch/read", _batch_read),
        ("POST", f"{_CONTACTS}/batch/{{operation:str}}", _batch_write),
        ("GET", f"{_CONTACTS}/{{contact_id:str}}", _get),
        ("PATCH", f"{_CONTACTS}/{{contact_id:str}}", _patch),
        ("GET", _PROPERTIES, _list_properties),
        ("POST", _PROPERTIES, _create_property),
        ("POST", f"{_PROPERTIES}/batch/create", _create_properties),
        ("GET", f"{_PROPERTIES}/{{name:str}}", _get_property),
        *SALES,
    )
    return [Route(path, account.guarded(handler), methods=[method]) for method, path, handler in table]


async def _list(account: Account, request: Request) -> Response:
    limit, after = _number(request, "limit", 10), _number(request, "after", 0)
    if not 1 <= limit <= 100:
        raise RefusedError(400, "VALIDATION_ERROR", "limit must be between 1 and 100")
    found = account.listed(after=after, limit=limit + 1)
    names = _names(request)
    body: dict[str, Any] = {"results": [_shown(contact, names) for contact in found[:limit]]}
    if len(found) > limit:
        cursor = found[limit - 1].id
        body["paging"] = {"next": {"after": cursor, "link": f"{request.url.include_query_params(after=cursor)}"}}
    return JSONResponse(body)


async def _create(account: Account, request: Request) -> Response:
    item = await request.json()
    with account.store.transaction():
        contact, _ = account.write("create", item)
    return JSONResponse(_shown(contact, list(item["properties"])), 201)


async def _get(account: Account, request: Request) -> Response:
    item = {"id": request.path_params["contact_id"]}
    contact = account.locate(item, request.query_params.get("idProperty"), account.store.definitions())
    if contact is None:
        raise RefusedError(404, "OBJECT_NOT_FOUND", "resource not found")
    return JSONResponse(_shown(account.seen(contact), _names(request)))


async def _patch(account: Account, request: Request) -> Response:
    item = {**await request.json(), "id": request.path_params["contact_id"]}
    if "idProperty" in request.query_params:
        item["idProperty"] = request.query_params["idProperty"]
    with account.store.transaction():
        contact, _ = account.write("update", item)
    return JSONResponse(_shown(contact, list(item["properties"])))


async def _batch_read(account: Account, request: Request) -> Response:
    body = await request.json()
    known, id_property = account.store.definitions(), body.get("idProperty")
    results, errors = [], []
    for item in _inputs(body):
        contact = account.locate(item, id_property, known)
        if contact is None:
            missing = RefusedError(404, "OBJECT_NOT_FOUND", NOT_FOUND)
            errors.append(missing.item(trace_id=None, identifier=item["id"]))
        else:
            results.append(_shown(account.seen(contact), body.get("properties") or _SHOWN))
    return _batch(results, errors, now=account.company.now())


async def _batch_write(account: Account, request: Request) -> Response:
    operation = request.path_params["operation"]
    if operation not in ("create", "update", "upsert"):
        raise RefusedError(404, "OBJECT_NOT_FOUND", "resource not found")
    inputs = _inputs(await request.json())
    _refuse_repeats(inputs)
    traces = [item.get("objectWriteTraceId") for item in inputs]
    separate = account.multi_status and all(traces) and len(set(traces)) == len(traces)
    results, errors = [], []
    # One transaction for all: a refusal that is not kept separate undoes the whole batch.
    with account.store.transaction():
        for item in inputs:
            try:
                contact, new = account.write(operation, item)
            except RefusedError as refused:
                if not separate:
                    raise RefusedError(
                        409 if refused.status == 409 else 400,
                        refused.category,
                        refused.message,
                        code=refused.code,
                        prop=refused.prop,
                    ) from refused
                errors.append(refused.item(trace_id=item["objectWriteTraceId"], identifier=item.get("id")))
                continue
            results.append(_written(contact, item, new=new if operation == "upsert" else None))
    return _batch(results, errors, now=account.company.now(), created=operation == "create")


async def _search(account: Account, request: Request) -> Response:
    if not account.may_search():
        message = "You have reached your secondly limit."
        body = error_body("RATE_LIMITS", message, errorType="RATE_LIMIT", policyName="SECONDLY")
        return JSONResponse(body, 429)
    body = await request.json()
    limits = account.company.limits
    after, limit = hubspot_search.page_of(body, most=limits.hubspot_search_results)
    indexed = iso(account.company.now() - timedelta(seconds=limits.hubspot_index_seconds))
    found = hubspot_search.found([one for one in account.listed() if one.updated_at <= indexed], body)
    names = body.get("properties") or _SHOWN
    answer: dict[str, Any] = {
        "total": len(found),
        "results": [_shown(contact, names) for contact in found[after : after + limit]],
    }
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return JSONResponse(answer)


async def _list_properties(account: Account, request: Request) -> Response:
    return JSONResponse({"results": list(account.store.definitions().values())})


async def _get_property(account: Account, request: Request) -> Response:
    definition = account.store.definitions().get(request.path_params["name"])
    if definition is None:
        raise RefusedError(404, "OBJECT_NOT_FOUND", f"property '{request.path_params['name']}' does not exist")
    return JSONResponse(definition)


async def _create_property(account: Account, request: Request) -> Response:
    definition = new_definition(await request.json(), account.store.definitions())
    account.store.define(definition)
    return JSONResponse(definition, 201)


async def _create_properties(account: Account, request: Request) -> Response:
    results, errors = [], []
    for body in _inputs(await request.json()):
        try:
            definition = new_definition(body, account.store.definitions())
        except RefusedError as refused:
            errors.append(refused.item(trace_id=None, identifier=body.get("name")))
            continue
        account.store.define(definition)
        results.append(definition)
    return _batch(results, errors, now=account.company.now(), created=True)


def _inputs(body: Any) -> list[dict[str, Any]]:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
        raise RefusedError(400, "VALIDATION_ERROR", "Invalid input JSON: some required fields were not set: [inputs]")
    if len(inputs) > MAX_INPUTS:
        raise RefusedError(400, "VALIDATION_ERROR", f"The maximum number of inputs is {MAX_INPUTS}, got {len(inputs)}")
    return inputs


def _refuse_repeats(inputs: Sequence[Mapping[str, Any]]) -> None:
    named = [(item.get("idProperty"), item["id"]) for item in inputs if item.get("id")]
    if len(set(named)) < len(named):
        raise RefusedError(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")


def _shown(contact: Contact, names: Sequence[str]) -> dict[str, Any]:
    wanted: dict[str, str | None] = {name: contact.properties.get(name) for name in names}
    wanted |= {"createdate": contact.created_at, "lastmodifieddate": contact.updated_at, "hs_object_id": contact.id}
    return {
        "id": contact.id,
        "properties": wanted,
        "createdAt": contact.created_at,
        "updatedAt": contact.updated_at,
        "archived": False,
    }


def _written(contact: Contact, item: Mapping[str, Any], *, new: bool | None) -> dict[str, Any]:
    names = [*item["properties"], *([item["idProperty"]] if item.get("idProperty") else [])]
    shown = _shown(contact, names)
    if new is not None:
        shown["new"] = new
    if item.get("objectWriteTraceId"):
        shown["objectWriteTraceId"] = item["objectWriteTraceId"]
    return shown


def _batch(results: list[Any], errors: list[Any], *, now: datetime, created: bool = False) -> Response:
    moment = iso(now)
    body = {"status": "COMPLETE", "startedAt": moment, "completedAt": moment, "results": results}
    if not errors:
        return JSONResponse(body, 201 if created else 200)
    return JSONResponse({**body, "numErrors": len(errors), "errors": errors}, 207)


def _names(request: Request) -> Sequence[str]:
    return [name for name in request.query_params.get("properties", "").split(",") if name] or _SHOWN


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdigit() else default
