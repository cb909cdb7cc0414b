"""Trouble that passes changes no row: what is read is exactly what is read without it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from scoring_platform.errors import CredentialError
from scoring_platform_tests.conformance.world import ONE_EACH, TABLES, World

HARMLESS_403: dict[str, dict[str, Any]] = {
    "mailchimp": {"kind": "html", "status": 403},
    "pipedrive": {"kind": "html", "status": 403},
}
"""Vendors whose 403 without JSON means too many calls."""

TWICE: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "503 with a time to wait": {"kind": "status", "status": 503, "retry_after": 7},
    "503 with a date to wait for": {
        "kind": "status",
        "retry_after": format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True),
    },
    "throttled": {"kind": "throttle"},
    "throttled with a time to wait": {"kind": "throttle", "retry_after": 9},
    "a web page": {"kind": "html", "status": 200},
    "a web page saying 502": {"kind": "html", "status": 502},
    "broken in the middle": {"kind": "reset"},
    "half a page": {"kind": "truncated"},
    "nothing": {"kind": "empty"},
    "in small pieces": {"kind": "slow"},
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_several_pages_and_rows_that_differ_on_the_contracts_key(world: World, name: str) -> None:
    reading = world.baseline(name)

    assert reading.rows
    assert reading.second_page is not None, "make the pages smaller: a table of one page proves little"
    assert world.read(name).rows == reading.rows


@pytest.mark.parametrize("trouble", TWICE)
@pytest.mark.parametrize("name", TABLES)
def test_trouble_in_the_middle_of_a_listing_changes_no_row(world: World, name: str, trouble: str) -> None:
    expected = world.baseline(name)

    world.fault(name, **TWICE[trouble], times=2, skip=expected.second_page)

    assert world.read(name).rows == expected.rows


@pytest.mark.parametrize("trouble", ["500", "throttled", "broken in the middle"])
@pytest.mark.parametrize("name", ONE_EACH)
def test_trouble_at_the_very_first_call_changes_no_row(world: World, name: str, trouble: str) -> None:
    table = ONE_EACH[name]
    expected = world.baseline(table).rows

    world.fault(name, **TWICE[trouble], times=2)

    assert world.read(table).rows == expected


@pytest.mark.parametrize("name", ONE_EACH)
def test_an_answer_that_does_not_come_is_asked_for_again(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = ONE_EACH[name]
    expected = world.baseline(table)
    timeout = httpx.Timeout
    monkeypatch.setattr(httpx, "Timeout", lambda _: timeout(0.4))

    world.fault(name, "timeout", skip=expected.second_page)

    assert world.read(table).rows == expected.rows


@pytest.mark.parametrize("name", TABLES)
def test_a_token_that_ran_out_is_renewed_and_a_fixed_key_that_is_refused_is_not_tried_again(
    world: World, name: str
) -> None:
    expected = world.baseline(name)
    renews = any(one.is_token for one in expected.exchanges)

    world.fault(name, "status", status=401, skip=expected.second_page)

    if renews:
        assert world.read(name).rows == expected.rows
    else:
        with pytest.raises(CredentialError):
            world.read(name)


@pytest.mark.parametrize("name", sorted(HARMLESS_403.keys() & set(ONE_EACH)))
def test_a_403_that_means_too_many_calls_is_waited_out(world: World, name: str) -> None:
    table = ONE_EACH[name]
    expected = world.baseline(table)

    world.fault(name, **HARMLESS_403[name], times=2, skip=expected.second_page)

    assert world.read(table).rows == expected.rows
