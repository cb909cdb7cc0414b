"""Matomo: web activity per visitor and day.

Belongs here: reading the visit log day by day, adding visits up, and the naming of columns in our contract. Does not
belong here: whose activity may be used (tracking consent), checks of rows.

Access: a token of a user who may view the site. The site must send the shop's customer id as Matomo's user id
(``setUserId``) for signed-in visitors; the others are known by their visitor id only, and are kept.

Matomo's day is that of the site's time zone and of a visit's last action. Where the site is in another zone than the
business, one day on either side is read as well and every visit counts on the business day of its last action. Late
visits (imported logs, offline tracking) are found because ``settle_days`` before the window are read again.

Memory: one entry per visitor and campaign of at most three days, and one page of visits.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.errors import PermanentError
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict, body_of, fit_words
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

_SECRETS = ("token",)
_PATH = "index.php"
_DAY = timedelta(days=1)

# Matomo has no error codes: only the words tell why.
_NOT_ALLOWED = ("token_auth", "authenticat", "requires 'view' access", "can't access this resource")
_OVERLOADED = ("execution time", "too many", "server has gone away", "try again")

_log = logging.getLogger(__name__)

Key = tuple[date, str | None, str | None, str | None]
"""Business day, customer, visitor, campaign."""


class MatomoSource(SourceSection):
    """Matomo: web activity per visitor and day."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_web_activity"})

    endpoint: Endpoint = Field(description="https://YOUR-MATOMO, the folder of Matomo's index.php")
    site_id: int = Field(ge=1, description="Matomo's id of the site")
    settle_days: int = Field(3, ge=0, description="Days read again because visits still arrive")
    page_size: int = Field(500, ge=1, le=10_000, description="Visits per page")


@dataclass
class _Sums:
    """What one visitor did on one day, coming from one campaign."""

    sessions: int = 0
    pageviews: int = 0
    engaged_seconds: int = 0
    conversions: int = 0
    media: Counter[str | None] = field(default_factory=Counter)


@dataclass(frozen=True)
class Matomo:
    """The reporting API of one site of a Matomo.

    Args:
        settings: The ``sources.matomo`` section.
        endpoint: Resolved address of the Matomo.
        credential: Gives ``token``.
        zone: Business time zone.
    """

    settings: MatomoSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "matomo"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield the days of ``window`` and those before it that still settle; see ``Source.fetch``."""
        first = window.since.astimezone(self.zone).date() - timedelta(days=self.settings.settle_days)
        last = (window.until - timedelta(microseconds=1)).astimezone(self.zone).date()
        with self._client() as client, expected_shape(self.name, table):
            side = self._side(client)
            sums: dict[Key, _Sums] = {}
            for day in _days(first - side, last + side):
                self._add_day(client, day, sums)
                # A business day reaches into no site day but its neighbours.
                if first <= day - side <= last:
                    yield _taken(sums, day - side)
                _taken(sums, day - 2 * side if side else day)

    def probe(self) -> str:
        """Ask for the site's name."""
        with self._client() as client, expected_shape(self.name, "the site"):
            site = self._site(client)
        return f"matomo: {site['name']} (site {self.settings.site_id}), days in {site['timezone']}"

    def _side(self, client: ApiClient) -> timedelta:
        """Return how much is read on either side of the wanted days."""
        zone = self._site(client)["timezone"]
        if zone == self.zone.key:
            return timedelta()
        _log.info("matomo counts days in %s, the business in %s: neighbouring days are read too", zone, self.zone.key)
        return _DAY

    def _site(self, client: ApiClient) -> Mapping[str, Any]:
        answer = self._ask(client, "SitesManager.getSiteFromId").json
        # Older versions wrap the site in a list.
        site: Mapping[str, Any] = answer[0] if isinstance(answer, list) else answer
        return site

    def _add_day(self, client: ApiClient, day: date, sums: dict[Key, _Sums]) -> None:
        before: frozenset[str] = frozenset()
        for page in self._pages(client, day):
            # A visit that begins while pages are read pushes the older ones on to the next page.
            for visit in page:
                if str(visit["idVisit"]) not in before:
                    _add(sums.setdefault(self._key(visit), _Sums()), visit)
            before = frozenset(str(visit["idVisit"]) for visit in page)

    def _pages(self, client: ApiClient, day: date) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the visits of a site day, newest first; only an empty page is surely the last one."""
        read = 0

        def next_offset(page: list[Mapping[str, Any]]) -> int | None:
            return read if page else None

        fetch = partial(self._page, client, day)
        for page in paginate(fetch(0), next_offset, fetch=fetch, rows_of=list, where=f"matomo visits of {day}"):
            read += len(page)
            yield page

    def _page(self, client: ApiClient, day: date, offset: int) -> list[Mapping[str, Any]]:
        asked = {
            "period": "day",
            "date": day.isoformat(),
            "filter_limit": str(self.settings.page_size),
            "filter_offset": str(offset),
        }
        visits = self._ask(client, "Live.getLastVisitsDetails", asked).json
        if not isinstance(visits, list):
            msg = f"{self.name} answered something else than a list of visits; is {self.endpoint} a Matomo?"
            raise PermanentError(msg)
        return visits

    def _key(self, visit: Mapping[str, Any]) -> Key:
        last_action = datetime.fromtimestamp(int(visit["serverTimestamp"]), UTC)
        campaign = visit["referrerName"] if visit["referrerType"] == "campaign" else None
        day = last_action.astimezone(self.zone).date()
        return day, _known(visit["userId"]), _known(visit["visitorId"]), _known(campaign)

    def _ask(self, client: ApiClient, method: str, more: Mapping[str, str] | None = None) -> Answer:
        # In the body: addresses are logged by every server on the way.
        form = {"module": "API", "method": method, "format": "JSON", "idSite": str(self.settings.site_id)}
        return client.request("POST", _PATH, data={**form, **(more or {}), "token_auth": self.credential("token")})

    def _client(self) -> ApiClient:
        return ApiClient(self.name, self.endpoint, timeout=120.0, classify=classify, secrets=_SECRETS)


def classify(response: httpx.Response) -> Verdict | None:
    """Recognise refusals, which come as a 200 with ``result: error`` in the body."""
    body = body_of(response)
    if not isinstance(body, dict) or body.get("result") != "error":
        return None
    words = fit_words(str(body.get("message") or "no reason given"))
    plain = words.lower()
    if any(part in plain for part in _NOT_ALLOWED):
        return Verdict("credential", words=words)
    if any(part in plain for part in _OVERLOADED):
        return Verdict("transient", words=words)
    # With another status than 200, the status says more than words we do not know.
    return Verdict("permanent", words=words) if response.status_code == httpx.codes.OK else None


def _add(sums: _Sums, visit: Mapping[str, Any]) -> None:
    sums.sessions += 1
    sums.pageviews += _whole(visit["actions"])
    sums.engaged_seconds += _whole(visit["visitDuration"])
    sums.conversions += _whole(visit["goalConversions"])
    sums.media[_known(visit.get("campaignMedium") or visit["referrerType"])] += 1


def _taken(sums: dict[Key, _Sums], day: date) -> list[Row]:
    """Take the rows of ``day`` out of ``sums``; the medium is that of most visits."""
    keys = sorted((key for key in sums if key[0] == day), key=lambda key: tuple(map(str, key)))
    return [_row(key, sums.pop(key)) for key in keys]


def _row(key: Key, sums: _Sums) -> Row:
    day, customer_ref, client_id, campaign = key
    return {
        "activity_on": day,
        "customer_ref": customer_ref,
        "client_id": client_id,
        "campaign": campaign,
        "medium": min(sums.media, key=lambda medium: (-sums.media[medium], str(medium))),
        "sessions": sums.sessions,
        "pageviews": sums.pageviews,
        "engaged_seconds": sums.engaged_seconds,
        "conversions": sums.conversions,
    }


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _known(value: object) -> str | None:
    """Return an id or a name as text; Matomo says null, false or nothing when it has none."""
    return str(value) if value else None


def _whole(value: object) -> int:
    """Return a count; Matomo writes numbers as text here and there, and false for none."""
    if value in (None, False, ""):
        return 0
    try:
        return int(str(value))
    except ValueError as error:
        # As a TypeError it becomes the error of an answer in an undocumented shape.
        msg = "a count is no number"
        raise TypeError(msg) from error
