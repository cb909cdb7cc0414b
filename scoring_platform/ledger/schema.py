"""The tables of the ledger.

Belongs here: columns, keys and the types that make instants come back as they went in. Does not belong here: reading or
writing them (one module per subject), the connection (``store``).
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Column,
    Date,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 4
"""Number of the layout below. An earlier one is brought up to it: layouts only gain tables, and columns that may be
empty. A later one is refused."""


class UtcInstant(TypeDecorator[datetime]):
    """An instant: aware in, UTC out, whatever the database makes of time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware instant into UTC.

        Raises:
            ValueError: The instant has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"the ledger takes instants with a time zone, not {value.isoformat()}"
            raise ValueError(msg)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the instant its time zone back; SQLite stores none."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = MetaData()

SCHEMA = Table("schema_version", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))

RECEIPTS = Table(
    "receipts",
    METADATA,
    Column("crm", String(64), primary_key=True),
    Column("stream", String(64), primary_key=True),
    Column("target", String(64), primary_key=True),
    Column("customer_id", String(255), primary_key=True),
    Column("status", String(16), nullable=False, index=True),
    Column("destination_id", String(255)),
    Column("acknowledged", JSON, nullable=False),
    Column("acknowledged_at", UtcInstant),
    Column("as_of", Date),
    Column("payload_hash", String(64)),
    Column("attempt", Integer, nullable=False),
    Column("error_code", String(128)),
    Column("error_text", Text),
    Column("run_id", String(64)),
    Column("config_version", String(64)),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("key", String(255), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("destination_id", String(255)),
    Column("attempt", Integer, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("sent_at", UtcInstant),
)

EXTRACTS = Table(
    "extracts",
    METADATA,
    Column("source", String(64), primary_key=True),
    Column("table", String(64), primary_key=True),
    Column("watermark", UtcInstant, nullable=False),
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("fingerprint", String(255), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("window_start", UtcInstant, nullable=False),
    Column("suppressed", Integer, nullable=False),
    Column("last_sent_at", UtcInstant, nullable=False),
)

INBOX = Table(
    "inbox",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("key", String(255), nullable=False),
    Column("received_at", UtcInstant, nullable=False),
    Column("event", JSON, nullable=False),
    Column("processed_at", UtcInstant),
    UniqueConstraint("kind", "provider", "key", name="inbox_once"),
    Index("inbox_by_arrival", "kind", "provider", "received_at", "id"),
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("received_at", UtcInstant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("kind", "provider", "key", name="dead_letters_once"),
)

MERGES = Table(
    "identity_merges",
    METADATA,
    Column("merge_id", String(16), primary_key=True),
    Column("former_id", String(64), nullable=False),
    Column("customer_id", String(64), nullable=False),
    Column("merged_on", Date, nullable=False),
    Column("links", JSON, nullable=False),
    Column("nodes", JSON),
    Column("recorded_at", UtcInstant, nullable=False),
    Column("undone_at", UtcInstant),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
)

WAITING = Table(
    "waiting",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("holder", String(255), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("since", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
)

RATES = Table(
    "rates",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("state", JSON, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
)

MODELS = Table(
    "models",
    METADATA,
    Column("month", Date, primary_key=True),
    Column("inputs", String(64), primary_key=True),
    Column("refit", Integer, primary_key=True, autoincrement=False),
    Column("payload", JSON, nullable=False),
    Column("made_at", UtcInstant, nullable=False),
)
