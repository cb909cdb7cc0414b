"""The configuration of sources and destinations: what is in use and where it answers.

Belongs here: endpoints, account names and vendor settings of destinations. Does not belong here: a source's own keys,
which stand in its module, and credentials, which come from the environment as ``SCORING_<SYSTEM>_<NAME>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model

from scoring_platform.config.base import Endpoint, PlainText, Section
from scoring_platform.config.crm import CrmDestination, CrmFields, MappedField, mapped
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


class HubspotFields(CrmFields):
    """HubSpot property that receives each value: its name, or `{field, target}`; null leaves the value out."""

    customer_key: PlainText = Field("customer_key", min_length=1, description="Unique property with our customer id")
    total_score: MappedField | None = mapped("customer_score")
    rfm_code: MappedField | None = mapped("rfm_code")
    segment: MappedField | None = mapped("customer_segment")
    churn_band: MappedField | None = mapped("churn_band")
    clv_12m: MappedField | None = mapped("clv_12m")
    score_date: MappedField | None = Field(mapped("score_date"), description="Day of the scores that were written last")
    nps_score: MappedField | None = mapped("nps_score")
    nps_segment: MappedField | None = mapped("nps_segment")
    nps_themes: MappedField | None = mapped("nps_themes")


class HubspotDestination(CrmDestination):
    """HubSpot contacts, companies and deals."""

    endpoint: Endpoint = Field("https://api.hubapi.com", description="API host")
    fields: HubspotFields = HubspotFields()
    batch_size: int = Field(100, ge=1, le=100, description="Records per call")


class SalesforceFields(CrmFields):
    """Salesforce field that receives each value: its API name, or `{field, target}`; null leaves the value out."""

    customer_key: str = Field(
        "Customer_Key__c", pattern=r"^[A-Za-z]\w*$", description="External ID, unique, with our customer id"
    )
    total_score: MappedField | None = mapped("Total_Score__c")
    rfm_code: MappedField | None = mapped("RFM_Code__c")
    segment: MappedField | None = mapped("Segment__c")
    churn_band: MappedField | None = mapped("Churn_Band__c")
    clv_12m: MappedField | None = mapped("CLV_12m__c")
    score_date: MappedField | None = Field(
        mapped("Score_Date__c"), description="Day of the scores that were written last"
    )
    nps_score: MappedField | None = mapped("NPS_Score__c")
    nps_segment: MappedField | None = mapped("NPS_Segment__c")
    nps_themes: MappedField | None = mapped("NPS_Themes__c")


class SalesforceDestination(CrmDestination):
    """Salesforce contacts, accounts and opportunities."""

    endpoint: Endpoint = Field(description="https://MY-DOMAIN.my.salesforce.com")
    login: Literal["client_credentials", "jwt"] = Field("client_credentials", description="How our app signs in")
    api_version: str = Field("66.0", pattern=r"^\d{2,3}\.0$", description="Version of Salesforce's API")
    fields: SalesforceFields = SalesforceFields()
    bulk_from: int = Field(2000, ge=200, description="Rows from which on files are sent instead of single calls")
    reserve: float = Field(0.05, ge=0, lt=1, description="Share of the daily calls that is left to other programs")


class PipedriveFields(CrmFields):
    """Pipedrive field that receives each value: the name people see, or `{field, target}`; null leaves it out."""

    customer_key: PlainText = Field("顧客キー", min_length=1, description="Field of type text with our customer id")
    total_score: MappedField | None = mapped("スコア")
    rfm_code: MappedField | None = mapped("RFM")
    segment: MappedField | None = mapped("セグメント")
    churn_band: MappedField | None = mapped("離脱リスク")
    clv_12m: MappedField | None = mapped("予測LTV")
    score_date: MappedField | None = Field(
        mapped("スコア更新日"), description="Day of the scores that were written last"
    )
    nps_score: MappedField | None = mapped("NPS スコア", "note")
    nps_segment: MappedField | None = mapped("NPS セグメント", "note")
    nps_themes: MappedField | None = mapped("主要テーマ", "note")


class PipedriveDestination(CrmDestination):
    """Pipedrive persons with one note each, organizations and deals."""

    endpoint: Endpoint = Field("https://api.pipedrive.com", description="API host, or https://COMPANY.pipedrive.com")
    auth: Literal["api_token", "oauth"] = Field("api_token", description="How we sign in")
    oauth_endpoint: Endpoint | None = Field(
        None, description="Host that gives tokens; default https://oauth.pipedrive.com, the sandbox for itself"
    )
    fields: PipedriveFields = PipedriveFields()
    batch_size: int = Field(100, ge=1, le=100, description="Rows after which receipts are recorded; a call takes one")
    reserve_tokens: int = Field(0, ge=0, description="Tokens of the daily budget that are left to other programs")


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
    salesforce: SalesforceDestination | None = None
    pipedrive: PipedriveDestination | None = None
    email: EmailDestination | None = None
    slack: SlackDestination | None = None
