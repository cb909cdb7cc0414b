"""Survey tools that post answers, each with its body and its signature.

Belongs here: what the tests of answers share. Does not belong here: expectations.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scoring_platform.settings import Settings, load_settings
from scoring_platform_tests.webhooks.scenario import Desk, signed

SECRET = "a-secret-of-the-survey-tool"
CODED = "whsec_" + base64.b64encode(b"a-secret-of-formbricks").decode()
APP = "client-of-the-app&secret-of-the-app"

Sign = Callable[[bytes, str, float], Mapping[str, str]]
Body = dict[str, Any]


def _hmac(secret: bytes, message: bytes, name: str) -> bytes:
    return hmac.new(secret, message, getattr(hashlib, name)).digest()


def of_json(body: bytes, secret: str, at: float) -> Mapping[str, str]:
    """A timestamp, and HMAC-SHA256 in hex over it and the body."""
    return signed(body, secret, at=at)


def of_formbricks(body: bytes, secret: str, at: float) -> Mapping[str, str]:
    """Standard Webhooks."""
    message, stamp = "msg_1", str(int(at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = base64.b64encode(_hmac(key, f"{message}.{stamp}.".encode() + body, "sha256")).decode()
    return {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": f"v1,{text}"}


def of_typeform(body: bytes, secret: str, _: float) -> Mapping[str, str]:
    """HMAC-SHA256 in base64 over the body."""
    return {"Typeform-Signature": "sha256=" + base64.b64encode(_hmac(secret.encode(), body, "sha256")).decode()}


def of_surveymonkey(body: bytes, secret: str, _: float) -> Mapping[str, str]:
    """HMAC-SHA1 in base64 over the body, keyed by the app's id and secret."""
    return {"Sm-Signature": base64.b64encode(_hmac(secret.encode(), body, "sha1")).decode()}


def plain(number: int = 1, /, **changes: Any) -> Body:
    """A signed JSON answer."""
    answer = {"id": f"r{number}", "email": f"k{number}@example.jp", "nps_score": 9, "comment": "fast"}
    return {**answer, "answered_at": "2026-11-20T10:00:00+09:00", **changes}


def formbricks(number: int = 1, /, *, event: str = "responseFinished", **changes: Any) -> Body:
    """A delivery of Formbricks."""
    response = {
        "id": f"resp{number}",
        "surveyId": "s1",
        "finished": True,
        "createdAt": "2026-11-20T01:00:00.000Z",
        "updatedAt": "2026-11-20T01:05:00.123Z",
        "contact": {"id": "c1", "userId": "K1"},
        "contactAttributes": {"email": "ann@example.com"},
        "data": {"nps": 9, "comment": "fast"},
        "meta": {"country": "JP"},
        "variables": {"product": "beans"},
        "language": "ja",
        "survey": {"title": "NPS"},
    }
    return {"event": event, "webhookId": "wh1", "data": {**response, **changes}}


def typeform(number: int = 1, /, **changes: Any) -> Body:
    """A delivery of Typeform."""
    fields = [{"id": "M8", "title": "How likely…", "type": "nps", "ref": "nps_main"}]
    score = {"type": "number", "number": 9, "field": {"id": "M8", "type": "nps", "ref": "nps_main"}}
    why = {"type": "text", "text": "fast", "field": {"id": "N2", "ref": "why", "type": "long_text"}}
    form = {
        "form_id": "g8hc",
        "token": f"tok{number}",
        "landed_at": "2026-11-20T08:23:47Z",
        "submitted_at": "2026-11-20T08:23:49Z",
        "hidden": {"customer_id": "K1", "product": "beans", "name": "not kept"},
        "definition": {"fields": fields},
        "answers": [score, why],
        "variables": [{"key": "points", "type": "number", "number": 3}],
    }
    return {"event_id": "01EK", "event_type": "form_response", "form_response": {**form, **changes}}


def surveymonkey(number: int = 1, /, **changes: Any) -> Body:
    """A delivery of SurveyMonkey: ids only."""
    event = {
        "name": "NPS",
        "event_type": "response_completed",
        "event_id": str(number),
        "event_datetime": "2026-11-20T08:56:31.182613+00:00",
        "object_type": "response",
        "object_id": str(1_000 + number),
        "filter_type": "survey",
        "filter_id": "99",
        "resources": {"survey_id": "99", "collector_id": "5", "respondent_id": str(1_000 + number), "user_id": "1"},
    }
    return {**event, **changes}


@dataclass(frozen=True)
class Tool:
    """A survey tool.

    Attributes:
        path: Where it posts to.
        body: Its body with the answer of a number.
        sign: How it signs.
        secret: With what.
        timed: Whether it signs the time.
    """

    path: str
    body: Callable[..., Body]
    sign: Sign
    secret: str = SECRET
    timed: bool = False

    def headers(self, body: bytes, *, secret: str | None = None, at: float | None = None) -> dict[str, str]:
        """The headers of a request."""
        made = self.sign(body, secret or self.secret, time.time() if at is None else at)
        return {"Content-Type": "application/json", **made}

    def post(self, desk: Desk, body: Any, *, secret: str | None = None, at: float | None = None) -> httpx.Response:
        """Post a body, or bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return desk.http.post(self.path, content=raw, headers=self.headers(raw, secret=secret, at=at))


TOOLS = {
    "json": Tool("/webhooks/nps/survey", plain, of_json, timed=True),
    "formbricks": Tool("/webhooks/nps/formbricks", formbricks, of_formbricks, CODED, timed=True),
    "typeform": Tool("/webhooks/nps/forms", typeform, of_typeform),
    "surveymonkey": Tool("/webhooks/nps/monkey", surveymonkey, of_surveymonkey, APP),
}

SECRETS = {
    "SCORING_SURVEY_WEBHOOK_SECRET": SECRET,
    "SCORING_FORMS_WEBHOOK_SECRET": SECRET,
    "SCORING_MONKEY_WEBHOOK_SECRET": APP,
    "SCORING_FORMBRICKS_WEBHOOK_SECRET": CODED,
}

PROVIDERS: dict[str, Any] = {"survey": {}, "forms": {"format": "typeform"}, "monkey": {"format": "surveymonkey"}}


def surveyed(root: Path, **extra: str) -> Settings:
    """Settings with every survey tool."""
    written = {
        "history_start": "2026-01-01",
        "sources": {
            "formbricks": {"survey_id": "s1", "pull": False, "webhook": True},
            "nps": {"providers": PROVIDERS},
        },
        "webhooks": {"requests_per_minute": 1_000_000},
    }
    path = root / "scoring.yaml"
    path.write_text(json.dumps(written), encoding="utf-8")
    return load_settings({**SECRETS, **extra}, home=root / "home", config_path=path)
