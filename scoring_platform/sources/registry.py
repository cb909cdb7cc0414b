"""The registry of sources: one line per vendor.

Belongs here: which section of ``sources`` belongs to which class. Does not belong here: any vendor's protocol, opening
one (``opening``), and ``files``, which is no vendor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scoring_platform.config.base import SourceSection
from scoring_platform.sources.formbricks import Formbricks, FormbricksSource
from scoring_platform.sources.ga4 import Ga4, Ga4Source
from scoring_platform.sources.hubspot import Hubspot, HubspotSource
from scoring_platform.sources.intercom import Intercom, IntercomSource
from scoring_platform.sources.klaviyo import Klaviyo, KlaviyoSource
from scoring_platform.sources.mailchimp import Mailchimp, MailchimpSource
from scoring_platform.sources.matomo import Matomo, MatomoSource
from scoring_platform.sources.nps import Nps, NpsSource
from scoring_platform.sources.pipedrive import Pipedrive, PipedriveSource
from scoring_platform.sources.protocol import Source
from scoring_platform.sources.salesforce import Salesforce, SalesforceSource
from scoring_platform.sources.sendgrid import Sendgrid, SendgridSource
from scoring_platform.sources.shopify import Shopify, ShopifySource
from scoring_platform.sources.webhooks import Webhooks, WebhooksSource
from scoring_platform.sources.woocommerce import Woocommerce, WoocommerceSource
from scoring_platform.sources.zendesk import Zendesk, ZendeskSource


@dataclass(frozen=True)
class Vendor:
    """A kind of source.

    Attributes:
        section: The model of its section in ``scoring.yaml``.
        opens: Makes the source from its section, address, credentials and the business zone; and, where ``inbox`` is
            set, from the inbox of webhook events, or where ``shares`` is, from the memory of the account's limits.
        inbox: Whether it reads events that arrived by webhook.
        access: What the account it reads with must be granted, in the vendor's words.
        shares: Whether its limits are shared with whatever else calls the account.
        lends: Whether it reads with the credentials of systems below it, its providers; it is given them by name.
    """

    section: type[SourceSection]
    opens: Callable[..., Source]
    inbox: bool = False
    access: str = ""
    shares: bool = False
    lends: bool = False


SOURCES: dict[str, Vendor] = {
    "shopify": Vendor(
        ShopifySource, Shopify, access="scopes read_orders, read_all_orders, read_customers; protected customer data"
    ),
    "woocommerce": Vendor(WoocommerceSource, Woocommerce, access="a REST API key with permission Read"),
    "klaviyo": Vendor(KlaviyoSource, Klaviyo, access="scopes events:read, profiles:read, metrics:read"),
    "mailchimp": Vendor(MailchimpSource, Mailchimp, access="an API key of a user with role Manager"),
    "sendgrid": Vendor(
        SendgridSource,
        Sendgrid,
        inbox=True,
        access="scopes suppression.unsubscribes.read, suppression.spam_reports.read",
    ),
    "ga4": Vendor(Ga4Source, Ga4, access="role Viewer of the property (scope analytics.readonly)"),
    "matomo": Vendor(MatomoSource, Matomo, access="role View of the site"),
    "zendesk": Vendor(ZendeskSource, Zendesk, access="scope read, for a user who is an admin"),
    "intercom": Vendor(
        IntercomSource, Intercom, access="permissions Read conversations, Read and list users and companies"
    ),
    "formbricks": Vendor(
        FormbricksSource, Formbricks, inbox=True, access="permission read on the workspace of the survey"
    ),
    "nps": Vendor(NpsSource, Nps, inbox=True, lends=True),
    "hubspot": Vendor(
        HubspotSource,
        Hubspot,
        access="scopes crm.objects.contacts.read, crm.objects.deals.read, crm.objects.owners.read, "
        "crm.schemas.contacts.read, crm.schemas.deals.read",
        shares=True,
    ),
    "pipedrive": Vendor(
        PipedriveSource,
        Pipedrive,
        access="scopes contacts:read, contact-fields:read, deals:read, users:read",
        shares=True,
    ),
    "salesforce": Vendor(
        SalesforceSource, Salesforce, access="permission API Enabled; Read on Contact and Opportunity and their fields"
    ),
    "webhooks": Vendor(WebhooksSource, Webhooks, inbox=True),
}
"""Vendors by the name of their section. Sources with customer accounts come first to last in order of precedence."""
