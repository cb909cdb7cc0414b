"""SendGrid end to end: the sandbox company's signed events, through the receiver, to rows of e-mail events."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from scoring_platform.errors import ConfigurationError
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.sandbox.connection import ensure
from scoring_platform.settings import Settings, load_settings
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.protocol import Window
from scoring_platform.webhooks.providers import open_providers
from scoring_platform_tests.end_to_end.platform import Platform, write_config
from scoring_platform_tests.sources.scenario import rows
from scoring_platform_tests.webhooks.scenario import MAIL, Mailer, receiving

DAY = timedelta(days=1)


def settings_of(root: Path, endpoint: str, **environment: str) -> Settings:
    written = {"history_start": "2025-10-01", "sources": {"sendgrid": {"endpoint": endpoint}}}
    path = write_config(root / "scoring.yaml", written)
    return load_settings(environment, home=root / "home", config_path=path)


def test_what_the_sandbox_pushes_is_verified_kept_and_read_once(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "sandbox")
    Platform(settings.home, settings.loaded.path).set_clock(date(2025, 10, 14))
    with ensure(settings.home) as company, receiving(settings) as desk:
        delivered = company.deliver_webhooks("sendgrid", str(desk.http.base_url.join(MAIL)))
        assert delivered == len(desk.keys) > 100
        assert desk.reasons == []
        now = datetime.now(UTC)
        source = open_source(settings, "sendgrid")
        found = rows(source, "raw_email_events", Window(now - DAY, now + DAY))  # type: ignore[arg-type]
        assert desk.post([desk.stored()[0].event], MAIL).status_code == 401, "a shared secret does not open this door"

    assert {row["event_id"] for row in found} <= set(desk.keys)
    assert len(found) > 100
    assert Inbox(desk.ledger).waiting("email", "sendgrid").count == delivered


def test_sendgrids_keys_come_from_the_environment_two_at_a_time(tmp_path: Path) -> None:
    now, before = Mailer(), Mailer()
    keys = {
        "SCORING_SENDGRID_WEBHOOK_PUBLIC_KEY": now.public_key,
        "SCORING_SENDGRID_WEBHOOK_PUBLIC_KEY_PREVIOUS": before.public_key,
    }
    settings = settings_of(tmp_path, "https://api.sendgrid.com", **keys)
    body = b'[{"sg_event_id": "e1", "event": "open"}]'
    with receiving(settings) as desk:
        answers = [desk.http.post(MAIL, content=body, headers=one.signed(body)) for one in (now, before, Mailer())]
    assert [answer.status_code for answer in answers] == [200, 200, 401]
    (provider,) = open_providers(settings)
    assert (provider.path, provider.max_body_bytes) == (MAIL, 2 * 1024 * 1024)


@pytest.mark.parametrize(
    ("key", "words"),
    [("", "set SCORING_SENDGRID_WEBHOOK_PUBLIC_KEY"), ("bm8ga2V5", "WEBHOOK_PUBLIC_KEY is not a public key")],
)
def test_without_a_good_key_of_sendgrid_nothing_starts(tmp_path: Path, key: str, words: str) -> None:
    settings = settings_of(tmp_path, "https://api.sendgrid.com", SCORING_SENDGRID_WEBHOOK_PUBLIC_KEY=key)
    with pytest.raises(ConfigurationError, match=words):
        open_providers(settings)
