"""The sandbox's Formbricks posts answers that the platform's receiver takes, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.survey_webhook import SurveyWebhook
from scoring_platform.settings import load_settings
from scoring_platform_tests.webhooks.scenario import Desk, receiving

NOW = datetime(2025, 12, 10, 12, tzinfo=UTC)
SECRET = CREDENTIALS["formbricks"]["webhook_secret"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A receiver of the survey tool alone."""
    survey = {"survey_id": "sandboxnps", "pull": False, "webhook": True}
    path = tmp_path / "scoring.yaml"
    path.write_text(json.dumps({"history_start": "2025-10-01", "sources": {"formbricks": survey}}), encoding="utf-8")
    environment = {"SCORING_FORMBRICKS_WEBHOOK_SECRET": SECRET}
    with receiving(load_settings(environment, home=tmp_path / "home", config_path=path)) as opened:
        yield opened


def test_an_address_is_told_of_the_last_day_and_then_of_what_is_new(tmp_path: Path, desk: Desk) -> None:
    company = Company.open(tmp_path / "home" / "sandbox")
    company.clock.set(NOW)
    url = f"{desk.http.base_url}/webhooks/nps/formbricks".replace("//webhooks", "/webhooks")
    push = SurveyWebhook(company, pause=lambda _: None)

    first = push.deliver(url)
    assert first == len(desk.keys) > 0
    assert (push.deliver(url), SurveyWebhook(company).deliver(url)) == (0, 0), "across restarts"
    company.clock.set(NOW + timedelta(days=2))
    later = push.deliver(url)
    assert later > 0
    assert len(desk.keys) == first + later
    assert desk.reasons == []
    events: list[Any] = [row.event for row in desk.stored()]
    assert all(one["data"]["updatedAt"] >= "2025-12-09T12:00" for one in events)
    assert {one["event"] for one in events} <= {"responseCreated", "responseFinished"}
