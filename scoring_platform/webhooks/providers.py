"""The registry of webhook providers: who may post where, signed how, and how its bodies hold events.

Belongs here: from the configuration to providers with their keys. Does not belong here: HTTP (``receiver``), schemes
(``signatures``), where events stand in a body (``events``).

A provider's secret is ``SCORING_<PROVIDER>_WEBHOOK_SECRET``; while it is being changed, the one before it is
``SCORING_<PROVIDER>_WEBHOOK_SECRET_PREVIOUS``, and both are good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from scoring_platform.config.base import SANDBOX
from scoring_platform.config.webhooks import ProviderLimits
from scoring_platform.endpoints import resolve
from scoring_platform.errors import ConfigurationError
from scoring_platform.settings import Settings, credential_variable
from scoring_platform.sources.answers import KIND as NPS_KIND
from scoring_platform.sources.formbricks import Formbricks
from scoring_platform.sources.nps import reader
from scoring_platform.sources.signing import Signing
from scoring_platform.sources.webhooks import KIND as GENERIC_KIND
from scoring_platform.webhooks import events
from scoring_platform.webhooks.answers import answers
from scoring_platform.webhooks.signatures import Ecdsa, Hmac, Scheme, StandardWebhooks

SECRET = "webhook_secret"  # noqa: S105 - the name of a secret
PUBLIC_KEY = "webhook_public_key"
_PREVIOUS = "_previous"
_SENDGRID_BODY = 2 * 1024 * 1024
"""Its batches stay well below 1 MiB; hundreds of connections may each have so much in memory before it is judged."""

FORMBRICKS = StandardWebhooks()
TYPEFORM = Hmac("Typeform-Signature", encoding="base64", prefix="sha256=")
SURVEYMONKEY = Hmac("Sm-Signature", algorithm="sha1", encoding="base64")
OF_FORMAT: dict[str, Scheme] = {"typeform": TYPEFORM, "surveymonkey": SURVEYMONKEY}
"""How the survey tools sign that are not told how by the configuration."""

SENDGRID = Ecdsa("X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp")


@dataclass(frozen=True)
class Provider:
    """One sender.

    Attributes:
        kind: First part of its address: nps, events or email.
        name: Second part.
        source: The source that reads its events.
        scheme: How it signs.
        keys: What it signs with, the current key first.
        split: How its bodies hold events.
        max_body_bytes: Largest body.
        tolerance_seconds: How far a signed time may be from ours.
        requests_per_minute: Signed requests taken in a minute.
    """

    kind: str
    name: str
    source: str
    scheme: Scheme
    keys: tuple[Any, ...] = field(repr=False)
    split: events.Splitting
    max_body_bytes: int
    tolerance_seconds: int
    requests_per_minute: int

    @property
    def path(self) -> str:
        """Its address on the receiver."""
        return f"/webhooks/{self.kind}/{self.name}"


def open_providers(settings: Settings) -> tuple[Provider, ...]:
    """Return the configured providers with their keys.

    Raises:
        ConfigurationError: A secret is missing, too short or malformed, or limits name no provider.
        TransientError: A provider is the sandbox, and it does not answer.
    """
    found = tuple(provider for opens in _KINDS for provider in opens(settings))
    unknown = set(settings.config.webhooks.providers) - {provider.name for provider in found}
    if unknown:
        known = ", ".join(provider.name for provider in found) or "none"
        msg = f"{settings.loaded.path}: webhooks.providers: {', '.join(sorted(unknown))} sends nothing; known: {known}"
        raise ConfigurationError(msg)
    return found


def is_posted_to(settings: Settings) -> bool:
    """Return whether any provider is configured, without asking for its secret."""
    sources = settings.config.sources
    answers_come = sources.nps is not None and bool(sources.nps.providers)
    survey_posts = sources.formbricks is not None and sources.formbricks.webhook
    return answers_come or survey_posts or sources.sendgrid is not None or sources.webhooks is not None


def _generic(settings: Settings) -> Iterator[Provider]:
    section = getattr(settings.config.sources, "webhooks", None)
    for name, provider in section.providers.items() if section else ():
        scheme = _scheme(provider)
        yield Provider(
            kind=GENERIC_KIND,
            name=name,
            source="webhooks",
            scheme=scheme,
            keys=_keys(settings, name, scheme),
            split=events.generic(provider),
            **_limits(settings, name),
        )


def _sendgrid(settings: Settings) -> Iterator[Provider]:
    section = getattr(settings.config.sources, "sendgrid", None)
    if section is None:
        return
    keys = (
        [SENDGRID.key(resolve(settings, "sendgrid", SANDBOX).credential(PUBLIC_KEY))] if _in_sandbox(section) else None
    )
    yield Provider(
        kind="email",
        name="sendgrid",
        source="sendgrid",
        scheme=SENDGRID,
        keys=tuple(keys) if keys else _keys(settings, "sendgrid", SENDGRID, secret=PUBLIC_KEY),
        split=events.sendgrid,
        **_limits(settings, "sendgrid", max_body_bytes=_SENDGRID_BODY),
    )


def _formbricks(settings: Settings) -> Iterator[Provider]:
    section = getattr(settings.config.sources, "formbricks", None)
    if section is None or not section.webhook:
        return
    source = Formbricks(section, "", partial(settings.credential, "formbricks"), _zone(settings))
    secret = resolve(settings, "formbricks", SANDBOX).credential(SECRET) if _in_sandbox(section) else None
    yield Provider(
        kind=NPS_KIND,
        name="formbricks",
        source="formbricks",
        scheme=FORMBRICKS,
        keys=(FORMBRICKS.key(secret),) if secret else _keys(settings, "formbricks", FORMBRICKS),
        split=answers(source.answer, ours=source.is_ours),
        **_limits(settings, "formbricks"),
    )


def _nps(settings: Settings) -> Iterator[Provider]:
    section = getattr(settings.config.sources, "nps", None)
    for name, provider in section.providers.items() if section else ():
        scheme = OF_FORMAT.get(provider.format) or _scheme(provider)
        yield Provider(
            kind=NPS_KIND,
            name=name,
            source="nps",
            scheme=scheme,
            keys=_keys(settings, name, scheme),
            split=answers(
                reader(name, provider, _zone(settings)), within=provider.events if provider.format == "json" else None
            ),
            **_limits(settings, name),
        )


_KINDS: tuple[Callable[[Settings], Iterator[Provider]], ...] = (_sendgrid, _formbricks, _nps, _generic)
"""What opens the providers of each kind; one line per vendor."""


def _in_sandbox(section: Any) -> bool:
    return getattr(section, "endpoint", None) == SANDBOX


def _zone(settings: Settings) -> ZoneInfo:
    return ZoneInfo(settings.config.time_zone)


def _scheme(provider: Signing) -> Scheme:
    if provider.scheme == "standard":
        return StandardWebhooks()
    return Hmac(
        provider.header,
        algorithm=provider.algorithm,
        encoding=provider.encoding,
        prefix=provider.prefix,
        timestamp_header=provider.timestamp_header,
        id_header=provider.id_header,
        template=provider.template,
    )


def _keys(settings: Settings, system: str, scheme: Scheme, *, secret: str = SECRET) -> tuple[Any, ...]:
    """The key in use and, when it is set, the one before it."""
    previous = settings.optional_credential(system, secret + _PREVIOUS)
    keys = [_key(system, secret, settings.credential(system, secret), scheme=scheme)]
    keys += [_key(system, secret + _PREVIOUS, previous, scheme=scheme)] if previous else []
    return tuple(keys)


def _key(system: str, name: str, value: str, *, scheme: Scheme) -> Any:
    try:
        return scheme.key(value)
    except ConfigurationError as error:
        msg = f"{credential_variable(system, name)} {error}"
        raise ConfigurationError(msg) from error


def _limits(settings: Settings, name: str, *, max_body_bytes: int | None = None) -> dict[str, int]:
    """The provider's own limits, else its usual ones, else those of the receiver."""
    common = settings.config.webhooks
    own = common.providers.get(name) or ProviderLimits()
    return {
        "max_body_bytes": own.max_body_bytes or max_body_bytes or common.max_body_bytes,
        "tolerance_seconds": own.tolerance_seconds or common.tolerance_seconds,
        "requests_per_minute": own.requests_per_minute or common.requests_per_minute,
    }
