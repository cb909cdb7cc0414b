"""Pipedrive: the platform's values as custom fields of persons, organizations and deals, and NPS as a note per person.

Belongs here: which call writes a customer, and what its receipt is. Does not belong here: finding persons
(``pipedrive_people``), field keys (``pipedrive_fields``), notes (``pipedrive_notes``), limits (``http.pipedrive``).

An API token, or OAuth with the scopes ``contacts:full`` and ``contact-fields:full``, is needed; for values on deals
``deals:full`` and ``deal-fields:full`` too. There is no batch: a changed record takes one call. Updating is repeatable,
creating is not: a create without an answer is looked up, at once and again by every later run, before it is repeated.
Organizations and deals are the sales people's: they are written by id, and none is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from scoring_platform.config.connections import PipedriveDestination
from scoring_platform.destinations.pipedrive_answers import JUDGED, MADE, Outcome, confirmed, outcome
from scoring_platform.destinations.pipedrive_fields import CALLED, FieldBook, MissingError, create_missing, problems
from scoring_platform.destinations.pipedrive_notes import Notes
from scoring_platform.destinations.pipedrive_people import PATH, People, Person, normal
from scoring_platform.destinations.pipedrive_records import PATHS, values
from scoring_platform.destinations.protocol import CrmField, CrmReceipt, CrmWrite, Target, Value
from scoring_platform.errors import (
    BudgetExhaustedError,
    CredentialError,
    OutcomeUnknownError,
    PermanentError,
    SourceError,
    TransientError,
)
from scoring_platform.http.limits import Memory
from scoring_platform.http.parallel import together
from scoring_platform.http.pipedrive import OLD_GET, WRITE, PipedriveApi

FAILURES_IN_A_ROW = 3
"""Rows that Pipedrive gives no good answer about, after which the rest of a batch waits for the next run."""

AT_ONCE = 10
"""Rows on their way at once: so many use up the largest plan's calls of two seconds, a call taking 0.15 s."""

_ME = "/v1/users/me"
_BY_ID = ("account", "deal")


@dataclass
class _Turn:
    """One batch on its way."""

    located: dict[str, Person]
    claimed: dict[str, str] = field(default_factory=dict)

    def claim(self, record: str, customer_id: str) -> bool:
        """Take a person or an address for a customer; False when another one of the batch has it."""
        return self.claimed.setdefault(record, customer_id) == customer_id


class Pipedrive:
    """Writes to Pipedrive persons, organizations, deals and notes; implements ``protocol.Crm``."""

    name = "pipedrive"

    def __init__(self, api: PipedriveApi, *, key_field: str, batch_size: int = 100, creates: bool = True) -> None:
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
        self._books: Mapping[Target, FieldBook] = {target: FieldBook(api, target) for target in CALLED}
        self._people = People(api, self._books["contact"], key_field=key_field)
        self._notes = Notes(api)
        # Rows are written at once; what they know of persons and fields is looked up and changed by one at a time.
        self._alone = RLock()
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
        memory: Memory | None = None,
    ) -> Pipedrive:
        """Return a Pipedrive at ``endpoint``; ``credential`` is asked with the first call.

        Limits are counted in ``memory``, where processes share one.
        """
        api = PipedriveApi(
            endpoint,
            credential,
            auth=settings.auth,
            oauth_endpoint=settings.oauth_endpoint,
            timeout=timeout,
            attempts=attempts,
            reserve=settings.reserve_tokens,
            memory=memory,
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
        found: list[str] = []
        for book in self._books.values():
            book.forget()
            found += problems(book, fields)
        return found

    def provision(self, fields: Sequence[CrmField]) -> list[str]:
        """Create the fields and options that are missing; return the names of the fields."""
        return [name for book in self._books.values() for name in create_missing(self._api, book, fields)]

    def find(self, emails: Sequence[str]) -> dict[str, str]:
        """Return the person's id per address for those Pipedrive knows."""
        known = self._people.find([normal(email) for email in emails if email.strip()])
        return {email: known[normal(email)].id for email in emails if normal(email) in known}

    def held(
        self, records: Mapping[str, str], fields: Sequence[str], *, target: Target = "contact"
    ) -> dict[str, Mapping[str, Value]]:
        """Return what records hold in ``fields``, by customer; see ``protocol.Crm``."""
        if target == "note":
            return self._notes.held(records, fields)
        book = self._books[target]
        known = {name: found[0] for name in fields if (found := book.named(name)) and found[0].custom}
        read = values(self._api, target, records.values(), [one.code for one in known.values()])
        blank: dict[str, Value] = dict.fromkeys(fields)
        decoded = {
            record: {**blank, **{name: one.decoded(held.get(one.code)) for name, one in known.items()}}
            for record, held in read.items()
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
        barred = self._in_turn([one for one in batch if one.target in _BY_ID], receipts, self._by_id)
        barred += self._in_turn(notes, receipts, self._note_again)
        rest = [write for write in notes if write.customer_id not in receipts]
        turn = self._turn(rest, self._people.locate(rest, by_record=False) if rest else {})
        barred += self._in_turn(rest, receipts, lambda write: self._note(write, turn))
        people = [write for write in batch if write.target == "contact"]
        turn = self._turn(people, self._people.locate(people) if people else {})
        barred += self._in_turn(people, receipts, lambda write: self._person(write, turn))
        if barred and not any(receipt.status == "acknowledged" for receipt in receipts.values()):
            raise barred[0]

    def _in_turn(
        self,
        writes: Sequence[CrmWrite],
        receipts: dict[str, CrmReceipt],
        put: Callable[[CrmWrite], CrmReceipt | None],
    ) -> list[CredentialError]:
        """Write some at once; a row without a good answer does not keep the others, unless there are many.

        Returns:
            Refusals that are about one record, when others were written, and about our credentials, when none was.
        """
        failed: list[SourceError] = []

        def one(write: CrmWrite) -> None:
            before = list(failed)
            if len(before) >= FAILURES_IN_A_ROW:
                receipts[write.customer_id] = _later(write, "TRANSIENT", str(before[-1]))
                return
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

        begun = 0
        # One by one until an answer is good: where none is, no more rows are tried than have to be.
        while begun < len(writes) and (failed or not begun):
            one(writes[begun])
            begun += 1
        together(one, writes[begun:], most=AT_ONCE)
        return [error for error in failed if isinstance(error, CredentialError)]

    def _turn(self, writes: Sequence[CrmWrite], located: dict[str, Person]) -> _Turn:
        """Settle in the batch's order whose a person or an address is, whichever row comes to be written first."""
        turn = _Turn(located)
        for write in writes:
            person, email = located.get(write.customer_id), normal(write.email or "")
            if person is None and email and self._creates:
                turn.claim(email, write.customer_id)
            elif person is not None and person.key in (None, write.customer_id):
                turn.claim(person.id, write.customer_id)
        return turn

    def _by_id(self, write: CrmWrite) -> CrmReceipt:
        book, path = self._books[write.target], f"{PATHS[write.target]}/{write.destination_id}"
        try:
            done = self._send("PATCH", path, lambda: {"custom_fields": book.encoded(write.properties)}, book=book)
        except MissingError as error:
            return _later(write, error.code, str(error))
        if done.kind != "done":
            return done.refusal(write.customer_id)
        if str(done.record["id"]) != write.destination_id:
            return _later(write, "UNCONFIRMED", "Pipedrive's answer is about another record")
        return CrmReceipt(write.customer_id, "acknowledged", write.destination_id)

    def _note_again(self, write: CrmWrite) -> CrmReceipt | None:
        return self._notes.rewrite(write) if write.destination_id else None

    def _note(self, write: CrmWrite, turn: _Turn) -> CrmReceipt:
        person = turn.located.get(write.customer_id)
        if person is None and self._creates and write.email:
            # The scores of the same customer make the person, in their turn.
            return _later(write, "NO_RECORD", "There is no such person yet, and a note makes none")
        if person is None and not self._creates:
            return _absent(write, "There is no such person, and none is made (mode: update_only)")
        if person is None:
            return _dead(write, "NO_EMAIL", "There is no such person, and none is made without an address")
        refused = _not_ours(write, person) or self._claimed(write, person, turn)
        return refused or self._notes.put(write, person.id)

    def _person(self, write: CrmWrite, turn: _Turn) -> CrmReceipt:
        try:
            receipt = self._put(write, turn.located.get(write.customer_id), turn)
            if receipt is None:
                # The person was deleted after we looked; looking again finds another one, or none.
                with self._alone:
                    located = self._people.locate([write])
                receipt = self._put(write, located.get(write.customer_id), turn)
        except MissingError as error:
            # A person mends it once; the row itself is good.
            return _later(write, error.code, str(error))
        return receipt or _later(write, "NOT_FOUND", "The person is there and is not")

    def _put(self, write: CrmWrite, person: Person | None, turn: _Turn) -> CrmReceipt | None:
        if person is not None:
            return _not_ours(write, person) or self._claimed(write, person, turn) or self._update(write, person)
        if not self._creates:
            return _absent(write, "There is no such person, and none is made (mode: update_only)")
        email = normal(write.email or "")
        if not email:
            return _dead(write, "NO_EMAIL", "There is no such person, and none is made without an address")
        if not turn.claim(email, write.customer_id):
            return _duplicate(write)
        return self._create(write, email)

    def _claimed(self, write: CrmWrite, person: Person, turn: _Turn) -> CrmReceipt | None:
        return None if turn.claim(person.id, write.customer_id) else _duplicate(write)

    def _update(self, write: CrmWrite, person: Person) -> CrmReceipt | None:
        given = {} if person.key else {self._key_field: write.customer_id}
        book, path = self._books["contact"], f"{PATH}/{person.id}"
        body = {**write.properties, **given}
        done = self._send("PATCH", path, lambda: {"custom_fields": book.encoded(body)}, book=book)
        if done.kind == "gone":
            with self._alone:
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
        book = self._books["contact"]

        def body() -> dict[str, Any]:
            return {"name": email, "emails": [address], "custom_fields": book.encoded(properties)}

        try:
            done = self._send("POST", PATH, body, book=book, idempotent=False)
        except OutcomeUnknownError as error:
            return self._looked_up(write, str(error))
        if done.kind != "done":
            return done.refusal(write.customer_id)
        return self._acknowledged(write, str(done.record["id"]), (email,))

    def _looked_up(self, write: CrmWrite, text: str) -> CrmReceipt:
        try:
            with self._alone:
                made = self._people.made_after_all(write.customer_id)
        except (TransientError, BudgetExhaustedError):
            made = None
        if made is None:
            # It may still be made: not repeated now, and looked for again before it is ever repeated.
            return CrmReceipt(write.customer_id, "unknown", None, "UNCONFIRMED", text)
        return self._acknowledged(write, made.id, made.emails)

    def _send(
        self,
        method: str,
        path: str,
        body: Callable[[], Mapping[str, Any]],
        *,
        book: FieldBook,
        idempotent: bool = True,
    ) -> Outcome:
        with self._alone:
            sent = body()
        done = self._sent(method, path, sent, idempotent=idempotent)
        if done.kind != "refused":
            return done
        with self._alone:
            # Somebody may have made a field anew since we asked for its key, or an option.
            book.renew()
            renewed = body()
        return done if renewed == sent else self._sent(method, path, renewed, idempotent=idempotent)

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
        with self._alone:
            self._people.remember(Person(person_id, write.customer_id, emails))
        return CrmReceipt(write.customer_id, "acknowledged", person_id)


def _not_ours(write: CrmWrite, person: Person) -> CrmReceipt | None:
    if person.key in (None, write.customer_id):
        return None
    return _dead(write, "KEY_TAKEN", f"Person {person.id} carries the key of another customer")


def _duplicate(write: CrmWrite) -> CrmReceipt:
    return _dead(write, "DUPLICATE_EMAIL", "Another customer of this batch has the address")


def _dead(write: CrmWrite, code: str, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "dead", None, code, text)


def _absent(write: CrmWrite, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "absent", None, "NO_RECORD", text)


def _later(write: CrmWrite, code: str, text: str) -> CrmReceipt:
    return CrmReceipt(write.customer_id, "retry", None, code, text)
