"""Model versions: cut-offs and parameters, frozen once per month and configuration.

Belongs here: keeping a version exactly once. Does not belong here: making one (``pipeline.models``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from scoring_platform.ledger.schema import MODELS
from scoring_platform.ledger.store import Ledger


@dataclass(frozen=True)
class ModelVersion:
    """One frozen version.

    Attributes:
        month: First day of the month it is for.
        inputs: Hash of the configuration sections the models read.
        refit: 0, or the number of the refit.
        payload: The rows of score_models as plain data.
        made_at: When it was made.
    """

    month: date
    inputs: str
    refit: int
    payload: Mapping[str, Any]
    made_at: datetime


def newest_version(ledger: Ledger, month: date, inputs: str) -> ModelVersion | None:
    """Return the version in force for ``month``: the latest refit."""
    statement = (
        select(MODELS)
        .where(MODELS.c.month == month, MODELS.c.inputs == inputs)
        .order_by(MODELS.c.refit.desc())
        .limit(1)
    )
    with ledger.reading() as connection:
        row = connection.execute(statement).first()
    return None if row is None else ModelVersion(row.month, row.inputs, row.refit, row.payload, row.made_at)


def one_version(ledger: Ledger, month: date, inputs: str, refit: int) -> ModelVersion | None:
    """Return one version; None when there is none with this key."""
    key = (MODELS.c.month == month, MODELS.c.inputs == inputs, MODELS.c.refit == refit)
    with ledger.reading() as connection:
        row = connection.execute(select(MODELS).where(*key)).first()
    return None if row is None else ModelVersion(row.month, row.inputs, row.refit, row.payload, row.made_at)


def keep_version(ledger: Ledger, version: ModelVersion) -> ModelVersion:
    """Keep ``version`` unless one with its key is there already; return the one that counts."""
    key = (MODELS.c.month == version.month, MODELS.c.inputs == version.inputs, MODELS.c.refit == version.refit)
    with ledger.writing() as connection:
        found = connection.execute(select(MODELS).where(*key)).first()
        if found is not None:
            return ModelVersion(found.month, found.inputs, found.refit, found.payload, found.made_at)
        connection.execute(
            MODELS.insert().values(
                month=version.month,
                inputs=version.inputs,
                refit=version.refit,
                payload=dict(version.payload),
                made_at=version.made_at,
            )
        )
    return version
