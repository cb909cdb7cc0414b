"""Web analytics: the Data API's runReport and its tokens.

Belongs here: the exchange of a signed assertion for a token, and reports over the visits. Does not belong here: who
visits.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import service_account, service_account_key
from scoring_platform.sandbox.days import BUSINESS_ZONE, date_of, day_number
from scoring_platform.sandbox.inbound import bearer, fields
from scoring_platform.sandbox.people import FIRST_REF
from scoring_platform.sandbox.visits import NOT_SET, Visit, VisitLog

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPES = {"https://www.googleapis.com/auth/analytics.readonly", "https://www.googleapis.com/auth/analytics"}
_TOKEN_SECONDS = 3_600
_DEFAULT_LIMIT, _MOST_ROWS = 10_000, 250_000
_MOST_DIMENSIONS, _MOST_METRICS, _MOST_RANGES = 9, 10, 4

_DIMENSIONS: dict[str, Callable[[Visit], str]] = {
    "date": lambda visit: date_of(visit.day).strftime("%Y%m%d"),
    "customUser:crm_id": lambda visit: NOT_SET if visit.person is None else str(FIRST_REF + visit.person),
    "sessionCampaignName": lambda visit: visit.campaign,
    "sessionMedium": lambda visit: visit.medium,
    "sessionSourceMedium": lambda visit: f"{visit.campaign} / {visit.medium}",
}
_METRICS: dict[str, Callable[[Visit], int]] = {
    "sessions": lambda visit: visit.sessions,
    "screenPageViews": lambda visit: visit.pages,
    "userEngagementDuration": lambda visit: visit.seconds,
    "keyEvents": lambda visit: visit.conversions,
    "conversions": lambda visit: visit.conversions,
    "totalUsers": lambda visit: 1 if visit.person is not None else visit.sessions,
}

Rows = list[tuple[tuple[str, ...], tuple[int, ...]]]


class _RefusedError(Exception):
    """The request is wrong; the text says how."""


@dataclass(frozen=True)
class _Asked:
    """A report that was asked for; each order is (0 dimension or 1 metric, its place, whether downwards)."""

    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    orders: tuple[tuple[int, int, bool], ...]


def routes(company: Company) -> list[BaseRoute]:
    """Return the routes of web analytics and its token service."""

    async def token(request: Request) -> Response:
        return await run_in_threadpool(_token, company, await fields(request))

    async def run_report(request: Request) -> Response:
        if not company.tokens.accepts("ga4", bearer(request)):
            return _error(401, "UNAUTHENTICATED", message="Request had invalid authentication credentials.")
        try:
            return JSONResponse(await run_in_threadpool(_report, company, await fields(request)))
        except _RefusedError as error:
            return _error(400, "INVALID_ARGUMENT", message=str(error))

    return [
        Route("/token", token, methods=["POST"]),
        Route("/v1beta/properties/{property_id}:runReport", run_report, methods=["POST"]),
    ]


def _error(code: int, status: str, *, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message, "status": status}}, status_code=code)


def _token(company: Company, sent: dict[str, Any]) -> Response:
    problem = "unsupported grant type" if sent.get("grant_type") != _GRANT else _flaw(company, sent.get("assertion"))
    if problem:
        return JSONResponse({"error": "invalid_grant", "error_description": problem}, status_code=401)
    token = company.tokens.issue("ga4", lifetime_seconds=_TOKEN_SECONDS)
    return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_SECONDS - 1})


def _flaw(company: Company, assertion: object) -> str | None:
    """Return what is wrong with a signed assertion; None when it is good."""
    head, _, rest = str(assertion).partition(".")
    payload, _, signature = rest.partition(".")
    try:
        claims, signed = json.loads(_unpacked(payload)), _unpacked(signature)
        algorithm = json.loads(_unpacked(head)).get("alg")
        key = service_account_key(company.state_dir)
        key.verify(signed, f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, binascii.Error, AttributeError):
        return "the assertion is no JWT"
    except InvalidSignature:
        return "Invalid JWT Signature."
    return _wrong_claim(claims, algorithm, account=json.loads(service_account(company.state_dir))["client_email"])


def _wrong_claim(claims: dict[str, Any], algorithm: object, *, account: str) -> str | None:
    now, starts, ends = time.time(), claims.get("iat", 0), claims.get("exp", 0)
    if algorithm != "RS256":
        return "the algorithm must be RS256"
    if claims.get("iss") != account:
        return "Invalid grant: account not found"
    if not str(claims.get("aud", "")).endswith("/token"):
        return "Invalid JWT: failed audience check."
    if not set(str(claims.get("scope", "")).split()) & _SCOPES:
        return "Invalid OAuth scope or ID token audience provided."
    if not starts - 60 <= now < ends or ends - starts > _TOKEN_SECONDS:
        return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    return None


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _report(company: Company, sent: dict[str, Any]) -> dict[str, Any]:
    asked, now = _asked(sent), company.instant()
    log = company.population.books.visits
    rows = _rows(log, log.known(now), asked=asked)
    limit, offset = _number(sent, "limit", default=_DEFAULT_LIMIT), _number(sent, "offset", default=0)
    page = rows[offset : offset + min(limit, _MOST_ROWS)]
    return {
        "dimensionHeaders": [{"name": name} for name in asked.dimensions],
        "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in asked.metrics],
        "rows": [
            {
                "dimensionValues": [{"value": value} for value in keys],
                "metricValues": [{"value": str(value)} for value in values],
            }
            for keys, values in page
        ],
        "rowCount": len(rows),
        "metadata": {
            "currencyCode": "JPY",
            "timeZone": BUSINESS_ZONE.key,
            "dataLossFromOtherRow": False,
            "subjectToThresholding": False,
        },
        "propertyQuota": {"tokensPerDay": {"consumed": 3, "remaining": 199_997}},
        "kind": "analyticsData#runReport",
    }


@lru_cache(maxsize=4)
def _rows(log: VisitLog, known: int, *, asked: _Asked) -> Rows:
    """Add up the first ``known`` visits by the dimensions and put the rows in order."""
    keys = [_DIMENSIONS[name] for name in asked.dimensions]
    values = [_METRICS[name] for name in asked.metrics]
    sums: dict[tuple[str, ...], list[int]] = {}
    for visit in log.first(known):
        if not any(first <= visit.day <= last for first, last in asked.ranges):
            continue
        row = sums.setdefault(tuple([key(visit) for key in keys]), [0] * len(values))
        for place, value in enumerate(values):
            row[place] += value(visit)
    rows: Rows = [(key, tuple(row)) for key, row in sums.items()]
    for order in reversed(asked.orders):
        _sort(rows, order)
    return rows


def _sort(rows: Rows, order: tuple[int, int, bool]) -> None:
    which, place, downwards = order
    if which == 0:
        rows.sort(key=lambda row: row[0][place], reverse=downwards)
    else:
        rows.sort(key=lambda row: row[1][place], reverse=downwards)


def _asked(sent: dict[str, Any]) -> _Asked:
    dimensions = _names(sent.get("dimensions"), _DIMENSIONS, most=_MOST_DIMENSIONS, what="dimension")
    metrics = _names(sent.get("metrics"), _METRICS, most=_MOST_METRICS, what="metric")
    orders = tuple(_order(entry, dimensions, metrics=metrics) for entry in sent.get("orderBys") or [])
    return _Asked(dimensions, metrics, _ranges(sent.get("dateRanges")), orders)


def _order(entry: dict[str, Any], dimensions: tuple[str, ...], *, metrics: tuple[str, ...]) -> tuple[int, int, bool]:
    downwards = bool(entry.get("desc"))
    if "dimension" in entry:
        return 0, _place(entry["dimension"].get("dimensionName"), dimensions), downwards
    return 1, _place((entry.get("metric") or {}).get("metricName"), metrics), downwards


def _place(name: object, names: tuple[str, ...]) -> int:
    if name not in names:
        msg = f"Field {name} is not in the report; order by a requested dimension or metric."
        raise _RefusedError(msg)
    return names.index(str(name))


def _names(sent: object, known: dict[str, Any], *, most: int, what: str) -> tuple[str, ...]:
    names = tuple(str(entry.get("name")) for entry in sent) if isinstance(sent, list) else ()
    unknown = [name for name in names if name not in known]
    if unknown:
        msg = f"Field {unknown[0]} is not a valid {what}."
        raise _RefusedError(msg)
    if len(names) > most:
        msg = f"Requests are limited to {most} {what}s."
        raise _RefusedError(msg)
    return names


def _ranges(sent: object) -> tuple[tuple[int, int], ...]:
    entries = sent if isinstance(sent, list) else []
    if not 1 <= len(entries) <= _MOST_RANGES:
        msg = f"A report needs 1 to {_MOST_RANGES} dateRanges."
        raise _RefusedError(msg)
    try:
        return tuple(
            (day_number(date.fromisoformat(entry["startDate"])), day_number(date.fromisoformat(entry["endDate"])))
            for entry in entries
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = "Invalid startDate or endDate; use YYYY-MM-DD."
        raise _RefusedError(msg) from error


def _number(sent: dict[str, Any], name: str, *, default: int) -> int:
    text = str(sent.get(name, default))
    if not text.isascii() or not text.isdigit():
        msg = f"Invalid value at '{name}'"
        raise _RefusedError(msg)
    return int(text)
