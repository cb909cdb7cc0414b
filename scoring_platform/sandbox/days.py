"""Days and instants of the sandbox company.

Belongs here: conversions between business days, instants and the text vendors write. Does not belong here: what
happens on a day, and what "now" is.

Inside the sandbox an instant is a whole number of seconds since 1970 in UTC, and a day the number of days since the
company opened. Tokyo has no summer time, so a business day always has 86 400 seconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

EPOCH = date(2025, 10, 1)
"""The day the company opened; day number 0."""

BUSINESS_ZONE = ZoneInfo("Asia/Tokyo")
DAY = 86_400
HOUR = 3_600
MINUTE = 60
NEVER = 2**53
"""Later than every instant."""

_OPENED_AT = int(datetime(EPOCH.year, EPOCH.month, EPOCH.day, tzinfo=BUSINESS_ZONE).timestamp())


def day_number(day: date) -> int:
    """Return the number of the business day ``day``; negative before the company opened."""
    return (day - EPOCH).days


def date_of(number: int) -> date:
    """Return the business day with this number."""
    return EPOCH + timedelta(days=number)


def opens_at(number: int) -> int:
    """Return the instant at which the business day begins."""
    return _OPENED_AT + number * DAY


def day_of(instant: int) -> int:
    """Return the number of the business day in which ``instant`` lies."""
    return (instant - _OPENED_AT) // DAY


def seconds(moment: datetime) -> int:
    """Return ``moment`` as an instant; a moment without a zone is taken as UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def moment(instant: int) -> datetime:
    """Return ``instant`` as a datetime in UTC."""
    return datetime.fromtimestamp(instant, UTC)


def iso_z(instant: int) -> str:
    """Write an instant as ``2026-11-20T09:00:00Z``."""
    return datetime.fromtimestamp(instant, UTC).isoformat()[:19] + "Z"


def iso_millis(instant: int) -> str:
    """Write an instant as ``2026-11-20T09:00:00.000Z``."""
    return datetime.fromtimestamp(instant, UTC).isoformat()[:19] + ".000Z"


def iso_offset(instant: int) -> str:
    """Write an instant as ``2026-11-20T09:00:00+00:00``."""
    return datetime.fromtimestamp(instant, UTC).isoformat()


def parse(text: str) -> int:
    """Read an ISO date or date-time as an instant; without an offset it is UTC.

    Raises:
        ValueError: It is neither.
    """
    return seconds(datetime.fromisoformat(text))
