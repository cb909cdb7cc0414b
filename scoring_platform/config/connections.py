"""The configuration of sources and destinations: what is in use and where it answers.

Belongs here: endpoints, account names and vendor settings. Does not belong here: credentials, which come from the
environment as ``SCORING_<SYSTEM>_<NAME>``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field

from scoring_platform.config.base import Section

SANDBOX = "sandbox"
"""Endpoint value that means: this home's own sandbox company on loopback."""


def _known_zone(value: str) -> str:
    if value not in available_timezones():
        msg = f"{value!r} is not a time zone name; use one such as Asia/Tokyo or Europe/Berlin"
        raise ValueError(msg)
    ZoneInfo(value)
    return value


def _endpoint(value: str) -> str:
    loopback = value.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))
    if value == SANDBOX or value.startswith("https://") or loopback:
        return value.rstrip("/")
    msg = f"{value!r} is not an endpoint; use https://… (http:// only on loopback) or {SANDBOX!r}"
    raise ValueError(msg)


ZoneName = Annotated[str, AfterValidator(_known_zone)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Cadence = Literal["daily", "weekly", "monthly", "once"]


class FilesTable(Section):
    """One raw table filled from files."""

    sql: str = Field(description="DuckDB SELECT over the files that returns the contract's columns", min_length=1)


class FilesSource(Section):
    """Sales logs and exports as CSV, compressed CSV or Parquet."""

    root: str = Field(description="Folder of the files; relative to the folder of scoring.yaml")
    time_zone: ZoneName | None = Field(None, description="Zone of times without an offset; default the business zone")
    cadence: Cadence = Field("daily", description="How often new files come; `once` for a static export")
    tables: dict[str, FilesTable] = Field(description="Raw table to the query that fills it", min_length=1)

    @property
    def gives(self) -> frozenset[str]:
        """Raw tables with a query."""
        return frozenset(self.tables)


class ShopifySource(Section):
    """Shopify Admin GraphQL: orders, order items, customers, consents."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_orders", "raw_order_items", "raw_customers", "raw_consents"})

    endpoint: Endpoint = Field(description="https://SHOP.myshopify.com")
    api_version: str = Field("2026-07", description="Quarterly API version")
    page_size: int = Field(100, ge=1, le=250, description="Orders or customers per page")


class KlaviyoSource(Section):
    """Klaviyo: e-mail events and consents."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_email_events", "raw_consents"})

    endpoint: Endpoint = Field("https://a.klaviyo.com", description="API host")
    revision: str = Field("2026-07-15", description="API revision")
    page_size: int = Field(200, ge=1, le=1000, description="Events per page")


class Ga4Source(Section):
    """Google Analytics 4 Data API: web activity per customer and day."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_web_activity"})

    endpoint: Endpoint = Field("https://analyticsdata.googleapis.com", description="API host")
    token_endpoint: Endpoint = Field("https://oauth2.googleapis.com/token", description="OAuth token address")
    property_id: str = Field(description="GA4 property")
    customer_dimension: str = Field("customUser:crm_id", description="Dimension with the shop's customer id")
    settle_days: int = Field(3, ge=0, description="Days read again because figures still settle")
    page_size: int = Field(10_000, ge=1, le=250_000, description="Rows per page")


class ZendeskSource(Section):
    """Zendesk Support: tickets."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_support_tickets"})

    endpoint: Endpoint = Field(description="https://SUBDOMAIN.zendesk.com")
    page_size: int = Field(1000, ge=1, le=1000, description="Tickets per page")


class FormbricksSource(Section):
    """Formbricks: NPS answers."""

    gives: ClassVar[frozenset[str]] = frozenset({"raw_nps_responses"})

    endpoint: Endpoint = Field("https://app.formbricks.com", description="API host")
    survey_id: str = Field(description="The NPS survey")
    score_question: str = Field("nps", description="Id of the 0-10 question")
    comment_question: str = Field("comment", description="Id of the comment question")
    page_size: int = Field(250, ge=1, le=250, description="Responses per page")


class Sources(Section):
    """Systems that are read."""

    files: FilesSource | None = None
    shopify: ShopifySource | None = None
    klaviyo: KlaviyoSource | None = None
    ga4: Ga4Source | None = None
    zendesk: ZendeskSource | None = None
    formbricks: FormbricksSource | None = None


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
