"""What happens when an answer, or a time in it, has another shape than the vendor documents.

Belongs here: turning such a surprise into one of the platform's errors, and reading instants. Does not belong here:
checks of single values, which the ingest step makes row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from scoring_platform.errors import PermanentError


@contextmanager
def expected_shape(system: str, what: str) -> Iterator[None]:
    """Read answers of ``system`` about ``what`` inside this block.

    Raises:
        PermanentError: A documented field is missing or of another kind.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        # The kind and the field only: the text of other errors may quote personal data.
        detail = f"no field {error.args[0]!r}" if isinstance(error, KeyError) else type(error).__name__
        msg = f"{system} answered {what} in a shape it does not document ({detail}); has its API version changed?"
        raise PermanentError(msg) from error


def instant_of(value: object) -> datetime | None:
    """Return the instant that ``value`` writes in ISO 8601, UTC when it names no zone; None when it does not."""
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
