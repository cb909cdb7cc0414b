"""What a CRM is to the platform: something that takes fields of one customer and says what became of each.

Belongs here: the interface between the sync step and the vendors. Does not belong here: any vendor, or what is worth
sending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

WriteStatus = Literal["acknowledged", "retry", "dead", "unknown"]
"""``acknowledged``: the CRM said success for this row. ``retry``: not written, or a repeat does no harm; try again.
``dead``: refused for a reason that stays until the data changes. ``unknown``: no word about this row."""

FieldKind = Literal["text", "number", "date"]


@dataclass(frozen=True)
class CrmField:
    """A field the platform writes; ``name`` is the CRM's name for it, ``unique`` marks our customer key."""

    name: str
    kind: FieldKind
    label: str
    unique: bool = False


@dataclass(frozen=True)
class CrmWrite:
    """New values for one customer.

    Attributes:
        customer_id: Our key; at most one write per customer in a batch.
        email: Address to find or create the contact by; never overwrites the CRM's own.
        destination_id: The CRM's record as known from an earlier receipt.
        properties: Value per field, by the CRM's field names; empty text clears the field.
    """

    customer_id: str
    email: str | None = field(repr=False)
    destination_id: str | None
    properties: Mapping[str, str] = field(repr=False)


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

    def apply(self, batch: Sequence[CrmWrite]) -> list[CrmReceipt]:
        """Write ``batch`` and return one receipt per write, in its order.

        Raises:
            CredentialError: Refused credentials or a missing scope; nothing of this batch was acknowledged.
            BudgetExhaustedError: The daily allowance is used up; nothing of this batch was acknowledged. Had a part
                been, the rest would come back as ``retry`` and the next call would raise.
        """
        ...
