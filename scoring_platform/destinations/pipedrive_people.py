"""Which Pipedrive person a customer is.

Belongs here: looking persons up, by the cheapest way. Does not belong here: writing them (``pipedrive``).

Persons known by id are read a hundred at a time. Others can be searched for (20 tokens each, twice for a customer who
is not there), or all persons can be listed once (10 tokens per 500) and kept in mind. The listing is read as far as
searching for everybody asked for so far would have cost; so both together never cost more than twice the cheaper one.
Once it is complete, every further question costs one call for what changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scoring_platform.destinations.pipedrive_fields import FieldBook
from scoring_platform.destinations.pipedrive_records import MAX_IDS, PATHS, listed
from scoring_platform.destinations.protocol import CrmWrite
from scoring_platform.errors import PermanentError, SourceError
from scoring_platform.http.pages import paginate
from scoring_platform.http.pipedrive import LIST, PAGE_SIZE, SEARCH, PipedriveApi

PATH = PATHS["contact"]

_OVERLAP = timedelta(minutes=1)
"""A change may become visible a little after the instant it carries."""

_UNSEARCHABLE = timedelta(minutes=10)
"""So long a new person may not be found by searching; a listing has it at once."""

Item = Mapping[str, Any]


@dataclass(frozen=True)
class Person:
    """A person as far as it matters for finding one: our key, and the addresses in our spelling."""

    id: str
    key: str | None
    emails: tuple[str, ...] = ()


class People:
    """The company's persons."""

    def __init__(self, api: PipedriveApi, book: FieldBook, *, key_field: str) -> None:
        """Read with ``api``; ``key_field`` is the name of the field that holds our key."""
        self._api = api
        self._book = book
        self._key_field = key_field
        self._known: dict[str, Person] = {}
        self._by_key: dict[str, set[str]] = {}
        self._by_email: dict[str, set[str]] = {}
        self._reading: Iterator[tuple[list[Person], str]] | None = None
        self._complete = False
        self._seen_until = self._mark = ""
        self._listed = self._owed = 0

    def locate(self, writes: Sequence[CrmWrite], *, by_record: bool = True) -> dict[str, Person]:
        """Return the person of each customer who has one: by our key, else by record, else by address.

        Args:
            writes: Whom to look for.
            by_record: Whether ``destination_id`` names a person.
        """
        records = {write.customer_id: write.destination_id or "" for write in writes} if by_record else {}
        read = self.by_ids(record for record in records.values() if record)
        mine = {w.customer_id: read[r] for w in writes if (r := records.get(w.customer_id, "")) in read}
        found = {customer: person for customer, person in mine.items() if person.key == customer}
        rest = [write for write in writes if write.customer_id not in found]
        if not rest:
            return found
        self._list(2 * SEARCH * len(rest))
        found |= self._by_keys([write.customer_id for write in rest])
        found |= {customer: person for customer, person in mine.items() if customer not in found}
        emails = {w.customer_id: normal(w.email or "") for w in rest if w.customer_id not in found}
        people = self._by_emails([email for email in emails.values() if email])
        return found | {customer: people[email] for customer, email in emails.items() if email in people}

    def find(self, emails: Sequence[str]) -> dict[str, Person]:
        """Return the person of each address, in our spelling, that Pipedrive knows."""
        wanted = list(dict.fromkeys(emails))
        self._list(SEARCH * len(wanted))
        return self._by_emails(wanted)

    def by_ids(self, ids: Iterable[str]) -> dict[str, Person]:
        """Return those of ``ids`` that exist."""
        wanted = [one for one in dict.fromkeys(ids) if one.isdigit()]
        found: dict[str, Person] = {}
        for start in range(0, len(wanted), MAX_IDS):
            some = wanted[start : start + MAX_IDS]
            for page, _ in self._pages({"ids": ",".join(some), "limit": str(MAX_IDS)}):
                found |= {person.id: person for person in page}
        for one in wanted:
            if one in self._known:
                self.forget(one)
                if one in found:
                    self.remember(found[one])
        return found

    def remember(self, person: Person) -> None:
        """Keep in mind what a person is now."""
        self.forget(person.id)
        self._known[person.id] = person
        if person.key:
            self._by_key.setdefault(person.key, set()).add(person.id)
        for email in person.emails:
            self._by_email.setdefault(email, set()).add(person.id)

    def forget(self, person_id: str) -> None:
        """A person is not there any more."""
        person = self._known.pop(person_id, None)
        if person is not None:
            self._by_key.get(person.key or "", set()).discard(person_id)
            for email in person.emails:
                self._by_email.get(email, set()).discard(person_id)

    def made_after_all(self, customer_id: str) -> Person | None:
        """Return the person who carries our key for ``customer_id`` among those made or changed since ``locate``."""
        self._remember_changed(self._seen_until if self._complete else self._mark, _OVERLAP)
        return self._one(self._by_key.get(customer_id, set()))

    def _list(self, worth: int) -> None:
        """Read on in the listing of all persons, as long as it has cost no more than what it is worth by now."""
        self._owed += worth
        if self._complete:
            self._reading = self._pages(_changed(self._seen_until))
        while self._complete or self._listed + LIST <= self._owed:
            if self._reading is None:
                self._reading = self._pages(_changed(self._seen_until))
            try:
                page, newest = next(self._reading)
            except StopIteration:
                self._complete, self._reading = True, None
                return
            except SourceError:
                self._reading = None
                raise
            self._listed += LIST
            self._seen_until = max(self._seen_until, newest)
            for person in page:
                self.remember(person)
        if not self._mark:
            # Searching will not tell of the latest, which an earlier run of ours may have made.
            newest_one = {"limit": "1", "sort_by": "update_time", "sort_direction": "desc"}
            self._mark = _newest(self._body(newest_one)["data"])
            self._remember_changed(self._mark, _UNSEARCHABLE)

    def _remember_changed(self, since: str, overlap: timedelta) -> None:
        for page, _ in self._pages(_changed(since, overlap)):
            for person in page:
                self.remember(person)

    def _by_keys(self, keys: Sequence[str]) -> dict[str, Person]:
        found = {key: person for key in keys if (person := self._one(self._by_key.get(key, set())))}
        if self._complete:
            return found
        missing = [key for key in keys if key not in found]
        hits = {key: self._search(key, "custom_fields") for key in missing}
        people = self.by_ids(hit for some in hits.values() for hit in some)
        for key, some in hits.items():
            carrying = [people[hit] for hit in some if hit in people and people[hit].key == key]
            if carrying:
                found[key] = min(carrying, key=_age)
        return found

    def _by_emails(self, emails: Sequence[str]) -> dict[str, Person]:
        found = {email: person for email in emails if (person := self._one(self._by_email.get(email, set())))}
        if self._complete:
            return found
        missing = [email for email in dict.fromkeys(emails) if email not in found]
        hits = {email: self._search(email, "email") for email in missing}
        people = self.by_ids(hit for some in hits.values() for hit in some)
        for email, some in hits.items():
            having = [people[hit] for hit in some if hit in people and email in people[hit].emails]
            if having:
                found[email] = min(having, key=_age)
        return found

    def _one(self, ids: Iterable[str]) -> Person | None:
        return min((self._known[one] for one in ids), key=_age, default=None)

    def _search(self, term: str, field: str) -> list[str]:
        params = {"term": term, "fields": field, "exact_match": "true", "limit": str(MAX_IDS)}
        body = self._api.call("GET", f"{PATH}/search", cost=SEARCH, params=params).json
        items = (_object(body).get("data") or {}).get("items")
        if not isinstance(items, list):
            msg = f"pipedrive answered without items at GET {PATH}/search"
            raise PermanentError(msg)
        return [str(one["item"]["id"]) for one in items if _object(one).get("item", {}).get("id")]

    def _pages(self, params: Mapping[str, str]) -> Iterator[tuple[list[Person], str]]:
        code = self._book.code(self._key_field)
        asked = {**params, **({"custom_fields": code} if code else {})}
        pages = paginate(
            self._body(asked),
            lambda page: (page.get("additional_data") or {}).get("next_cursor"),
            fetch=lambda cursor: self._body({**asked, "cursor": cursor}),
            rows_of=lambda page: page["data"],
            where=f"pipedrive GET {PATH}",
        )
        for page in pages:
            yield [_person(item, code) for item in page["data"] if not item.get("is_deleted")], _newest(page["data"])

    def _body(self, params: Mapping[str, str]) -> Item:
        return listed(self._api, PATH, params)


def normal(email: str) -> str:
    """Return an address in our spelling."""
    return email.strip().lower()


def _changed(since: str, overlap: timedelta = _OVERLAP) -> dict[str, str]:
    """Return what lists the persons changed since an instant of Pipedrive's, in that order; all of them without one."""
    params = {"limit": str(PAGE_SIZE), "sort_by": "update_time", "sort_direction": "asc"}
    if not since:
        return params
    start = datetime.fromisoformat(since).astimezone(UTC) - overlap
    return {**params, "updated_since": start.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _newest(items: Sequence[Item]) -> str:
    return max((str(item.get("update_time") or "") for item in items), default="")


def _person(item: Item, code: str | None) -> Person:
    values = item.get("custom_fields") or {}
    key = values.get(code) if code else None
    addresses = [normal(str(one.get("value") or "")) for one in item.get("emails") or []]
    return Person(str(item["id"]), str(key) if key else None, tuple(one for one in addresses if one))


def _age(person: Person) -> tuple[bool, int]:
    """Whom to take of several: one without a key, and the oldest of those."""
    return person.key is not None, int(person.id)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
