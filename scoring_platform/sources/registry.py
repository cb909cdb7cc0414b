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
from scoring_platform.sources.klaviyo import Klaviyo, KlaviyoSource
from scoring_platform.sources.protocol import Source
from scoring_platform.sources.shopify import Shopify, ShopifySource
from scoring_platform.sources.zendesk import Zendesk, ZendeskSource


@dataclass(frozen=True)
class Vendor:
    """A kind of source.

    Attributes:
        section: The model of its section in ``scoring.yaml``.
        opens: Makes the source from its section, address, credentials and the business zone; and, where ``inbox`` is
            set, from the inbox of webhook events.
        inbox: Whether it reads events that arrived by webhook.
    """

    section: type[SourceSection]
    opens: Callable[..., Source]
    inbox: bool = False


SOURCES: dict[str, Vendor] = {
    "shopify": Vendor(ShopifySource, Shopify),
    "klaviyo": Vendor(KlaviyoSource, Klaviyo),
    "ga4": Vendor(Ga4Source, Ga4),
    "zendesk": Vendor(ZendeskSource, Zendesk),
    "formbricks": Vendor(FormbricksSource, Formbricks),
}
"""Vendors by the name of their section. Sources with customer accounts come first to last in order of precedence."""
