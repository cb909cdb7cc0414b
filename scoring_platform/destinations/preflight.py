"""Before the first write: every mapped field exists and can take what it is given.

Belongs here: which fields the configuration writes, and the decision to go on, to create, or to stop. Does not belong
here: a vendor's field definitions.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from scoring_platform.config.crm import CrmFields, Mapped
from scoring_platform.destinations.protocol import Crm, CrmField, FieldKind
from scoring_platform.errors import PermanentError
from scoring_platform.ledger.store import Ledger
from scoring_platform.ledger.turns import turn
from scoring_platform.settings import Settings

CHURN_BANDS = ("low", "medium", "high")
NPS_SEGMENTS = ("promoter", "passive", "detractor")

_ABOUT: dict[str, tuple[FieldKind, str, int]] = {
    "total_score": ("number", "Customer score", 0),
    "rfm_code": ("text", "RFM code", 3),
    "segment": ("choice", "Customer segment", 0),
    "churn_band": ("choice", "Churn risk band", 0),
    "churn_risk": ("number", "Churn risk", 0),
    "clv_12m": ("number", "Customer value, 12 months", 0),
    "lead_score": ("number", "Lead score", 0),
    "assigned_owner": ("text", "Owner by score", 80),
    "score_date": ("date", "Score date", 0),
    "nps_score": ("number", "NPS score", 0),
    "nps_segment": ("choice", "NPS segment", 0),
    "nps_themes": ("choices", "NPS themes", 0),
}
"""Each value: what its field holds, how it is called where it has to be made, and the characters it needs."""

_KEY_LENGTH = 64


def fields_of(settings: Settings, crm: Crm) -> list[CrmField]:
    """Return the fields the configuration writes to ``crm``, the customer key first."""
    return crm_fields(getattr(settings.config.destinations, crm.name).fields, _options(settings))


def crm_fields(names: CrmFields, options: Mapping[str, tuple[str, ...]]) -> list[CrmField]:
    """Return the fields of a mapping, the customer key first.

    Args:
        names: The mapping.
        options: Values that have to be allowed, by name of what is one of a list.
    """
    key = CrmField(names.customer_key, "text", "Customer key", unique=True, length=_KEY_LENGTH, value="customer_key")
    fields = [key]
    for value, (kind, label, length) in _ABOUT.items():
        field: Mapped | None = getattr(names, value)
        if field is not None:
            given = options.get(value, ())
            about = CrmField(field.field, kind, label, target=field.target, options=given, length=length, value=value)
            fields.append(about)
    return fields


def _options(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return what the values that are one of a list can be."""
    segments, language = settings.config.segments, settings.config.report.language
    labels = tuple(str(getattr(segments.labels[code], language)) for code in segments.codes)
    return {"segment": labels, "churn_band": CHURN_BANDS, "nps_segment": NPS_SEGMENTS}


def provision(settings: Settings, crm: Crm, wanted: Sequence[CrmField]) -> list[str]:
    """Create what is missing of ``wanted``, one process at a time, and return the names.

    Not every CRM refuses a second field of one name: whoever comes second has to see what the first one made.
    """
    with Ledger(settings.ledger_url) as ledger, turn(ledger, f"crm:{crm.name}", holder=f"provision-{uuid.uuid4().hex}"):
        return crm.provision(wanted)


def require_fields(settings: Settings, crms: Sequence[Crm]) -> None:
    """Check the fields of every CRM, creating what is missing where the configuration says so.

    Raises:
        PermanentError: Fields are missing or wrong; the message lists them.
    """
    for crm in crms:
        wanted = fields_of(settings, crm)
        problems = crm.preflight(wanted)
        if problems and getattr(settings.config.destinations, crm.name).provision == "auto":
            provision(settings, crm, wanted)
            problems = crm.preflight(wanted)
        if problems:
            msg = f"{crm.name}: nothing was written, because {'; '.join(problems)}"
            raise PermanentError(msg)
