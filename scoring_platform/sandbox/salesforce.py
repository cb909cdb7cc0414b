"""The sandbox CRM Salesforce: sign-in, queries, collections and bulk jobs over HTTP.

Belongs here: addresses and the shapes of answers. Does not belong here: what a write does (``salesforce_writing``),
validation (``salesforce_rules``), storage (``salesforce_store``), queries (``salesforce_query``).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.days import iso_z
from scoring_platform.sandbox.inbound import bearer, fields, vendor_base
from scoring_platform.sandbox.salesforce_login import flaw
from scoring_platform.sandbox.salesforce_query import read_query
from scoring_platform.sandbox.salesforce_rules import RefusedError, require_readable, rule_of, rules_of
from scoring_platform.sandbox.salesforce_store import Record, RecordStore
from scoring_platform.sandbox.salesforce_writing import Jobs, update, upsert

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

MAX_RECORDS = 200
PER_PAGE = 2_000

_TOKEN_SECONDS = 7_200
_INSTANTS = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
_DATA = "/services/data/{version:str}"

Handler = Callable[["Org", Request], Awaitable[Response]]


class Org:
    """One organisation: its records, its jobs, its allowance."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.store = RecordStore(company)
        self.jobs = Jobs(self.store, looks=company.limits.salesforce_bulk_looks)
        self.further: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        self._used = 0

    def guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that checks the token and the allowance, and words refusals."""

        async def endpoint(request: Request) -> Response:
            if not self.company.tokens.accepts("salesforce", bearer(request)):
                invalid = RefusedError("INVALID_SESSION_ID", "Session expired or invalid")
                return JSONResponse(invalid.body(), 401)
            if self._used >= self.company.limits.salesforce_per_day:
                spent = RefusedError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
                return JSONResponse(spent.body(), 403, headers=self._allowance())
            self._used += 1
            self.store.reach()
            try:
                response = await handler(self, request)
            except RefusedError as refused:
                response = JSONResponse(refused.body(), refused.status)
            except json.JSONDecodeError:
                response = JSONResponse(RefusedError("JSON_PARSER_ERROR", "Unexpected character").body(), 400)
            response.headers.update(self._allowance())
            return response

        return endpoint

    def limits(self) -> dict[str, Any]:
        """What ``/limits`` shows."""
        most = self.company.limits.salesforce_per_day
        return {"DailyApiRequests": {"Max": most, "Remaining": most - self._used}}

    def _allowance(self) -> dict[str, str]:
        return {"Sforce-Limit-Info": f"api-usage={self._used}/{self.company.limits.salesforce_per_day}"}


def routes(company: Company) -> list[BaseRoute]:
    """Return the addresses of the CRM."""
    org = Org(company)

    async def token(request: Request) -> Response:
        return _token(company, await fields(request), vendor_base(request))

    job = f"{_DATA}/jobs/ingest/{{job:str}}"
    table: tuple[tuple[str, str, Handler], ...] = (
        ("GET", f"{_DATA}/limits", _limits),
        ("GET", f"{_DATA}/query", _query),
        ("GET", f"{_DATA}/query/{{locator:str}}", _further),
        ("GET", f"{_DATA}/sobjects/{{sobject:str}}/describe", _describe),
        ("DELETE", f"{_DATA}/sobjects/{{sobject:str}}/{{record:str}}", _delete),
        ("PATCH", f"{_DATA}/composite/sobjects", _update),
        ("PATCH", f"{_DATA}/composite/sobjects/{{sobject:str}}/{{key:str}}", _upsert),
        ("POST", f"{_DATA}/jobs/ingest", _create_job),
        ("GET", job, _show_job),
        ("PATCH", job, _close_job),
        ("PUT", f"{job}/batches", _upload),
        ("GET", f"{job}/{{kind:str}}", _results),
    )
    return [
        Route("/services/oauth2/token", token, methods=["POST"]),
        *(Route(path, org.guarded(handler), methods=[method]) for method, path, handler in table),
    ]


def _token(company: Company, sent: Mapping[str, Any], base: str) -> Response:
    wrong = flaw(company, sent)
    if wrong is not None:
        return JSONResponse({"error": wrong[0], "error_description": wrong[1]}, 400)
    return JSONResponse(
        {
            "access_token": company.tokens.issue("salesforce", lifetime_seconds=_TOKEN_SECONDS),
            "instance_url": base,
            "id": f"{base}/id/00DSB0000000001AAA/005SB0000000001AAA",
            "token_type": "Bearer",
            "scope": "api",
            "issued_at": str(company.clock.instant() * 1000),
            "signature": "sandbox",
        }
    )


async def _limits(org: Org, request: Request) -> Response:
    return JSONResponse(org.limits())


async def _describe(org: Org, request: Request) -> Response:
    sobject = request.path_params["sobject"]
    return JSONResponse({"name": sobject, "fields": [rule.described() for rule in rules_of(sobject).values()]})


async def _query(org: Org, request: Request) -> Response:
    query = read_query(request.query_params.get("q", ""))
    found = org.store.select(query)
    if not query.fields:
        return JSONResponse({"totalSize": len(found), "done": True, "records": []})
    version = request.path_params["version"]
    shown = [_shown(record, query.fields, version) for record in found]
    return JSONResponse(_page(org, shown, version, total=len(shown)))


async def _further(org: Org, request: Request) -> Response:
    left = org.further.get(request.path_params["locator"])
    if left is None:
        raise RefusedError("INVALID_QUERY_LOCATOR", "invalid query locator")
    total, rest = left
    return JSONResponse(_page(org, rest, request.path_params["version"], total=int(total)))


def _page(org: Org, records: Sequence[dict[str, Any]], version: str, *, total: int) -> dict[str, Any]:
    size = org.company.limits.salesforce_query_page
    page: dict[str, Any] = {"totalSize": total, "done": len(records) <= size, "records": list(records[:size])}
    if not page["done"]:
        locator = f"01gSB{len(org.further):010d}AAA-{size}"
        org.further[locator] = (str(total), list(records[size:]))
        page["nextRecordsUrl"] = f"/services/data/{version}/query/{locator}"
    return page


async def _upsert(org: Org, request: Request) -> Response:
    sobject, key = request.path_params["sobject"], request.path_params["key"]
    if not rule_of(sobject, key).external_id:
        msg = f"Provided external ID field does not exist or is not accessible: {key}"
        raise RefusedError("NOT_FOUND", msg, status=404)
    records = _records(await request.json())
    for one in records:
        require_readable(sobject, _values(one))
    named = [str(_values(one).get(key)).lower() for one in records]

    def write(one: Mapping[str, Any]) -> dict[str, Any]:
        if named.count(str(_values(one).get(key)).lower()) > 1:
            raise RefusedError("DUPLICATE_VALUE", "Duplicate external id specified", key)
        record, new = upsert(org.store, sobject, key, _values(one))
        return {"id": record.id, "success": True, "errors": [], "created": new}

    return _each(org, records, write)


async def _update(org: Org, request: Request) -> Response:
    records = _records(await request.json())
    for one in records:
        require_readable(one["attributes"]["type"], _values(one))

    def write(one: Mapping[str, Any]) -> dict[str, Any]:
        record = update(org.store, one["attributes"]["type"], _values(one))
        return {"id": record.id, "success": True, "errors": []}

    return _each(org, records, write)


async def _delete(org: Org, request: Request) -> Response:
    record = org.store.get(request.path_params["sobject"], request.path_params["record"])
    if record is None:
        raise RefusedError("NOT_FOUND", "The requested resource does not exist", status=404)
    org.store.delete(record)
    return Response(status_code=204)


def _each(
    org: Org, records: Sequence[Mapping[str, Any]], write: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Response:
    results = []
    with org.store.transaction():
        for one in records:
            try:
                results.append(write(one))
            except RefusedError as refused:
                results.append(refused.result())
    return JSONResponse(results)


async def _create_job(org: Org, request: Request) -> Response:
    return JSONResponse(org.jobs.create(await request.json()).body(request.path_params["version"]))


async def _show_job(org: Org, request: Request) -> Response:
    job = org.jobs.look(request.path_params["job"])
    return JSONResponse(job.body(request.path_params["version"], full=True))


async def _close_job(org: Org, request: Request) -> Response:
    asked = await request.json()
    job = org.jobs.close(request.path_params["job"], str(asked.get("state")))
    return JSONResponse(job.body(request.path_params["version"]))


async def _upload(org: Org, request: Request) -> Response:
    if not request.headers.get("content-type", "").startswith("text/csv"):
        raise RefusedError("INVALIDJOB", "The content type must be text/csv")
    org.jobs.upload(request.path_params["job"], (await request.body()).decode())
    return Response(status_code=201)


async def _results(org: Org, request: Request) -> Response:
    kind = request.path_params["kind"]
    if kind not in ("successfulResults", "failedResults", "unprocessedrecords"):
        raise RefusedError("NOT_FOUND", "The requested resource does not exist", status=404)
    return Response(org.jobs.get(request.path_params["job"]).file(kind), media_type="text/csv")


def _records(body: Any) -> list[dict[str, Any]]:
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list) or not records:
        raise RefusedError("INVALID_INPUT", "records is required")
    if len(records) > MAX_RECORDS:
        raise RefusedError(
            "EXCEEDED_MAX_SIZE_REQUEST", f"record limit reached. cannot submit more than {MAX_RECORDS} records"
        )
    if not all(isinstance(one, dict) and one.get("attributes", {}).get("type") for one in records):
        raise RefusedError("INVALID_INPUT", "attributes.type is required in each record")
    return records


def _values(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "attributes"}


def _shown(record: Record, names: Sequence[str], version: str) -> dict[str, Any]:
    seen = record.seen()
    body: dict[str, Any] = {
        "attributes": {
            "type": record.sobject,
            "url": f"/services/data/{version}/sobjects/{record.sobject}/{record.id}",
        }
    }
    for name in names:
        if name.lower() == "owner.name":
            owner = seen.get("Owner.Name")
            body["Owner"] = None if owner is None else {"attributes": {"type": "User"}, "Name": owner}
            continue
        value = seen.get(name)
        body[name] = iso_z(value)[:-1] + ".000+0000" if name in _INSTANTS and value is not None else value
    return body
