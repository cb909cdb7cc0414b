"""The configuration of sources and destinations: what is in use and where it answers.

Belongs here: endpoints, account names and vendor settings of destinations. Does not belong here: a source's own keys,
which stand in its module, and credentials, which come from the environment as ``SCORING_<SYSTEM>_<NAME>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model

from scoring_platform.config.base import Endpoint, Section
from scoring_platform.sources.files import FilesSource
from scoring_platform.sources.registry import SOURCES


class _Files(Section):
    """Systems that are read."""

    files: FilesSource | None = None


if TYPE_CHECKING:

    class Sources(_Files):
        """Systems that are read: ``files``, and one field per vendor of the registry."""

        def __getattr__(self, name: str) -> Any: ...

else:
    _VENDORS: dict[str, Any] = {name: (vendor.section | None, None) for name, vendor in SOURCES.items()}
    Sources = create_model("Sources", __base__=_Files, __doc__=_Files.__doc__, **_VENDORS)


class HubspotFields(Section):
    """HubSpot property that receives each value; null leaves the value out."""

    customer_key: str = Field("customer_key", description="Unique property with our customer id")
    total_score: str | None = "customer_score"
    rfm_code: str | None = "rfm_code"
    segment: str | None = "customer_segment"
    churn_band: str | None = "churn_band"
    clv_12m: str | None = "clv_12m"
    score_date: str | None = "score_date"


class HubspotDestination(Section):
    """HubSpot CRM contacts."""

    endpoint: Endpoint = Field("https://api.hubapi.com", description="API host")
    fields: HubspotFields = HubspotFields()
    batch_size: int = Field(100, ge=1, le=100, description="Records per call")
    provision: Literal["auto", "manual"] = Field(
        "manual", description="`auto` creates missing properties; `manual` waits for `scoring-platform crm provision`"
    )


class EmailDestination(Section):
    """The report by e-mail over SMTP."""

    host: str = Field(description="SMTP host, or `sandbox`")
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="`none` only on loopback")
    sender: str = Field(description="From address")
    recipients: tuple[str, ...] = Field(description="To addresses", min_length=1)


class SlackDestination(Section):
    """Slack: the summary and the alerts."""

    endpoint: Endpoint = Field("https://slack.com", description="API host")
    channel: str = Field(description="Channel id for the summary")
    alert_channel: str | None = Field(None, description="Channel id for alerts; default the same")


class Destinations(Section):
    """Systems that are written to."""

    hubspot: HubspotDestination | None = None
    email: EmailDestination | None = None
    slack: SlackDestination | None = None
