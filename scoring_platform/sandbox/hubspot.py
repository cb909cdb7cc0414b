"""The sandbox CRM: HubSpot contacts, companies, deals and their properties over HTTP.

Belongs here: addresses and the shapes of answers. Does not belong here: what a write does (``hubspot_objects``),
validation (``hubspot_rules``), storage (``hubspot_store``).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox import hubspot_search
from scoring_platform.sandbox.hubspot_account import Account, Handler
from scoring_platform.sandbox.hubspot_objects import CALLED, Objects
from scoring_platform.sandbox.hubspot_rules import RefusedError, error_body, new_definition
from scoring_platform.sandbox.hubspot_sales import TABLE as SALES
from scoring_platform.sandbox.hubspot_store import Kind, Record, iso

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

MAX_INPUTS = 100

_SHOWN: Mapping[Kind, tuple[str, ...]] = {
    "contacts": ("email", "firstname", "lastname"),
    "companies": ("name", "domain"),
    "deals": ("amount", "closedate", "dealname", "dealstage", "pipeline"),
}
_CHANGED: Mapping[Kind, str] = {
    "contacts": "lastmodifieddate",
    "companies": "hs_lastmodifieddate",
    "deals": "hs_lastmodifieddate",
}

_Row = tuple[str, str, Handler]
_KindHandler = Callable[[Account, Request, Objects], Awaitable[Response]]


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
    table = (*(row for kind in CALLED for row in _of_kind(kind)), *SALES)
    return [Route(path, account.guarded(handler), methods=[method]) for method, path, handler in table]


def _of_kind(kind: Kind) -> tuple[_Row, ...]:
    records, properties = f"/crm/v3/objects/{kind}", f"/crm/v3/properties/{kind}"
    table: tuple[tuple[str, str, _KindHandler], ...] = (
        ("GET", records, _list),
        ("POST", records, _create),
        ("POST", f"{records}/search", _search),
        ("POST", f"{records}/batch/read", _batch_read),
        ("POST", f"{records}/batch/{{operation:str}}", _batch_write),
        ("GET", f"{records}/{{record_id:str}}", _get),
        ("PATCH", f"{records}/{{record_id:str}}", _patch),
        ("DELETE", f"{records}/{{record_id:str}}", _archive),
        ("GET", properties, _list_properties),
        ("POST", properties, _create_property),
        ("POST", f"{properties}/batch/create", _create_properties),
        ("GET", f"{properties}/{{name:str}}", _get_property),
    )
    return tuple((method, path, _bound(handler, kind)) for method, path, handler in table)


def _bound(handler: _KindHandler, kind: Kind) -> Handler:
    """Return ``handler`` for the records of one kind."""

    async def bound(account: Account, request: Request) -> Response:
        return await handler(account, request, account.objects[kind])

    return bound


async def _list(account: Account, request: Request, objects: Objects) -> Response:
    limit, after = _number(request, "limit", 10), _number(request, "after", 0)
    if not 1 <= limit <= 100:
        raise RefusedError(400, "VALIDATION_ERROR", "limit must be between 1 and 100")
    found = objects.listed(after=after, limit=limit + 1)
    names = _names(request, objects)
    linked = "contacts" in request.query_params.get("associations", "").split(",")
    shown = [
        {**_shown(record, names, objects), **(_linked(record, objects) if linked else {})} for record in found[:limit]
    ]
    body: dict[str, Any] = {"results": shown}
    if len(found) > limit:
        cursor = found[limit - 1].id
        body["paging"] = {"next": {"after": cursor, "link": f"{request.url.include_query_params(after=cursor)}"}}
    return JSONResponse(body)


async def _create(account: Account, request: Request, objects: Objects) -> Response:
    item = await request.json()
    with objects.store.transaction():
        record, _ = objects.write("create", item)
    return JSONResponse(_shown(record, list(item["properties"]), objects), 201)


async def _get(account: Account, request: Request, objects: Objects) -> Response:
    return JSONResponse(_shown(objects.seen(_named(request, objects)), _names(request, objects), objects))


async def _archive(account: Account, request: Request, objects: Objects) -> Response:
    objects.store.archive(_named(request, objects))
    return Response(status_code=204)


async def _patch(account: Account, request: Request, objects: Objects) -> Response:
    item = {**await request.json(), "id": request.path_params["record_id"]}
    if "idProperty" in request.query_params:
        item["idProperty"] = request.query_params["idProperty"]
    with objects.store.transaction():
        record, _ = objects.write("update", item)
    return JSONResponse(_shown(record, list(item["properties"]), objects))


async def _batch_read(account: Account, request: Request, objects: Objects) -> Response:
    body = await request.json()
    known, id_property = objects.store.definitions(), body.get("idProperty")
    results, errors = [], []
    for item in _inputs(body):
        record = objects.locate(item, id_property, known)
        if record is None:
            missing = RefusedError(404, "OBJECT_NOT_FOUND", objects.not_found)
            errors.append(missing.item(trace_id=None, identifier=item["id"]))
        else:
            results.append(_shown(objects.seen(record), body.get("properties") or _SHOWN[objects.kind], objects))
    return _batch(results, errors, now=account.company.now())


async def _batch_write(account: Account, request: Request, objects: Objects) -> Response:
    operation = request.path_params["operation"]
    if operation not in ("create", "update", "upsert"):
        raise RefusedError(404, "OBJECT_NOT_FOUND", "resource not found")
    inputs = _inputs(await request.json())
    _refuse_repeats(inputs)
    traces = [item.get("objectWriteTraceId") for item in inputs]
    separate = account.multi_status and all(traces) and len(set(traces)) == len(traces)
    results, errors = [], []
    # One transaction for all: a refusal that is not kept separate undoes the whole batch.
    with objects.store.transaction():
        for item in inputs:
            try:
                record, new = objects.write(operation, item)
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
            results.append(_written(record, item, objects, new=new if operation == "upsert" else None))
    return _batch(results, errors, now=account.company.now(), created=operation == "create")


async def _search(account: Account, request: Request, objects: Objects) -> Response:
    if not account.may_search():
        message = "You have reached your secondly limit."
        body = error_body("RATE_LIMITS", message, errorType="RATE_LIMIT", policyName="SECONDLY")
        return JSONResponse(body, 429)
    body = await request.json()
    limits = account.company.limits
    after, limit = hubspot_search.page_of(body, most=limits.hubspot_search_results)
    indexed = iso(account.company.now() - timedelta(seconds=limits.hubspot_index_seconds))
    found = hubspot_search.found([one for one in objects.listed() if one.updated_at <= indexed], body)
    names = body.get("properties") or _SHOWN[objects.kind]
    answer: dict[str, Any] = {
        "total": len(found),
        "results": [_shown(record, names, objects) for record in found[after : after + limit]],
    }
    if after + limit < len(found):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return JSONResponse(answer)


async def _list_properties(account: Account, request: Request, objects: Objects) -> Response:
    return JSONResponse({"results": list(objects.store.definitions().values())})


async def _get_property(account: Account, request: Request, objects: Objects) -> Response:
    definition = objects.store.definitions().get(request.path_params["name"])
    if definition is None:
        raise RefusedError(404, "OBJECT_NOT_FOUND", f"property '{request.path_params['name']}' does not exist")
    return JSONResponse(definition)


async def _create_property(account: Account, request: Request, objects: Objects) -> Response:
    definition = new_definition(await request.json(), objects.store.definitions(), objects.kind)
    objects.store.define(definition)
    return JSONResponse(definition, 201)


async def _create_properties(account: Account, request: Request, objects: Objects) -> Response:
    results, errors = [], []
    for body in _inputs(await request.json()):
        try:
            definition = new_definition(body, objects.store.definitions(), objects.kind)
        except RefusedError as refused:
            errors.append(refused.item(trace_id=None, identifier=body.get("name")))
            continue
        objects.store.define(definition)
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


def _named(request: Request, objects: Objects) -> Record:
    item, known = {"id": request.path_params["record_id"]}, objects.store.definitions()
    record = objects.locate(item, request.query_params.get("idProperty"), known)
    if record is None:
        raise RefusedError(404, "OBJECT_NOT_FOUND", "resource not found")
    return record


def _shown(record: Record, names: Sequence[str], objects: Objects) -> dict[str, Any]:
    wanted: dict[str, str | None] = {name: record.properties.get(name) for name in names}
    changed = _CHANGED[objects.kind]
    wanted |= {"createdate": record.created_at, changed: record.updated_at, "hs_object_id": record.id}
    return {
        "id": record.id,
        "properties": wanted,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "archived": False,
    }


def _linked(record: Record, objects: Objects) -> dict[str, Any]:
    contacts = [{"id": contact, "type": "deal_to_contact"} for contact in objects.contacts_of(record)]
    return {"associations": {"contacts": {"results": contacts}}} if contacts else {}


def _written(record: Record, item: Mapping[str, Any], objects: Objects, *, new: bool | None) -> dict[str, Any]:
    names = [*item["properties"], *([item["idProperty"]] if item.get("idProperty") else [])]
    shown = _shown(record, names, objects)
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


def _names(request: Request, objects: Objects) -> Sequence[str]:
    return [name for name in request.query_params.get("properties", "").split(",") if name] or _SHOWN[objects.kind]


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdigit() else default
