"""HubSpot: contacts and deals, as the sales people keep them.

Belongs here: which listing is read when, and the naming of its fields in our contracts. Does not belong here: checks
of rows, the token and the limits (``http.hubspot``), writing (``destinations.hubspot``).

Access: a private-app token with the scopes ``crm.objects.contacts.read``, ``crm.objects.deals.read``,
``crm.objects.owners.read``, ``crm.schemas.contacts.read`` and ``crm.schemas.deals.read``.

HubSpot lists all contacts, or searches those that changed. The list is the truth and has no end to its length, but
knows no time of change: it is read for the first load and after a long pause. The search finds what changed, an index
behind the truth by moments, which the overlap of the ingest step makes good; it gives 10,000 results at most, and a
contact that changes again while pages are counted off moves all behind it up by one. So no pages are counted off: every
call searches anew from the last time of change it has seen.

Deals are always listed whole: a search does not tell whose a deal is, and giving it to another contact need not count
as a change of the deal. What the list no longer has is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.errors import PermanentError
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.hubspot import SEARCHES_PER_SECOND, connect
from scoring_platform.http.limits import Memory, RateLimit
from scoring_platform.http.limits import Window as CallsWindow
from scoring_platform.http.pages import paginate
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape, instant_of

CONTACTS, DEALS = "/crm/v3/objects/contacts", "/crm/v3/objects/deals"

_OWNERS, _PIPELINES = "/crm/v3/owners", "/crm/v3/pipelines/deals"
_STAGES = "/crm/v3/properties/contacts/lifecyclestage"
_CHANGED = "lastmodifieddate"
_COMPANY = "associatedcompanyid"
_CONTACT_FIELDS = ("email", "hubspot_owner_id", "lifecyclestage", "hs_email_optout", _COMPANY, "createdate", _CHANGED)
_DEAL_FIELDS = (
    "pipeline",
    "dealstage",
    "amount",
    "amount_in_home_currency",
    "hubspot_owner_id",
    "createdate",
    "closedate",
    "hs_is_closed",
    "hs_is_closed_won",
    "hs_lastmodifieddate",
)
_LISTED, _SEARCHED = 100, 200
"""Records a page of each may have."""

_OWNERS_PER_PAGE = 500
_LONGEST_SEARCH = timedelta(days=30)
"""Changes of more time than this are most of the contacts, and cheaper to list than to search."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Item = Mapping[str, Any]
Names = Mapping[Any, str]

_log = logging.getLogger(__name__)


class HubspotSource(SourceSection):
    """HubSpot: contacts and deals."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_crm_contacts", "raw_crm_deals"})
    whole: ClassVar[frozenset[str]] = frozenset({"raw_crm_deals"})

    endpoint: Endpoint = Field("https://api.hubapi.com", description="API host")
    page_size: int = Field(_SEARCHED, ge=1, le=_SEARCHED, description="Records per page; lists give 100 at most")


class _Place(NamedTuple):
    """Where a search goes on: at contacts changed from ``since`` on, or changed at it with a greater id than ``after``.

    ``after`` is only given where one instant has more contacts than a page.
    """

    since: int
    after: int | None = None


class _Found(NamedTuple):
    """A page of a search."""

    place: _Place
    rows: list[Item]


@dataclass(frozen=True)
class Hubspot:
    """The CRM API of one account.

    Args:
        settings: The ``sources.hubspot`` section.
        endpoint: Resolved address.
        credential: Gives ``token``, of a private app.
        zone: Business time zone (HubSpot's instants are UTC).
        memory: Where limits are counted, to share them with others.
    """

    settings: HubspotSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    memory: Memory | None = None
    name: str = "hubspot"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what changed within ``window``; see ``Source.fetch``."""
        with self._open() as client, expected_shape(self.name, table):
            searches = CallsWindow(SEARCHES_PER_SECOND, 1.0, name="searches", memory=self.memory)
            reading = _Reading(client, self.settings, window, searches)
            yield from reading.contacts() if table == "raw_crm_contacts" else reading.deals()

    def probe(self) -> str:
        """Read one contact."""
        with self._open() as client, expected_shape(self.name, "contacts"):
            found = client.request("GET", CONTACTS, params={"limit": "1"}).json["results"]
        return "hubspot: its contacts can be read" if found else "hubspot: it has no contacts yet"

    def _open(self) -> ApiClient:
        return connect(self.endpoint, lambda: self.credential("token"), memory=self.memory)


@dataclass(frozen=True)
class _Reading:
    """One window of one table on its way."""

    client: ApiClient
    settings: HubspotSource
    window: Window
    searches: RateLimit

    def contacts(self) -> Iterator[Page]:
        """Yield the contacts: those that changed, or all of them when that is a long time."""
        owners, stages = self._owners(), self._lifecycle_stages()
        long = self.window.until - self.window.since > _LONGEST_SEARCH
        for page in self._all_contacts() if long else self._changed_contacts():
            yield [contact_row(contact, owners, stages) for contact in page]

    def deals(self) -> Iterator[Page]:
        """Yield all deals that have a contact."""
        owners, stages = self._owners(), self._deal_stages()
        nameless = 0
        asked = {"properties": ",".join(_DEAL_FIELDS), "associations": "contacts"}
        for answer in self._list(DEALS, asked, size=self._listed):
            deals = answer.json["results"]
            known = [(deal, contact) for deal in deals if (contact := contact_of(deal)) is not None]
            nameless += len(deals) - len(known)
            yield [deal_row(deal, contact, owners, stages) for deal, contact in known]
        if nameless:
            _log.info("hubspot: %d deals without a contact are no rows", nameless)

    @property
    def _listed(self) -> int:
        return min(self.settings.page_size, _LISTED)

    def _all_contacts(self) -> Iterator[list[Item]]:
        for answer in self._list(CONTACTS, {"properties": ",".join(_CONTACT_FIELDS)}, size=self._listed):
            yield answer.json["results"]

    def _changed_contacts(self) -> Iterator[list[Item]]:
        pages = paginate(
            self._search(_Place(millis(self.window.since))),
            self._next,
            fetch=self._search,
            # The first page in order of ids may well be the one before, where all its contacts changed at once.
            rows_of=lambda found: [found.place.after is None, *found.rows] if found.rows else [],
            where=f"hubspot POST {CONTACTS}/search",
        )
        for found in pages:
            yield found.rows

    def _search(self, place: _Place) -> _Found:
        self.searches.take()
        query = search_body(place, until=millis(self.window.until), limit=self.settings.page_size)
        return _Found(place, self.client.request("POST", f"{CONTACTS}/search", json=query).json["results"])

    def _next(self, found: _Found) -> _Place | None:
        place, rows = found
        if len(rows) < self.settings.page_size:
            return None if place.after is None else _Place(place.since + 1)
        if place.after is not None:
            return _Place(place.since, max(int(row["id"]) for row in rows))
        changes = [changed_at(row) for row in rows]
        if min(changes) == max(changes):
            return _Place(max(changes), 0)
        return _Place(max(changes))

    def _list(self, path: str, asked: Mapping[str, str], *, size: int) -> Iterator[Answer]:
        params = {"limit": str(size), **asked}
        return paginate(
            self.client.request("GET", path, params=params),
            next_cursor,
            fetch=lambda cursor: self.client.request("GET", path, params={**params, "after": cursor}),
            rows_of=lambda answer: answer.json["results"],
            where=f"hubspot GET {path}",
        )

    def _owners(self) -> Names:
        answers = self._list(_OWNERS, {}, size=_OWNERS_PER_PAGE)
        return {str(owner["id"]): owner_name(owner) for answer in answers for owner in answer.json["results"]}

    def _lifecycle_stages(self) -> Names:
        options = self.client.request("GET", _STAGES).json.get("options") or []
        return {option["value"]: option["label"] for option in options}

    def _deal_stages(self) -> Names:
        pipelines = self.client.request("GET", _PIPELINES).json["results"]
        return {(one["id"], stage["id"]): stage["label"] for one in pipelines for stage in one["stages"]}


def search_body(place: _Place, *, until: int, limit: int) -> dict[str, Any]:
    """Return the search for contacts changed from a place on, before ``until``."""
    sort, end = (_CHANGED, until) if place.after is None else ("hs_object_id", place.since + 1)
    filters = [_filter(_CHANGED, "GTE", place.since), _filter(_CHANGED, "LT", end)]
    if place.after is not None:
        filters.append(_filter("hs_object_id", "GT", place.after))
    return {"filterGroups": [{"filters": filters}], "sorts": [sort], "properties": _CONTACT_FIELDS, "limit": limit}


def next_cursor(answer: Answer) -> str | None:
    """Return the cursor of the next page; None at the end."""
    following = (answer.json.get("paging") or {}).get("next") or {}
    cursor: str | None = following.get("after")
    return cursor


def contact_row(contact: Item, owners: Names, stages: Names) -> Row:
    """Name a contact's fields; its address is the primary one."""
    values = contact["properties"]
    return {
        "crm_id": str(contact["id"]),
        "email": values.get("email") or None,
        "owner": _named(owners, values.get("hubspot_owner_id")),
        "lifecycle_stage": _named(stages, values.get("lifecyclestage")),
        "opt_out": _flag(values.get("hs_email_optout")),
        "account_id": values.get(_COMPANY) or None,
        "created_at": values.get("createdate") or contact["createdAt"],
        "updated_at": values.get(_CHANGED) or contact["updatedAt"],
    }


def deal_row(deal: Item, contact: str, owners: Names, stages: Names) -> Row:
    """Name a deal's fields; as long as it is open, its close date is only a plan and it is neither won nor lost."""
    values = deal["properties"]
    won, closed = _flag(values.get("hs_is_closed_won")), _flag(values.get("hs_is_closed"))
    stage = values["dealstage"]
    return {
        "deal_id": str(deal["id"]),
        "crm_id": contact,
        "stage": stages.get((values.get("pipeline"), stage), stage),
        "amount": values.get("amount_in_home_currency") or values.get("amount") or None,
        "owner": _named(owners, values.get("hubspot_owner_id")),
        "created_at": values.get("createdate") or deal["createdAt"],
        "closed_at": values.get("closedate") or None if closed else None,
        "won": bool(won) if closed else None,
        "updated_at": values.get("hs_lastmodifieddate") or deal["updatedAt"],
    }


def contact_of(deal: Item) -> str | None:
    """Return the contact of a deal, the one known longest of several: HubSpot calls none the main one."""
    linked = ((deal.get("associations") or {}).get("contacts") or {}).get("results") or []
    return min((str(one["id"]) for one in linked), key=lambda key: (len(key), key), default=None)


def owner_name(owner: Item) -> str:
    """Return the name of an owner; the address of one without a name, and the number of one without either."""
    words = " ".join(part for part in (owner.get("firstName"), owner.get("lastName")) if part)
    return words or owner.get("email") or str(owner["id"])


def changed_at(contact: Item) -> int:
    """Return when a contact was last changed, in milliseconds.

    Raises:
        PermanentError: It does not say.
    """
    instant = instant_of(contact["properties"].get(_CHANGED))
    if instant is None:
        msg = f"hubspot gave a contact without {_CHANGED}: the pages after it cannot be asked for"
        raise PermanentError(msg)
    return millis(instant)


def millis(instant: datetime) -> int:
    """Return an instant as the milliseconds since 1970 that searches compare."""
    return (instant - _EPOCH) // _MILLISECOND


def _filter(name: str, operator: str, value: int) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": str(value)}


def _flag(value: str | None) -> bool | None:
    return {"true": True, "false": False}.get(value or "")


def _named(names: Names, key: str | None) -> str | None:
    # Who left the company is in no list any more; the number still tells one from another.
    return names.get(key, key) if key else None
