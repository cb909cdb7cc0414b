"""Any bytes at all, validly signed: an answer that says what happened, and nothing that a table could not hold."""

from __future__ import annotations

import json
import math

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scoring_platform.errors import PermanentError
from scoring_platform.sources.webhooks import WebhookProvider
from scoring_platform.webhooks.events import generic
from scoring_platform.webhooks.payload import check, parse, readable
from scoring_platform_tests.webhooks.scenario import MAIL, Desk, Mailer

NAMES = ["id", "kind", "occurred_at", "events", "properties", "email", "sg_event_id"]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["id", "\x00", "\ud800", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=5),
    max_leaves=20,
)
bodies = st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode())
QUIET = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@QUIET
@given(body=bodies)
@example(body=b'{"events": [{"id": {"a": 1}, "kind": []}, null, [[]], {"kind": 0, "id": true}]}')
def test_no_signed_body_breaks_the_receiver(desk: Desk, mailer: Mailer, body: bytes) -> None:
    mail = desk.http.post(MAIL, content=body, headers=mailer.signed(body))
    for answer in (desk.post(body), mail):
        assert answer.status_code in (200, 400)
        assert answer.json()["accepted"] >= 0
    stored = len(desk.keys)
    desk.post(body)
    assert len(desk.keys) == stored, "delivered twice is once"


@QUIET
@given(body=bodies)
def test_what_is_read_can_be_held_by_any_table(body: bytes) -> None:
    try:
        value = parse(body)
        check(value)
    except PermanentError:
        shown = readable(body, most=10)
        assert len(shown) <= 10
        assert "\x00" not in shown.encode().decode()
        return
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    assert json.loads(text.encode("utf-8")) == value
    assert all(-(2**63) <= number < 2**63 for number in numbers(value) if isinstance(number, int))
    assert all(math.isfinite(number) for number in numbers(value))


@QUIET
@given(value=anything)
def test_every_part_of_a_body_is_an_event_or_set_aside_and_keys_fit(value: object) -> None:
    try:
        parsed = parse(json.dumps(value).encode())
        split = generic(WebhookProvider())(parsed, {})
    except PermanentError:
        return
    inner = parsed if isinstance(parsed, list) else parsed.get("events")
    assert len(split.events) + len(split.dead) == (len(inner) if isinstance(inner, list) else 1)
    assert all(1 <= len(key) <= 255 and key == key.strip() for key, _ in split.events)


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers(inner)]
    return [value] if isinstance(value, int | float) else []
