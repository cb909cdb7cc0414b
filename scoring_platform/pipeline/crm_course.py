"""How a stream goes while it is written: why rows wait, and when it stops.

Belongs here: what the answers to a batch say about the next one. Does not belong here: reasons not to begin
(``brakes``), sending (``crm_sync``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from scoring_platform.config.crm import Brakes
from scoring_platform.destinations.protocol import CrmReceipt
from scoring_platform.pipeline import brakes

BRAKE = "HELD"
NO_ANSWER = "NO_ANSWER"

WAITING: frozenset[str] = frozenset({"retry", "unknown"})
"""Outcomes that say nothing about the row itself: a later sync tries again."""

_SILENT_BATCHES = 2
_AGAIN = "write the rest with: scoring-platform crm sync"
_ADVICE = {
    BRAKE: "Look at it with `scoring-platform crm plan`; when it is as it should be: scoring-platform crm sync "
    "--release",
    "CredentialError": f"Renew the credential or its scopes (scoring-platform doctor says which), then {_AGAIN}",
    "BudgetExhaustedError": f"The next run after the vendor's reset goes on by itself; or {_AGAIN}",
    "ConfigurationError": f"Mend the configuration, then {_AGAIN}",
    "PermanentError": f"Mend what it says (scoring-platform crm provision makes missing fields), then {_AGAIN}",
}


@dataclass(frozen=True)
class Held:
    """Why rows were not sent.

    Attributes:
        text: In words.
        code: ``HELD`` for a brake or a dry run, ``NO_ANSWER``, or our class of error.
    """

    text: str
    code: str = BRAKE

    @property
    def broken(self) -> bool:
        """Whether the CRM broke off; else somebody decided that these rows wait."""
        return self.code != BRAKE


def advice(code: str | None) -> str:
    """Return what a person does about rows that wait for this."""
    return _ADVICE.get(code or "", f"When the CRM answers again, {_AGAIN}")


@dataclass
class Course:
    """How a sync of one stream has gone so far.

    Attributes:
        rules: When it stops.
        rows: How many there are to send.
        first: Whether nothing of the stream was ever acknowledged, so that it begins with a canary.
        released: Whether a person lets it through: refusals, and a canary that says nothing, do not stop it.
    """

    rules: Brakes
    rows: int
    first: bool
    released: bool = False
    _sent: int = 0
    _refused: int = 0
    _silent: int = 0

    def after(self, receipts: Sequence[CrmReceipt]) -> Held | None:
        """Take in the answers to a batch and say why no other follows; None when one may, or none is left."""
        canary = self.first and not self._sent
        self._sent += len(receipts)
        self._refused += sum(receipt.status == "dead" for receipt in receipts)
        self._silent = self._silent + 1 if _silent(receipts) else 0
        left = self.rows - self._sent
        if not left:
            return None
        if self._silent == _SILENT_BATCHES or (self._silent and canary and not self.released):
            why = commonest(receipts, WAITING)
            text = f"stopped after {self._sent:,} rows, as nothing of the last {len(receipts):,} was acknowledged"
            return Held(f"{text}, {left:,} not sent: {why}", NO_ANSWER)
        if not self.released and brakes.rejected(self.rules, sent=self._sent, refused=self._refused):
            why = commonest(receipts, {"dead"})
            text = f"stopped after {self._sent:,} rows, of which {self._refused:,} were refused: {why}"
            return Held(f"{text} (crm.brakes.reject_share; {left:,} not sent)")
        return None


def _silent(receipts: Sequence[CrmReceipt]) -> bool:
    """Whether the CRM took nothing and did not say of every row why: an outage, and no refusal of rows."""
    statuses = {receipt.status for receipt in receipts}
    return "acknowledged" not in statuses and not statuses.isdisjoint(WAITING)


def commonest(receipts: Sequence[CrmReceipt], statuses: Collection[str]) -> str:
    """Return the commonest of the CRM's words about rows with one of these outcomes."""
    words = (": ".join(part for part in (one.error_code, one.error_text) if part) for one in receipts
             if one.status in statuses)  # fmt: skip
    found = Counter(words).most_common(1)
    return (found[0][0] if found else "") or "see crm_sync"
