"""Web analytics of one's own: Matomo's visit log.

Belongs here: the reporting API's two methods, single visits. Does not belong here: who visits (``visits``); they are
the same visits that the other web analytics reports.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.days import DAY, HOUR, NEVER, day_number, moment, opens_at
from scoring_platform.sandbox.inbound import fields
from scoring_platform.sandbox.people import FIRST_REF
from scoring_platform.sandbox.visits import Visit, VisitLog

SITE_ID = 1
_DEFAULT_LIMIT = 10
_TYPES = {
    "(direct)": ("direct", ""),
    "(organic)": ("search", "Google"),
    "(referral)": ("website", "coffee.example.com"),
}
"""Type and name of the referrer of visits that no campaign brought."""


@dataclass
class _Log:
    """The visits by day, put in order anew when the company goes on."""

    _of: VisitLog = field(default_factory=VisitLog)
    _days: dict[int, list[Visit]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def day(self, visits: VisitLog, day: int, *, now: int) -> list[Visit]:
        """Return the visits of ``day`` that are known at ``now``."""
        with self._lock:
            if self._of is not visits:
                self._days, self._of = {}, visits
                for visit in visits.first(visits.known(NEVER)):
                    self._days.setdefault(visit.day, []).append(visit)
            return [visit for visit in self._days.get(day, ()) if visit.known_at <= now]


def routes(company: Company) -> list[BaseRoute]:
    """Return the routes of Matomo."""
    log = _Log()

    async def api(request: Request) -> Response:
        sent = {**request.query_params, **await fields(request)}
        return await run_in_threadpool(_answer, company, log, sent=sent, in_address=dict(request.query_params))

    return [Route("/index.php", api, methods=["GET", "POST"])]


def _answer(company: Company, log: _Log, *, sent: dict[str, Any], in_address: dict[str, str]) -> Response:
    if "token_auth" in in_address:
        return _error("Secure tokens must be sent in a POST body: token_auth is not accepted in the address.")
    if not hmac.compare_digest(str(sent.get("token_auth", "")), company.credentials["matomo"]["token"]):
        return _error("Unable to authenticate with the provided token. It is either invalid, expired or is required to "
                      "be sent as a POST parameter. (token_auth)")  # fmt: skip
    if sent.get("module") != "API" or str(sent.get("format", "")).upper() != "JSON":
        return _error("The sandbox answers module=API with format=JSON only.")
    if sent.get("idSite") != str(SITE_ID):
        return _error(f"An unexpected website was found in the request: website id was set to '{sent.get('idSite')}'.")
    match sent.get("method"):
        case "SitesManager.getSiteFromId":
            site = {"idsite": SITE_ID, "name": "Sandbox Coffee", "timezone": "Asia/Tokyo", "currency": "JPY"}
            return JSONResponse(site)
        case "Live.getLastVisitsDetails":
            return _visits(company, log, sent)
        case other:
            return _error(f"The method '{other}' does not exist or is not available.")


def _error(message: str) -> Response:
    return JSONResponse({"result": "error", "message": message})


def _visits(company: Company, log: _Log, sent: dict[str, Any]) -> Response:
    limit, offset = str(sent.get("filter_limit", _DEFAULT_LIMIT)), str(sent.get("filter_offset", 0))
    if sent.get("period") != "day" or not limit.isdigit() or not offset.isdigit():
        return _error("The sandbox knows period=day, and a filter_limit and filter_offset of digits.")
    try:
        day = day_number(date.fromisoformat(str(sent.get("date"))))
    except ValueError:
        return _error(f"The date '{sent.get('date')}' is not a valid date; use YYYY-MM-DD.")
    now = company.instant()
    found = [single for visit in log.day(company.population.books.visits, day, now=now) for single in _singles(visit)]
    newest_first = sorted(found, key=lambda single: (single["serverTimestamp"], single["idVisit"]), reverse=True)
    return JSONResponse(newest_first[int(offset) : int(offset) + int(limit)])


def _singles(visit: Visit) -> Iterator[dict[str, Any]]:
    """Yield the single visits of a visitor's day; together they have the day's pages, seconds and key events."""
    for place in range(visit.sessions):
        seed = _digest(visit.day, visit.campaign, who=visit.person, place=place)
        visitor = seed if visit.person is None else _digest(0, "", who=visit.person, place=0)
        last_action = opens_at(visit.day) + HOUR + int(seed, 16) % (DAY - 2 * HOUR)
        kind, name = _TYPES.get(visit.campaign, ("campaign", visit.campaign))
        yield {
            "idSite": str(SITE_ID),
            "idVisit": str(int(seed, 16) >> 12),
            "visitorId": visitor,
            "userId": None if visit.person is None else str(FIRST_REF + visit.person),
            "serverTimestamp": last_action,
            "serverDate": moment(last_action).date().isoformat(),
            "actions": str(_share(visit.pages, visit.sessions, place=place)),
            "visitDuration": str(_share(visit.seconds, visit.sessions, place=place)),
            "goalConversions": _share(visit.conversions, visit.sessions, place=place),
            "referrerType": kind,
            "referrerName": name,
            "campaignMedium": visit.medium if kind == "campaign" else "",
            "siteCurrency": "JPY",
        }


def _share(total: int, parts: int, *, place: int) -> int:
    return total // parts + (place < total % parts)


def _digest(day: int, campaign: str, *, who: int | None, place: int) -> str:
    return hashlib.blake2b(f"{day}|{campaign}|{who}|{place}".encode(), digest_size=8).hexdigest()
