"""The configuration of the webhook receiver: where it listens and what it lets in.

Belongs here: address and limits. Does not belong here: the providers of events, which are sources (``sources.webhooks``
and the vendors that send), and secrets, which come from the environment as ``SCORING_<PROVIDER>_WEBHOOK_SECRET``.
"""

from __future__ import annotations

from pydantic import Field

from scoring_platform.config.base import Section

_LEAST_BODY = 1_024
_MOST_BODY = 64 * 1024 * 1024
_MOST_TOLERANCE = 7 * 24 * 3600


class ProviderLimits(Section):
    """Limits of one provider; null means its own default, or else that of the receiver."""

    max_body_bytes: int | None = Field(None, ge=_LEAST_BODY, le=_MOST_BODY, description="Largest body")
    tolerance_seconds: int | None = Field(
        None, ge=1, le=_MOST_TOLERANCE, description="How far a signed time may be from ours"
    )
    requests_per_minute: int | None = Field(None, ge=1, description="Signed requests taken in a minute")


class WebhookReceiver(Section):
    """The receiver of webhooks."""

    host: str = Field("127.0.0.1", min_length=1, description="Address it listens on; a proxy with TLS stands before it")
    port: int = Field(8787, ge=0, le=65_535, description="Port it listens on; 0 takes a free one")
    public_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Address the vendors reach it at, for the addresses it prints"
    )
    max_body_bytes: int = Field(1_048_576, ge=_LEAST_BODY, le=_MOST_BODY, description="Largest body")
    tolerance_seconds: int = Field(300, ge=1, le=_MOST_TOLERANCE, description="How far a signed time may be from ours")
    requests_per_minute: int = Field(600, ge=1, description="Signed requests taken in a minute, per provider")
    providers: dict[str, ProviderLimits] = Field(
        default_factory=dict, description="Other limits for single providers, such as sendgrid"
    )
