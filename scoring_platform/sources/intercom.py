"""Intercom: conversations as support tickets, and people who no longer want e-mails.

Belongs here: the two searches and the naming of their fields in our contracts. Does not belong here: checks of rows.

Access: an access token of an app with "Read conversations" and "Read and list users and companies".

Conversations are found by the second of their last change; the cursor of a search names a value, not a number of rows,
so a conversation that changes again while pages are read leaves the search without moving the others. Contacts are
found by whole days of the workspace's own time zone. Of a contact only the present state is known: being unsubscribed,
or having reported an e-mail as spam, is a decision; being subscribed is Intercom's default and none.

A conversation belongs to nobody we know when the person has left no e-mail address; it is no row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import Field

from scoring_platform.config.base import Endpoint, SourceSection
from scoring_platform.http.auth import HeaderAuth
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict, retry_after
from scoring_platform.sources.protocol import Page, Row, Window
from scoring_platform.sources.shape import expected_shape

API_VERSION = "2.15"

_CONVERSATIONS = "/conversations/search"
_CONTACTS = "/contacts/search"
_MANY = 50
"""Contacts that are asked for by their ids at once."""

_LONGEST_DAY = timedelta(hours=25)
"""A day as long as clocks make it: a search "after" an instant begins with the day after that instant's."""

_PERSONS = frozenset({"user", "lead", "contact"})
"""Kinds of authors who are customers; the others are the team and its robots."""

Item = Mapping[str, Any]
Query = Mapping[str, Any]

_log = logging.getLogger(__name__)


class IntercomSource(SourceSection):
    """Intercom: conversations and unsubscribed contacts."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_support_tickets", "raw_consents"})

    endpoint: Endpoint = Field("https://api.intercom.io", description="API host; api.eu. or api.au. in those regions")
    page_size: int = Field(150, ge=1, le=150, description="Conversations or contacts per page")


@dataclass(frozen=True)
class Intercom:
    """The Intercom API of one workspace.

    Args:
        settings: The ``sources.intercom`` section.
        endpoint: Resolved address.
        credential: Gives ``token``, an access token.
        zone: Business time zone (Intercom's instants are seconds since 1970).
    """

    settings: IntercomSource
    endpoint: str
    credential: Callable[[str], str]
    zone: ZoneInfo
    name: str = "intercom"

    def fetch(self, table: str, window: Window) -> Iterator[Page]:
        """Yield what changed within ``window``; see ``Source.fetch``."""
        with self._client() as client, expected_shape(self.name, table):
            yield from self._readers[table](client, window)

    def probe(self) -> str:
        """Ask who we are."""
        with self._client() as client, expected_shape(self.name, "our own account"):
            workspace = client.request("GET", "/me").json["app"]
        return f"intercom: workspace {workspace['name']}, API {API_VERSION}"

    @property
    def _readers(self) -> Mapping[str, Callable[[ApiClient, Window], Iterator[Page]]]:
        return {"raw_support_tickets": self._tickets, "raw_consents": self._consents}

    def _tickets(self, client: ApiClient, window: Window) -> Iterator[Page]:
        nameless = 0
        for answer in self._search(client, _CONVERSATIONS, changed_conversations(window)):
            conversations = answer.json["conversations"]
            emails = self._emails(client, conversations)
            known = [item for item in conversations if emails.get(item["id"])]
            nameless += len(conversations) - len(known)
            yield [ticket_row(item, emails[item["id"]]) for item in known]
        if nameless:
            _log.info("intercom: %d conversations of people without an e-mail address are no rows", nameless)

    def _consents(self, client: ApiClient, window: Window) -> Iterator[Page]:
        for answer in self._search(client, _CONTACTS, gone_contacts(window)):
            yield [consent_row(contact) for contact in answer.json["data"] if contact.get("email")]

    def _emails(self, client: ApiClient, conversations: Sequence[Item]) -> dict[str, str]:
        """Return the address of the customer of each conversation, by its id, asking for those it does not show."""
        emails = {item["id"]: email for item in conversations if (email := author_email(item))}
        asked = {item["id"]: key for item in conversations if item["id"] not in emails and (key := contact_id(item))}
        contacts = sorted(set(asked.values()))
        found: dict[str, str] = {}
        for start in range(0, len(contacts), _MANY):
            found |= self._addresses(client, contacts[start : start + _MANY])
        return emails | {conversation: found[key] for conversation, key in asked.items() if key in found}

    def _addresses(self, client: ApiClient, ids: Sequence[str]) -> dict[str, str]:
        query = {"field": "id", "operator": "IN", "value": list(ids)}
        pages = self._search(client, _CONTACTS, query, size=_MANY)
        contacts = [contact for answer in pages for contact in answer.json["data"]]
        return {contact["id"]: contact["email"] for contact in contacts if contact.get("email")}

    def _search(self, client: ApiClient, path: str, query: Query, *, size: int | None = None) -> Iterator[Answer]:
        rows = "conversations" if path == _CONVERSATIONS else "data"
        per_page = {"per_page": size or self.settings.page_size}

        def fetch(cursor: str | None = None) -> Answer:
            place = per_page if cursor is None else {**per_page, "starting_after": cursor}
            return client.request("POST", path, json={"query": query, "pagination": place})

        where = f"intercom POST {path}"
        return paginate(fetch(), next_cursor, fetch=fetch, rows_of=lambda answer: answer.json[rows], where=where)

    def _client(self) -> ApiClient:
        return ApiClient(
            self.name,
            self.endpoint,
            headers={"Intercom-Version": API_VERSION},
            auth=HeaderAuth(lambda: self.credential("token")),
            classify=classify,
            secrets=("token",),
        )


def classify(response: httpx.Response) -> Verdict | None:
    """Read the wait of a throttled call from Intercom's own header, an instant."""
    reset = response.headers.get("X-RateLimit-Reset", "")
    if response.status_code != httpx.codes.TOO_MANY_REQUESTS or not (reset.isascii() and reset.isdigit()):
        return None
    asked = retry_after(response)
    return Verdict("throttled", max(0.0, int(reset) - _now(response)) if asked is None else asked)


def _now(response: httpx.Response) -> float:
    """Return the server's own time, when it tells it, so that a difference between the two clocks does not matter."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except ValueError:
        return time.time()


def changed_conversations(window: Window) -> Query:
    """Return the query for conversations changed in the window; both bounds are exclusive, in whole seconds."""
    since = {"field": "updated_at", "operator": ">", "value": int(window.since.timestamp()) - 1}
    until = {"field": "updated_at", "operator": "<", "value": int(window.until.timestamp())}
    return {"operator": "AND", "value": [since, until]}


def gone_contacts(window: Window) -> Query:
    """Return the query for contacts changed since the day of the window's start who no longer want e-mails.

    Whole days are compared, so an upper bound would cut the last one off.
    """
    since = int((window.since - _LONGEST_DAY).timestamp())
    changed = [{"field": "updated_at", "operator": ">", "value": since}]
    gone = [
        {"field": name, "operator": "=", "value": True} for name in ("unsubscribed_from_emails", "marked_email_as_spam")
    ]
    return {"operator": "AND", "value": [{"operator": "AND", "value": changed}, {"operator": "OR", "value": gone}]}


def next_cursor(answer: Answer) -> str | None:
    """Return the cursor of the next page; None at the end."""
    following = (answer.json.get("pages") or {}).get("next") or {}
    cursor: str | None = following.get("starting_after")
    return cursor


def author_email(conversation: Item) -> str | None:
    """Return the address of whoever began a conversation, if that was the customer."""
    author = (conversation["source"] or {}).get("author") or {}
    return author.get("email") or None if author.get("type") in _PERSONS else None


def contact_id(conversation: Item) -> str | None:
    """Return the id of the first customer who takes part in a conversation."""
    contacts = (conversation["contacts"] or {}).get("contacts") or []
    return contacts[0]["id"] if contacts else None


def ticket_row(conversation: Item, email: str) -> Row:
    """Name a conversation's fields; one that was opened again is not solved, whenever it was closed before."""
    measured = conversation.get("statistics") or {}
    closed = conversation["state"] == "closed"
    return {
        "ticket_id": str(conversation["id"]),
        "email": email,
        "created_at": instant(conversation["created_at"]),
        "updated_at": instant(conversation["updated_at"]),
        "status": conversation["state"],
        "priority": conversation.get("priority"),
        "satisfaction": satisfaction(conversation),
        "first_reply_at": instant(measured.get("first_admin_reply_at")),
        "solved_at": instant(measured.get("last_close_at")) if closed else None,
    }


def satisfaction(conversation: Item) -> str | None:
    """Return good for 4 and 5, bad for 1 and 2; None for 3 and for no rating."""
    rating = (conversation.get("conversation_rating") or {}).get("rating")
    return {1: "bad", 2: "bad", 4: "good", 5: "good"}.get(rating or 0)


def consent_row(contact: Item) -> Row:
    """Name the decision of a contact; its own time is not known, so the last change of the contact stands for it."""
    at = contact["updated_at"]
    return {
        "event_id": f"{contact['id']}:email:revoked:{at}",
        "subject": contact["email"],
        "channel": "email",
        "purpose": "marketing",
        "status": "revoked",
        "occurred_at": instant(at),
    }


def instant(seconds: object) -> object:
    """Return the instant of seconds since 1970; anything else stays as it is, to be set aside."""
    if not isinstance(seconds, int):
        return seconds
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds
