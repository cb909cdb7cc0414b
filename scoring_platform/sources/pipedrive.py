"""Pipedrive: persons and deals as salespeople keep them.

Belongs here: the listings by time of change and the naming of their fields in our contracts. Does not belong here:
checks of rows, credentials and limits (``http.pipedrive``), writing (``destinations.pipedrive``).

Access: an API token of a user who sees all persons and deals, or OAuth with the scopes ``contacts:read``,
``contact-fields:read``, ``deals:read`` and ``users:read``. What the platform itself writes changes a person too, so
such persons come again; the same person is the same row.

A deal without a person is a deal of nobody we know; it is no row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.client import Answer
from scoring_platform.http.limits import Memory
from scoring_platform.http.pages import paginate
from scoring_platform.http.pipedrive import LIST, OLD_GET, OLD_LIST, PAGE_SIZE, PipedriveApi
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

_PERSONS, _DEALS, _STAGES = "/api/v2/persons", "/api/v2/deals", "/api/v2/stages"
_LABELS, _USERS, _ME = "/api/v2/personFields", "/v1/users", "/v1/users/me"
_LABEL_FIELD = "label_ids"

Item = Mapping[str, Any]
Names = Mapping[int, str]

_log = logging.getLogger(__name__)


class PipedriveSource(SourceSection):
    """Pipedrive: persons and deals."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_crm_contacts", "raw_crm_deals"})

    endpoint: Endpoint = Field("https://api.pipedrive.com", description="API host, or https://COMPANY.pipedrive.com")
    auth: Literal["api_token", "oauth"] = Field("api_token", description="How we sign in")
    oauth_endpoint: Endpoint | None = Field(
        None, description="Host that gives tokens; default https://oauth.pipedrive.com, the sandbox for itself"
    )
    page_size: int = Field(PAGE_SIZE, ge=1, le=PAGE_SIZE, description="Persons or deals per page")
    currency: str | None = Field(
        None, pattern=r"^[A-Z]{3}$", description="Amounts of deals in another currency are left out; null keeps all"
    )


@dataclass(frozen=True)
class Pipedrive:
    """One Pipedrive company.

    Args:
        settings: The ``sources.pipedrive`` section.
        endpoint: Resolved address.
        credential: Gives ``api_token``, or the three secrets of an OAuth app.
        zone: Business time zone (Pipedrive's instants are UTC).
        memory: Where limits are counted, to share them with others.
    """

    settings: PipedriveSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    memory: Memory | None = None
    name: str = "pipedrive"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what changed within ``window``; see ``Source.fetch``."""
        with expected_shape(self.name, table), self._open() as api:
            reading = _Reading(api, self.settings, window)
            yield from reading.contacts() if table == "raw_crm_contacts" else reading.deals()

    def probe(self) -> str:
        """Ask who we are."""
        with expected_shape(self.name, "our own user"), self._open() as api:
            company = api.call("GET", _ME, cost=OLD_GET).json["data"]["company_name"]
            left = api.budget.left
        return f"pipedrive: company {company}" + ("" if left is None else f", {left:,} of today's tokens left")

    def _open(self) -> PipedriveApi:
        auth, host = self.settings.auth, self.settings.oauth_endpoint
        return PipedriveApi(self.endpoint, self.credential, auth=auth, oauth_endpoint=host, memory=self.memory)


@dataclass(frozen=True)
class _Reading:
    """One window of one table on its way."""

    api: PipedriveApi
    settings: PipedriveSource
    window: Window

    def contacts(self) -> Iterator[Page]:
        """Yield the persons."""
        owners, labels = self._users(), self._labels()
        for answer in self._changed(_PERSONS, {"include_fields": "marketing_status"}):
            yield [contact_row(person, owners, labels) for person in answer.json["data"] if not _is_gone(person)]

    def deals(self) -> Iterator[Page]:
        """Yield the deals that have a person."""
        owners, stages, currency = self._users(), self._stages(), self.settings.currency
        nameless = 0
        for answer in self._changed(_DEALS, {}):
            deals = [deal for deal in answer.json["data"] if not _is_gone(deal)]
            known = [deal for deal in deals if deal.get("person_id")]
            nameless += len(deals) - len(known)
            yield [deal_row(deal, owners, stages, currency=currency) for deal in known]
        if nameless:
            _log.info("pipedrive: %d deals without a person are no rows", nameless)

    def _changed(self, path: str, further: Mapping[str, str]) -> Iterator[Answer]:
        """Yield pages of what changed in the window, oldest change first: a change meanwhile moves to the end."""
        asked = {
            "updated_since": _instant(self.window.since),
            "updated_until": _instant(self.window.until),
            "sort_by": "update_time",
            "sort_direction": "asc",
            "limit": str(self.settings.page_size),
            **further,
        }
        return self._pages(path, asked)

    def _pages(self, path: str, asked: Mapping[str, str]) -> Iterator[Answer]:
        return paginate(
            self.api.call("GET", path, cost=LIST, params=asked),
            lambda answer: (answer.json.get("additional_data") or {}).get("next_cursor"),
            fetch=lambda cursor: self.api.call("GET", path, cost=LIST, params={**asked, "cursor": cursor}),
            rows_of=lambda answer: answer.json["data"],
            where=f"pipedrive GET {path}",
        )

    def _users(self) -> Names:
        users = self.api.call("GET", _USERS, cost=OLD_LIST).json["data"]
        return {user["id"]: user["name"] for user in users}

    def _stages(self) -> Names:
        return {
            s["id"]: s["name"] for page in self._pages(_STAGES, {"limit": str(PAGE_SIZE)}) for s in page.json["data"]
        }

    def _labels(self) -> Names:
        fields = (field for page in self._pages(_LABELS, {"limit": str(PAGE_SIZE)}) for field in page.json["data"])
        options = next((field.get("options") or [] for field in fields if field["field_code"] == _LABEL_FIELD), [])
        return {option["id"]: option["label"] for option in options}


def contact_row(person: Item, owners: Names, labels: Names) -> Row:
    """Name a person's fields; the first label stands for the stage, as Pipedrive has none of its own."""
    marketing, organization = person.get("marketing_status"), person.get("org_id")
    return {
        "crm_id": str(person["id"]),
        "email": primary_email(person),
        "owner": _named(owners, person.get("owner_id")),
        "lifecycle_stage": next((labels[key] for key in person.get("label_ids") or [] if key in labels), None),
        "opt_out": None if marketing is None else marketing == "unsubscribed",
        "account_id": None if organization is None else str(organization),
        "created_at": person.get("add_time"),
        "updated_at": person["update_time"],
    }


def primary_email(person: Item) -> str | None:
    """Return the address marked as the primary one, else the first."""
    emails = [one for one in person.get("emails") or [] if one.get("value")]
    chosen = next((one for one in emails if one.get("primary")), emails[0] if emails else None)
    return None if chosen is None else chosen["value"]


def deal_row(deal: Item, owners: Names, stages: Names, *, currency: str | None = None) -> Row:
    """Name a deal's fields; an open one is neither won nor lost."""
    counts = currency is None or deal.get("currency") == currency
    return {
        "deal_id": str(deal["id"]),
        "crm_id": str(deal["person_id"]),
        "stage": _named(stages, deal["stage_id"]),
        "amount": deal.get("value") if counts else None,
        "owner": _named(owners, deal.get("owner_id")),
        "created_at": deal["add_time"],
        "closed_at": deal.get("won_time") or deal.get("close_time"),
        "won": {"won": True, "lost": False}.get(deal["status"]),
        "updated_at": deal["update_time"],
    }


def _named(names: Names, key: int | None) -> str | None:
    # Who left the company is in no list any more; the number still tells one from another.
    return None if key is None else names.get(key, str(key))


def _is_gone(item: Item) -> bool:
    return bool(item.get("is_deleted")) or item.get("status") == "deleted"


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
