"""Before the first write: every mapped field exists and has the right type.

Belongs here: the decision to go on, to create, or to stop. Does not belong here: a vendor's field definitions.
"""

from __future__ import annotations

from collections.abc import Sequence

from scoring_platform.destinations.hubspot_properties import hubspot_fields
from scoring_platform.destinations.protocol import Crm, CrmField
from scoring_platform.errors import PermanentError
from scoring_platform.settings import Settings


def fields_of(settings: Settings, crm: Crm) -> list[CrmField]:
    """Return the fields the configuration writes to ``crm``."""
    hubspot = settings.config.destinations.hubspot
    return hubspot_fields(hubspot.fields) if hubspot is not None and crm.name == "hubspot" else []


def require_fields(settings: Settings, crms: Sequence[Crm]) -> None:
    """Check the fields of every CRM, creating them where the configuration says so.

    Raises:
        PermanentError: Fields are missing or wrong; the message lists them.
    """
    for crm in crms:
        wanted = fields_of(settings, crm)
        if getattr(settings.config.destinations, crm.name).provision == "auto":
            crm.provision(wanted)
        problems = crm.preflight(wanted)
        if problems:
            msg = f"{crm.name}: nothing was written, because {'; '.join(problems)}"
            raise PermanentError(msg)
