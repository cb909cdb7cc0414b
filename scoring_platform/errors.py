"""The platform's errors, one class per consequence.

Belongs here: exception types that a caller treats differently. Does not belong here: one class per
vendor or per module; the message says what, where and what to do.
"""

from __future__ import annotations


class ScoringError(Exception):
    """Base of every error the platform raises on purpose."""


class ConfigurationError(ScoringError):
    """The configuration or the environment is wrong; a person has to change it before a re-run."""


class ContractError(ScoringError):
    """Rows break the contract of a table; nothing of that day was published."""


class HistoryError(ScoringError):
    """An earlier day that a computation needs is not in the lake."""


class SourceError(ScoringError):
    """A system outside did not give, or did not take, what it was asked."""


class TransientError(SourceError):
    """The same call may succeed later: timeout, reset, throttling, 5xx."""


class OutcomeUnknownError(TransientError):
    """A call that must not be repeated got no clear answer: it may or may not have been carried out."""


class PermanentError(SourceError):
    """The same call will fail again: bad request, unknown field, malformed answer."""


class CredentialError(PermanentError):
    """The system refused our credentials or a scope is missing."""


class BudgetExhaustedError(SourceError):
    """The daily allowance of a vendor is used up; stop now, go on after its reset."""
