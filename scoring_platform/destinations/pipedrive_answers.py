"""What a Pipedrive call on one record came to: carried out, refused for a reason, or gone.

Belongs here: the body-level check, and a refusal's code and words without personal data. Does not belong here: which
call to make (``pipedrive``, ``pipedrive_notes``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from scoring_platform.destinations.protocol import CrmReceipt
from scoring_platform.errors import OutcomeUnknownError
from scoring_platform.http.client import Answer
from scoring_platform.http.verdict import fit_words

_GOOD = frozenset({200, 201})
_GONE = frozenset({404, 410})

MADE = _GOOD | {400, 422}
"""Statuses that say something about a record to be made; not being found is about the address of the call."""

JUDGED = MADE | _GONE
"""Statuses that say something about a record that is there."""

# Wider than a valid address: what a refusal quotes may be malformed, and is personal data all the same.
_ADDRESS = re.compile(r"[^\s\"'<>()\[\],;:]*[@\uff20][^\s\"'<>()\[\],;:]*")


@dataclass(frozen=True)
class Outcome:
    """What became of a call: ``record`` is what Pipedrive has now when it was done."""

    kind: Literal["done", "refused", "gone"]
    record: dict[str, Any]
    code: str = ""
    text: str = ""

    def refusal(self, customer_id: str) -> CrmReceipt:
        """Return the receipt of a write that was not done."""
        return CrmReceipt(customer_id, "dead", None, self.code, self.text)


def confirmed(answer: Answer) -> None:
    """Check that an answer says what became of the call.

    Raises:
        OutcomeUnknownError: It says neither success nor failure.
    """
    body = answer.json if isinstance(answer.json, dict) else {}
    done = body.get("success") is True and isinstance(body.get("data"), dict) and bool(body["data"].get("id"))
    if answer.status in _GOOD and not done and body.get("success") is not False:
        msg = "pipedrive answered a write with neither success nor a refusal"
        raise OutcomeUnknownError(msg)


def outcome(answer: Answer) -> Outcome:
    """Return what ``answer``, which is ``confirmed``, says."""
    body = answer.json if isinstance(answer.json, dict) else {}
    if answer.status in _GONE:
        return Outcome("gone", {}, "NOT_FOUND", _words(body) or "No such record")
    if answer.status in _GOOD and body.get("success") is True:
        return Outcome("done", body["data"])
    code = body.get("code") if isinstance(body.get("code"), str) else f"HTTP_{body.get('errorCode') or answer.status}"
    return Outcome("refused", {}, str(code), _words(body) or "Pipedrive gave no reason")


def _words(body: dict[str, Any]) -> str:
    parts = [body[key] for key in ("error", "message") if isinstance(body.get(key), str)]
    return fit_words(_ADDRESS.sub("…", "; ".join(dict.fromkeys(parts))))
