"""Google Analytics 4: web activity per customer and day.

Belongs here: the report asked of the Data API and the naming of its columns in our contract. Does not belong here:
whose activity may be used (tracking consent), checks of rows.

Access: a service account that is a viewer of the property (scope ``analytics.readonly``). The customer dimension must
be a user-scoped custom dimension filled with the shop's customer id. Limits: 200 000 tokens a day and 40 000 an hour
for a standard property, 10 server errors an hour, 250 000 rows a page.

runReport knows no client ids. Figures settle for days, so ``settle_days`` before the window are read again. Rows
without a customer are kept, added up by campaign; the medium of a row is that of most of its sessions. Google may leave
rows out (thresholding), fold them into "(other)", or estimate them (sampling): each is logged as a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import groupby
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import Field

from scoring_platform.config.base import SANDBOX, Endpoint, SourceSection
from scoring_platform.errors import TransientError
from scoring_platform.http.auth import Token, TokenAuth, assertion_grant, refused_grant, request_token
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict, retry_after, vendor_words
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

SCOPE = "https://www.googleapis.com/auth/analytics.readonly"

_SECRETS = ("service_account",)
_METRICS = {
    "sessions": "sessions",
    "screenPageViews": "pageviews",
    "userEngagementDuration": "engaged_seconds",
    "keyEvents": "conversions",
}
_NOBODY = frozenset({"", "(not set)", "(other)"})
"""Values by which Google says that it does not know."""

_PAUSE_AFTER_FAILURE = 15.0
"""Seconds before a failed call is repeated: ten failures an hour are all a property may see."""

_HOUR = 3600.0

_log = logging.getLogger(__name__)


class Ga4Source(SourceSection):
    """Google Analytics 4 Data API: web activity per customer and day."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_web_activity"})

    endpoint: Endpoint = Field("https://analyticsdata.googleapis.com", description="API host")
    token_endpoint: Endpoint = Field("https://oauth2.googleapis.com/token", description="OAuth token address")
    property_id: str = Field(description="GA4 property")
    customer_dimension: str = Field("customUser:crm_id", description="Dimension with the shop's customer id")
    settle_days: int = Field(3, ge=0, description="Days read again because figures still settle")
    page_size: int = Field(10_000, ge=1, le=250_000, description="Rows per page")


@dataclass(frozen=True)
class Ga4:
    """The Google Analytics Data API of one property.

    Args:
        settings: The ``sources.ga4`` section.
        endpoint: Resolved address of the Data API.
        credential: Gives ``service_account``, the JSON key file as text.
        zone: Business time zone; the property should have the same.
    """

    settings: Ga4Source
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "ga4"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield the days of ``window`` and those before it that still settle; see ``Source.fetch``."""
        first = window.since.astimezone(self.zone).date() - timedelta(days=self.settings.settle_days)
        last = (window.until - timedelta(microseconds=1)).astimezone(self.zone).date()
        with self._client() as client, expected_shape(self.name, table):
            records = self._records(client, first, last)
            for _, of_day in groupby(records, key=lambda record: record["date"]):
                yield self._rows_of_day(list(of_day))

    def probe(self) -> str:
        """Count the sessions of today."""
        today = datetime.now(self.zone).date()
        report = self._report(today, today, dimensions=(), limit=1)
        with self._client() as client, expected_shape(self.name, "a report"):
            rows = client.request("POST", self._path, json=report).json.get("rows") or []
        sessions = rows[0]["metricValues"][0]["value"] if rows else "0"
        return f"ga4: property {self.settings.property_id}, {sessions} sessions today"

    def _records(self, client: ApiClient, first: date, last: date) -> Iterator[dict[str, str]]:
        """Rows of the report as name to value, ordered by date."""

        def fetch(offset: int) -> Answer:
            report = self._report(first, last, dimensions=self._dimensions, limit=self.settings.page_size)
            return client.request("POST", self._path, json={**report, "offset": str(offset)})

        read = 0

        def next_offset(answer: Answer) -> int | None:
            got, total = len(answer.json.get("rows") or []), int(answer.json.get("rowCount") or 0)
            if got == 0 and read < total:
                msg = f"ga4 gave {read} of {total} rows at POST {self._path}"
                raise TransientError(msg)
            return read if read < total else None

        pages = paginate(
            fetch(0),
            next_offset,
            fetch=fetch,
            rows_of=lambda answer: answer.json.get("rows") or [],
            where="ga4 runReport",
        )
        for number, answer in enumerate(pages):
            if number == 0:
                self._warn(answer.json.get("metadata") or {}, first, last)
            read += len(answer.json.get("rows") or [])
            yield from records(answer.json)

    def _report(self, first: date, last: date, *, dimensions: tuple[str, ...], limit: int) -> dict[str, Any]:
        return {
            "dateRanges": [{"startDate": first.isoformat(), "endDate": last.isoformat()}],
            "dimensions": [{"name": name} for name in dimensions],
            "metrics": [{"name": name} for name in _METRICS],
            # A total order, so that a page boundary never skips or repeats a row; date first, to add up day by day.
            "orderBys": [{"dimension": {"dimensionName": name}} for name in dimensions],
            "limit": str(limit),
            "keepEmptyRows": False,
            "returnPropertyQuota": True,
        }

    def _rows_of_day(self, of_day: list[dict[str, str]]) -> list[Row]:
        """One row per customer and campaign: Google's rows also differ by medium and by how it says "unknown"."""
        merged: dict[tuple[str | None, str | None], dict[str, Any]] = {}
        for record in of_day:
            row = self._row(record)
            key = (row["customer_ref"], row["campaign"])
            merged[key] = added(merged[key], row) if key in merged else row
        return list(merged.values())

    def _row(self, record: Mapping[str, str]) -> dict[str, Any]:
        return {
            "activity_on": day(record["date"]),
            "customer_ref": known(record[self.settings.customer_dimension]),
            "client_id": None,
            "campaign": known(record["sessionCampaignName"]),
            "medium": known(record["sessionMedium"]),
            **{ours: record[theirs] for theirs, ours in _METRICS.items()},
        }

    def _warn(self, metadata: Mapping[str, Any], first: date, last: date) -> None:
        flags = [flag for flag in ("dataLossFromOtherRow", "subjectToThresholding") if metadata.get(flag)]
        flags += ["sampling"] if metadata.get("samplingMetadatas") else []
        if flags:
            _log.warning("ga4 report of %s to %s is incomplete: %s", first, last, ", ".join(flags))
        zone = metadata.get("timeZone")
        if zone and zone != self.zone.key:
            _log.warning("ga4 property counts days in %s, the business in %s: days are shifted", zone, self.zone.key)

    @property
    def _dimensions(self) -> tuple[str, ...]:
        return ("date", self.settings.customer_dimension, "sessionCampaignName", "sessionMedium")

    @property
    def _path(self) -> str:
        return f"/v1beta/properties/{self.settings.property_id}:runReport"

    @property
    def _token_address(self) -> str:
        in_sandbox = SANDBOX in (self.settings.endpoint, self.settings.token_endpoint)
        return f"{self.endpoint}/token" if in_sandbox else self.settings.token_endpoint

    @cached_property
    def _auth(self) -> TokenAuth:
        return TokenAuth(self._token)

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name, self.endpoint, auth=self._auth, classify=classify, timeout=120.0, attempts=3, secrets=_SECRETS
        )

    def _token(self) -> Token:
        grant = assertion_grant(self.credential("service_account"), SCOPE, system=self.name)
        base, _, path = self._token_address.rpartition("/")
        with ApiClient(self.name, base, classify=refused_grant, secrets=_SECRETS) as client:
            return request_token(client, path, grant)


def classify(response: httpx.Response) -> Verdict | None:
    """Tell the daily quota from the hourly one and from too many calls at once, and go easy after server errors."""
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Verdict("transient", wait=retry_after(response) or _PAUSE_AFTER_FAILURE)
    if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return None
    words = vendor_words(response)
    if "per day" in words or "PerDay" in words:
        return Verdict("exhausted", words=words)
    if "per hour" in words or "PerHour" in words:
        return Verdict("throttled", wait=_HOUR, words=words)
    return Verdict("throttled", wait=retry_after(response), words=words)


def records(report: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the rows of a report as name to value."""
    dimensions = [header["name"] for header in report.get("dimensionHeaders") or []]
    metrics = [header["name"] for header in report.get("metricHeaders") or []]
    for row in report.get("rows") or []:
        values = [cell["value"] for cell in (*row.get("dimensionValues", ()), *row.get("metricValues", ()))]
        yield dict(zip((*dimensions, *metrics), values, strict=True))


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return two rows of one key as one; the medium is that of the row with more sessions."""
    larger = other if _number(other["sessions"]) > _number(one["sessions"]) else one
    sums = {name: str(_number(one[name]) + _number(other[name])) for name in _METRICS.values()}
    return {**larger, **sums}


def known(value: str) -> str | None:
    """Return ``value``, or None where Google says that it does not know."""
    return None if value in _NOBODY else value


def day(value: str) -> date | str:
    """Return the date that Google writes as YYYYMMDD; anything else stays as it is."""
    try:
        return datetime.strptime(value, "%Y%m%d").date()  # noqa: DTZ007 - a calendar day, no instant
    except ValueError:
        return value


def _number(value: str) -> Decimal:
    try:
        return Decimal(value)
    except InvalidOperation as error:
        # As a TypeError it becomes the error of an answer in an undocumented shape.
        msg = "a metric is no number"
        raise TypeError(msg) from error
