"""What a CRM is to the platform: something that takes fields of one customer and says what became of each.

Belongs here: the interface between the sync step and the vendors. Does not belong here: any vendor, or what is worth
sending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

WriteStatus = Literal["acknowledged", "retry", "dead", "unknown", "absent"]
"""``acknowledged``: the CRM said success for this row. ``retry``: not written, or a repeat does no harm; try again.
``dead``: refused for a reason that stays until the data changes. ``unknown``: no word about this row. ``absent``: the
CRM has no such record and none is made, as it should be (`mode: update_only`)."""

FieldKind = Literal["text", "number", "date", "choice", "choices"]
"""``choice``: one of a list. ``choices``: several of a list, joined with ``;``."""

Target = Literal["contact", "account", "deal", "note"]
"""Which record of the CRM a value stands on; a vendor's own name may differ (person, company, opportunity)."""

Value = str | int | float | None
"""A value as the CRM takes it in JSON; None, or empty text where a CRM knows only texts, clears the field."""


@dataclass(frozen=True)
class CrmField:
    """A field the platform writes.

    Attributes:
        name: The CRM's name for it; where fields have names of people and keys of the machine, the former.
        kind: What it holds.
        label: Its name for people, where it has to be made.
        unique: Whether it is our customer key.
        target: The record it stands on.
        options: Values that a ``choice`` or ``choices`` has to allow.
        length: Characters that a ``text`` has to hold.
        value: Which of our values it receives, as the configuration calls it.
    """

    name: str
    kind: FieldKind
    label: str
    unique: bool = False
    target: Target = "contact"
    options: tuple[str, ...] = ()
    length: int = 0
    value: str = ""

    def fits_own(self, owner: str) -> bool:
        """Whether a field that is the vendor's own may be written: one that is made for such a value.

        Args:
            owner: The vendor's own field for whose customer somebody is.
        """
        if self.value == "assigned_owner":
            return self.name.lower() == owner.lower()
        return self.kind == "number" and "score" in self.name.lower()


@dataclass(frozen=True)
class CrmWrite:
    """New values for one customer.

    Attributes:
        customer_id: Our key; at most one write per customer, and per account or deal, in a batch.
        email: Address to find or create the contact by; never overwrites the CRM's own. None for accounts and deals.
        destination_id: The CRM's record: of a contact or a note as known from an earlier receipt; an account or a deal
            is always named by it, and never created.
        properties: Value per field, by the CRM's field names.
        target: The record to write; a batch has one.
    """

    customer_id: str
    email: str | None = field(repr=False)
    destination_id: str | None
    properties: Mapping[str, Value] = field(repr=False)
    target: Target = "contact"


@dataclass(frozen=True)
class CrmReceipt:
    """What became of one write; ``error_text`` holds no personal data."""

    customer_id: str
    status: WriteStatus
    destination_id: str | None = None
    error_code: str | None = None
    error_text: str | None = None


class Crm(Protocol):
    """A CRM that takes scores."""

    name: str
    batch_size: int
    """Writes that go into one call; record the receipts of that many before sending more."""

    def sized(self, rows: int) -> int:
        """Return the batch size for a sync of so many ``rows``: larger where the CRM takes many at once another way."""
        ...

    def probe(self) -> str:
        """Reach the CRM with its cheapest call and say in one line what answered."""
        ...

    def preflight(self, fields: Sequence[CrmField]) -> list[str]:
        """Return what would keep ``fields`` from being written, one sentence each; empty when all is well."""
        ...

    def provision(self, fields: Sequence[CrmField]) -> list[str]:
        """Create the fields that are missing and return their names."""
        ...

    def find(self, emails: Sequence[str]) -> dict[str, str]:
        """Return the CRM's record per address, in the spelling asked, for those it knows."""
        ...

    def held(
        self, records: Mapping[str, str], fields: Sequence[str], *, target: Target = "contact"
    ) -> dict[str, Mapping[str, Value]]:
        """Return what contacts, accounts or deals hold in ``fields``, by customer; those that are gone are left out.

        Args:
            records: Customer to the CRM's record.
            fields: The CRM's field names.
            target: The kind of record.
        """
        ...

    def apply(self, batch: Sequence[CrmWrite]) -> list[CrmReceipt]:
        """Write ``batch`` and return one receipt per write, in its order.

        Raises:
            CredentialError: Refused credentials or a missing scope; nothing of this batch was acknowledged.
            BudgetExhaustedError: The daily allowance is used up; nothing of this batch was acknowledged. Had a part
                been, the rest would come back as ``retry`` and the next call would raise.
        """
        ...
