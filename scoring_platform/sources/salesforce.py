"""Salesforce: contacts and opportunities, as the sales people keep them.

Belongs here: the queries and the naming of their fields in our contracts. Does not belong here: signing in
(``http.salesforce``), writing (``destinations.salesforce``), checks of rows.

Access: the permission "API Enabled", and Read on contacts, opportunities and the fields named here, for the user our
app runs as; records that this user may not see are not there.

Pages follow the time of the last change and the record id: whatever changes while pages are read moves behind the
last page, and no cursor at Salesforce can run out. ``SystemModstamp`` also moves when a program, ours too, changes a
record. A deleted record is no longer found, so the row read before stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.errors import PermanentError
from scoring_platform.http.pages import paginate
from scoring_platform.http.salesforce import Record, Session, field, quoted
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

_CONTACT_FIELDS = ("Email", "Owner.Name", "HasOptedOutOfEmail", "AccountId", "CreatedDate")
_DEAL_FIELDS = (
    "ContactId",
    "StageName",
    "Amount",
    "Owner.Name",
    "CreatedDate",
    "CloseDate",
    "IsClosed",
    "IsWon",
)
_ALWAYS = ("Id", "SystemModstamp")


class SalesforceSource(SourceSection):
    """Salesforce: contacts and opportunities."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_crm_contacts", "raw_crm_deals"})

    endpoint: Endpoint = Field(description="https://MY-DOMAIN.my.salesforce.com")
    login: Literal["client_credentials", "jwt"] = Field("client_credentials", description="How our app signs in")
    api_version: str = Field("66.0", pattern=r"^\d{2,3}\.0$", description="Version of Salesforce's API")
    lifecycle_field: str | None = Field(
        None, pattern=r"^[A-Za-z]\w*$", description="Field of contacts with the lifecycle stage; none: not read"
    )
    reserve: float = Field(0.05, ge=0, lt=1, description="Share of the daily calls that is left to other programs")
    page_size: int = Field(2000, ge=1, le=2000, description="Records per page")


@dataclass(frozen=True)
class Salesforce:
    """The REST API of one organisation.

    Args:
        settings: The ``sources.salesforce`` section.
        endpoint: Resolved address.
        credential: Gives ``client_id`` with ``client_secret``, or with ``username`` and ``private_key``.
        zone: Business time zone, in which the day a deal was closed begins (Salesforce's instants are UTC).
    """

    settings: SalesforceSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "salesforce"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield the records changed within ``window``; see ``Source.fetch``."""
        session = self._session()
        try:
            with expected_shape(self.name, table):
                yield from self._readers[table](session, window)
        finally:
            session.close()

    def probe(self) -> str:
        """Count the contacts our user may see."""
        session = self._session()
        try:
            return f"salesforce: {session.count('Contact')} contacts"
        finally:
            session.close()

    @property
    def _readers(self) -> Mapping[str, Callable[[Session, Window], Iterator[Page]]]:
        return {"raw_crm_contacts": self._contacts, "raw_crm_deals": self._deals}

    def _contacts(self, session: Session, window: Window) -> Iterator[Page]:
        stage = self.settings.lifecycle_field
        fields = (*_CONTACT_FIELDS, stage) if stage else _CONTACT_FIELDS
        for page in self._changed(session, "Contact", fields, window=window):
            yield [contact_row(record, stage) for record in page]

    def _deals(self, session: Session, window: Window) -> Iterator[Page]:
        for page in self._changed(session, "Opportunity", _DEAL_FIELDS, window=window, only="ContactId != null"):
            yield [deal_row(record, self.zone) for record in page]

    def _changed(
        self, session: Session, sobject: str, fields: tuple[str, ...], *, window: Window, only: str | None = None
    ) -> Iterator[list[Record]]:
        size = self.settings.page_size

        def fetch(after: tuple[str, str] | None) -> list[Record]:
            conditions = [_after(window.since, after), f"SystemModstamp < {_instant(window.until)}"]
            soql = (
                f"SELECT {', '.join((*_ALWAYS, *fields))} FROM {sobject}"  # noqa: S608 - fields are ours or checked
                f" WHERE {' AND '.join([*conditions, only] if only else conditions)}"
                f" ORDER BY SystemModstamp, Id LIMIT {size}"
            )
            return [record for page in session.query(soql) for record in page]

        yield from paginate(
            fetch(None),
            lambda page: position(page[-1]) if len(page) == size else None,
            fetch=fetch,
            rows_of=lambda page: page,
            where=f"salesforce GET /query ({sobject})",
        )

    def _session(self) -> Session:
        return Session(
            self.endpoint,
            self.credential,
            login=self.settings.login,
            api_version=self.settings.api_version,
            reserve=self.settings.reserve,
        )


def contact_row(contact: Record, stage: str | None) -> Row:
    """Name a contact's fields; ``stage`` is the field with the lifecycle stage."""
    return {
        "crm_id": contact["Id"],
        "email": contact["Email"],
        "owner": _owner(contact),
        "lifecycle_stage": field(contact, stage) if stage else None,
        "opt_out": contact["HasOptedOutOfEmail"],
        "account_id": contact["AccountId"],
        "created_at": utc(contact["CreatedDate"]),
        "updated_at": utc(contact["SystemModstamp"]),
    }


def deal_row(deal: Record, zone: ZoneInfo) -> Row:
    """Name an opportunity's fields; as long as it is open, its close date is only a plan."""
    closed = bool(deal["IsClosed"])
    return {
        "deal_id": deal["Id"],
        "crm_id": deal["ContactId"],
        "stage": deal["StageName"],
        "amount": deal["Amount"],
        "owner": _owner(deal),
        "created_at": utc(deal["CreatedDate"]),
        "closed_at": begins(deal["CloseDate"], zone) if closed else None,
        "won": deal["IsWon"] if closed else None,
        "updated_at": utc(deal["SystemModstamp"]),
    }


def utc(text: str | None) -> str | None:
    """Return an instant with its zone written the common way: Salesforce writes ``+0000``."""
    return text.replace("+0000", "Z") if text else None


def begins(day: str | None, zone: ZoneInfo) -> datetime | str | None:
    """Return when a day begins in ``zone``; an unreadable one stays as it is."""
    try:
        parsed = date.fromisoformat(str(day))
    except ValueError:
        return day
    return datetime(parsed.year, parsed.month, parsed.day, tzinfo=zone).astimezone(UTC)


def position(record: Record) -> tuple[str, str]:
    """Return where a record stands in the order of changes.

    Raises:
        PermanentError: It has no time of change that could be asked for.
    """
    changed = utc(record["SystemModstamp"])
    if not changed:
        msg = "salesforce gave a record without SystemModstamp: the pages after it cannot be asked for"
        raise PermanentError(msg)
    return changed, str(record["Id"])


def _after(since: datetime, place: tuple[str, str] | None) -> str:
    if place is None:
        return f"SystemModstamp >= {_instant(since)}"
    changed, record = place
    return f"(SystemModstamp > {changed} OR (SystemModstamp = {changed} AND Id > {quoted(record)}))"


def _owner(record: Record) -> Any:
    return (record["Owner"] or {}).get("Name")


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
