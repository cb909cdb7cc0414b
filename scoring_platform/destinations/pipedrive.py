"""Pipedrive: the platform's values as custom fields of persons, and NPS as one note per person.

Belongs here: which call writes a customer, and what its receipt is. Does not belong here: finding persons
(``pipedrive_people``), field keys (``pipedrive_fields``), notes (``pipedrive_notes``), limits (``http.pipedrive``).

An API token, or OAuth with the scopes ``contacts:full`` and ``contact-fields:full``, is needed. There is no batch: a
changed person takes one call. Updating is repeatable, creating is not: a create without an answer is looked up, at
once and again by every later run, before it is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scoring_platform.config.connections import PipedriveDestination
from scoring_platform.destinations.pipedrive_answers import JUDGED, MADE, Outcome, confirmed, outcome
from scoring_platform.destinations.pipedrive_fields import FieldBook, MissingError, create_missing, problems
from scoring_platform.destinations.pipedrive_notes import Notes
from scoring_platform.destinations.pipedrive_people import PATH, People, Person, normal
from scoring_platform.destinations.protocol import CrmField, CrmReceipt, CrmWrite, Value
from scoring_platform.errors import (
    BudgetExhaustedError,
    CredentialError,
    OutcomeUnknownError,
    PermanentError,
    SourceError,
    TransientError,
)
from scoring_platform.http.pipedrive import OLD_GET, WRITE, PipedriveApi

FAILURES_IN_A_ROW = 3
"""Rows that Pipedrive gives no good answer about, after which the rest of a batch waits for the next run."""

_ME = "/v1/users/me"


@dataclass
class _Turn:
    """One batch on its way."""

    located: dict[str, Person]
    claimed: set[str] = field(default_factory=set)

    def claim(self, record: str) -> bool:
        """Take a person or an address for one customer; False when another one of the batch has it."""
        if record in self.claimed:
            return False
        self.claimed.add(record)
        return True


class Pipedrive:
    """Writes to Pipedrive persons and notes; implements ``protocol.Crm``."""

    name = "pipedrive"

    def __init__(self, api: PipedriveApi, *, key_field: str, batch_size: int = 20, creates: bool = True) -> None:
        """Use ``api``; ``connect`` builds one.

        Args:
            api: The company.
            key_field: Name of the field that holds our key.
            batch_size: Rows after which receipts are to be recorded.
            creates: Whether a customer without a person gets one.
        """
        self._api = api
        self._key_field = key_field
        self._creates = creates
        self._book = FieldBook(api)
        self._people = People(api, self._book, key_field=key_field)
        self._notes = Notes(api)
        self.batch_size = batch_size

    @classmethod
    def connect(
        cls,
        settings: PipedriveDestination,
        endpoint: str,
        *,
        credential: Callable[[str], str],
        timeout: float = 30.0,
        attempts: int = 5,
    ) -> Pipedrive:
        """Return a Pipedrive at ``endpoint``; ``credential`` is asked with the first call."""
        api = PipedriveApi(
            endpoint,
            credential,
            auth=settings.auth,
            oauth_endpoint=settings.oauth_endpoint,
            timeout=timeout,
            attempts=attempts,
            reserve=settings.reserve_tokens,
        )
        key, creates = settings.fields.customer_key, settings.mode == "upsert"
        return cls(api, key_field=key, batch_size=settings.batch_size, creates=creates)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def sized(self, rows: int) -> int:
        """Return the batch size, which is the same for any number of ``rows``."""
        return self.batch_size

    def probe(self) -> str:
        """Ask whose token it is, and say what is left of the day's tokens."""
        body = self._api.call("GET", _ME, cost=OLD_GET).json
        if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
            msg = f"pipedrive answered without a user at GET {_ME}"
            raise PermanentError(msg)
        left = self._api.budget.left
        return "pipedrive answers" + ("" if left is None else f"; {left:,} of today's tokens are left")

    def preflight(self, fields: Sequence[CrmField]) -> list[str]:
        """Return what would keep ``fields`` from being written, one sentence each."""
        self._book.forget()
        return problems(self._book, fields)

    def provision(self, fields: Sequence[CrmField]) -> list[str]:
        """Create the person fields and options that are missing; return the names of the fields."""
        return create_missing(self._api, self._book, fields)

    def find(self, emails: Sequence[str]) -> dict[str, str]:
        """Return the person's id per address for those Pipedrive knows."""
        known = self._people.find([normal(email) for email in emails if email.strip()])
        return {email: known[normal(email)].id for email in emails if normal(email) in known}

    def held(self, records: Mapping[str, str], fields: Sequence[str]) -> dict[str, Mapping[str, Value]]:
        """Return what persons hold in ``fields``, by customer; see ``protocol.Crm``."""
        known = {name: found[0] for name in fields if (found := self._book.named(name)) and found[0].custom}
        values = self._people.values(records.values(), [one.code for one in known.values()])
        blank: dict[str, Value] = dict.fromkeys(fields)
        decoded = {
            record: {**blank, **{name: one.decoded(held.get(one.code)) for name, one in known.items()}}
            for record, held in values.items()
        }
        return {customer: decoded[record] for customer, record in records.items() if record in decoded}

    def apply(self, batch: Sequence[CrmWrite]) -> list[CrmReceipt]:
        """Write ``batch`` row by row and return one receipt per write, in its order; see ``protocol.Crm``."""
        receipts: dict[str, CrmReceipt] = {}
        try:
            self._apply(batch, receipts)
        except SourceError as error:
            # What was acknowledged must reach the ledger; without any of it the error says more than receipts would.
            kept = any(receipt.status in ("acknowledged", "unknown") for receipt in receipts.values())
            if not isinstance(error, TransientError) and not kept:
                raise
            for write in batch:
                receipts.setdefault(write.customer_id, _later(write, type(error).__name__, str(error)))
        return [receipts[write.customer_id] for write in batch]

    def _apply(self, batch: Sequence[CrmWrite], receipts: dict[str, CrmReceipt]) -> None:
        notes = [write for write in batch if write.target == "note"]
        others = [write for write in batch if write.target not in ("note", "contact")]
        for write in others:
            receipts[write.customer_id] = _dead(write, "NO_SUCH_TARGET", "Pipedrive takes contacts and notes only")
        barred = self._in_turn(notes, receipts, self._note_again)
        rest = [write for write in notes if write.customer_id not in receipts]
        turn = _Turn(self._people.locate(rest, by_record=False) if rest else {})
        barred += self._in_turn(rest, receipts, lambda write: self._note(write, turn))
        people = [write for write in batch if write.target == "contact"]
        turn = _Turn(self._people.locate(people) if people else {})
        barred += self._in_turn(people, receipts, lambda write: self._person(write, turn))
        if barred and not any(receipt.status == "acknowledged" for receipt in receipts.values()):
            raise barred[0]

    def _in_turn(
        self,
        writes: Sequence[CrmWrite],
        receipts: dict[str, CrmReceipt],
        put: Callable[[CrmWrite], CrmReceipt | None],
    ) -> list[CredentialError]:
        """Write one after the other; a row without a good answer does not keep the others, unless there are many.

        Returns:
            Refusals that are about one record, when others were written, and about our credentials, when none was.
        """
        failed: list[SourceError] = []
        for write in writes:
            if len(failed) >= FAILURES_IN_A_ROW:
                receipts[write.customer_id] = _later(write, "TRANSIENT", str(failed[-1]))
                continue
            try:
                receipt = put(write)
            except BudgetExhaustedError:
                raise
            except SourceError as error:
                # An answer that makes no sense, too: the next row's may.
                failed.append(error)
                barred = isinstance(error, CredentialError)
                receipt = _later(write, "FORBIDDEN" if barred else "TRANSIENT", str(error))
            else:
                failed.clear()
            if receipt is not None:
                receipts[write.customer_id] = receipt
        return [error for error in failed if isinstance(error, CredentialError)]

    def _note_again(self, write: CrmWrite) -> CrmReceipt | None:
        return self._notes.rewrite(write) if write.destination_id else None

    def _note(self, write: CrmWrite, turn: _Turn) -> CrmReceipt:
        person = turn.located.get(write.customer_id)
        if person is None and self._creates and write.email:
            # The scores of the same customer make the person, in their turn.
            return _later(write, "NO_RECORD", "There is no such person yet, and a note makes none")
        if person is None:
            return _dead(write, "NO_RECORD", "There is no such person, and a note makes none")
        refused = _not_ours(write, person) or self._claimed(write, person, turn)
        return refused or self._notes.put(write, person.id)

    def _person(self, write: CrmWrite, turn: _Turn) -> CrmReceipt:
        try:
            receipt = self._put(write, turn.located.get(write.customer_id), turn)
            if receipt is None:
                # The person was deleted after we looked; looking again finds another one, or none.
                receipt = self._put(write, self._people.locate([write]).get(write.customer_id), turn)
        except MissingError as error:
            # A person mends it once; the row itself is good.
            return _later(write, error.code, str(error))
        return receipt or _later(write, "NOT_FOUND", "The person is there and is not")

    def _put(self, write: CrmWrite, person: Person | None, turn: _Turn) -> CrmReceipt | None:
        if person is not None:
            return _not_ours(write, person) or self._claimed(write, person, turn) or self._update(write, person)
        if not self._creates:
            return _dead(write, "NO_RECORD", "There is no such person, and none is made (mode: update_only)")
        email = normal(write.email or "")
        if not email:
            return _dead(write, "NO_EMAIL", "There is no such person, and none is made without an address")
        if not turn.claim(email):
            return _duplicate(write)
        return self._create(write, email)

    def _claimed(self, write: CrmWrite, person: Person, turn: _Turn) -> CrmReceipt | None:
        return None if turn.claim(person.id) else _duplicate(write)

    def _update(self, write: CrmWrite, person: Person) -> CrmReceipt | None:
        given = {} if person.key else {self._key_field: write.customer_id}
        path = f"{PATH}/{person.id}"
        done = self._send("PATCH", path, lambda: {"custom_fields": self._book.encoded({**write.properties, **given})})
        if done.kind == "gone":
            self._people.forget(person.id)
            return None
        if done.kind == "refused":
            return done.refusal(write.customer_id)
        if str(done.record["id"]) != person.id:
            return _later(write, "UNCONFIRMED", "Pipedrive's answer is about another person")
        return self._acknowledged(write, person.id, person.emails)

    def _create(self, write: CrmWrite, email: str) -> CrmReceipt:
        properties = {**write.properties, self._key_field: write.customer_id}
        address = {"value": email, "primary": True, "label": "work"}

        def body() -> dict[str, Any]:
            return {"name": email, "emails": [address], "custom_fields": self._book.encoded(properties)}

        try:
            done = self._send("POST", PATH, body, idempotent=False)
        except OutcomeUnknownError as error:
            return self._looked_up(write, str(error))
        if done.kind != "done":
            return done.refusal(write.customer_id)
        return self._acknowledged(write, str(done.record["id"]), (email,))

    def _looked_up(self, write: CrmWrite, text: str) -> CrmReceipt:
        try:
            made = self._people.made_after_all(write.customer_id)
        except (TransientError, BudgetExhaustedError):
            made = None
        if made is None:
            # It may still be made: not repeated now, and looked for again before it is ever repeated.
            return CrmReceipt(write.customer_id, "unknown", None, "UNCONFIRMED", text)
        return self._acknowledged(write, made.id, made.emails)

    def _send(
        self, method: str, path: str, body: Callable[[], Mapping[str, Any]], *, idempotent: bool = True
    ) -> Outcome:
        sent = body()
        done = self._sent(method, path, sent, idempotent=idempotent)
        # Somebody may have made a field anew since we asked for its key, or an option.
        if done.kind == "refused" and self._book.renew() and (renewed := body()) != sent:
            done = self._sent(method, path, renewed, idempotent=idempotent)
        return done

    def _sent(self, method: str, path: str, body: Mapping[str, Any], *, idempotent: bool) -> Outcome:
        return outcome(
            self._api.call(
                method,
                path,
                cost=WRITE,
                json=body,
                idempotent=idempotent,
                ok=JUDGED if idempotent else MADE,
                check=confirmed,
            )
        )

    def _acknowledged(self, write: CrmWrite, person_id: str, emails: tuple[str, ...]) -> CrmReceipt:
        self._people.remember(Person(person_id, write.customer_id, emails))
        return CrmReceipt(write.customer_id, "acknowledged", person_id)


def _not_ours(write: CrmWrite, person: Person) -> CrmReceipt | None:
    if person.key in (None, write.customer_id):
        return None
    return _dead(write, "KEY_TAKEN", "The person carries the key of another customer")


def _duplicate(write: CrmWrite) -> CrmReceipt:
    return _dead(write, "DUPLICATE_EMAIL", "Another customer of this batch has the address")


def _dead(write: CrmWrite, code: str, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "dead", None, code, text)


def _later(write: CrmWrite, code: str, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "retry", None, code, text)
