"""Whatever a survey tool posts, validly signed or not: an answer, and nothing that a run stumbles on."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring_platform.contracts.raw import RAW_NPS_RESPONSES
from scoring_platform.ingest.staging import write_pages
from scoring_platform.settings import Settings
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.surveymonkey import ids
from scoring_platform_tests.webhooks.scenario import Desk, receiving
from scoring_platform_tests.webhooks.survey_tools import SECRET, TOOLS, surveyed
from scoring_platform_tests.webhooks.test_fuzz import anything

SHORT, LONG = 130, 1_300
"""Requests per tool; each is sent signed, and a part of them by somebody else."""

TIMES = [
    "2026-11-20",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "2026-02-30",
    1e15,
    -1,
    "１７９５１３６７００",
]
STRANGE = st.sampled_from(
    [*TIMES, "", " ", "10", "１０", 11, -0.0, 9.0, "9" * 400, "=1+1", [], {}, [[]], None, True, 2**62]
)
VALUES = anything | STRANGE
FORGERIES = ("unsigned", "another secret", "another body", "another tool")


@pytest.fixture(scope="module")
def surveys(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with every survey tool."""
    return surveyed(tmp_path_factory.mktemp("surveys"))


@pytest.fixture(scope="module")
def desk(surveys: Settings) -> Iterator[Desk]:
    """A receiver of all of them."""
    with receiving(surveys) as opened:
        yield opened


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a body at which something stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*path, key)
        yield from places(below, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, body: dict[str, Any]) -> bytes:
    """A tool's own body with something else at up to three of its places, or one thing missing, or cut off."""
    made = copy.deepcopy(body)
    for place in draw(st.lists(st.sampled_from(list(places(body))), max_size=3, unique=True)):
        holder = made
        try:
            for key in place[:-1]:
                holder = holder[key]
            if draw(st.integers(0, 4)):
                holder[place[-1]] = draw(VALUES)
            else:
                del holder[place[-1]]
        except (KeyError, IndexError, TypeError):  # gone with what was replaced above it
            continue
    raw = json.dumps(made).encode()
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 19)) == 0 else raw


def forged(name: str, body: bytes, how: str) -> dict[str, str]:
    tool, other = TOOLS[name], next(one for key, one in TOOLS.items() if key != name)
    headers = {
        "unsigned": {},
        "another secret": tool.headers(body, secret="whsec_" + "QUFB" * 8),
        "another body": tool.headers(body + b" "),
        "another tool": other.headers(body, secret="whsec_" + "QUFB" * 8 if other.secret != SECRET else SECRET),
    }[how]
    return {**headers, "Content-Type": "application/json"}


def attack(desk: Desk, name: str, examples: int) -> None:
    tool = TOOLS[name]

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body=mutated(tool.body()) | st.binary(max_size=80), how=st.sampled_from([None, *FORGERIES]))
    def run(body: bytes, how: str | None) -> None:
        if how is not None:
            before = len(desk.keys) + len(desk.reasons)
            assert desk.http.post(tool.path, content=body, headers=forged(name, body, how)).status_code == 401
            assert len(desk.keys) + len(desk.reasons) == before, "nothing unsigned is kept"
        answer = desk.http.post(tool.path, content=body, headers=tool.headers(body))
        assert answer.status_code in (200, 400)
        assert answer.status_code == 200 or answer.json()["rejected"] > 0

    run()


def check_what_is_kept(desk: Desk, surveys: Settings, folder: Path) -> None:
    """A run reads all of it, however strange it is."""
    now = datetime.now(UTC)
    window = Window(now - timedelta(hours=1), now + timedelta(hours=1))
    rows = 0
    for name in ("nps", "formbricks"):
        source: Any = open_source(surveys, name)
        (folder / name).mkdir()
        rows += write_pages(RAW_NPS_RESPONSES, source.received(window), folder / name)
    pointed = [row for row in desk.stored() if row.provider == "monkey"]
    assert all(ids(row.event) for row in pointed)
    assert rows + len(pointed) == len(desk.keys) > 0


@pytest.mark.parametrize("name", TOOLS)
def test_no_request_breaks_the_receiver_and_none_gets_in_unsigned(desk: Desk, name: str) -> None:
    attack(desk, name, SHORT)


def test_whatever_was_taken_can_be_read(desk: Desk, surveys: Settings, tmp_path: Path) -> None:
    for tool in TOOLS.values():
        tool.post(desk, tool.body())
    check_what_is_kept(desk, surveys, tmp_path)


@pytest.mark.drill
def test_thousands_of_requests_break_nothing(desk: Desk, surveys: Settings, tmp_path: Path) -> None:
    for name in TOOLS:
        attack(desk, name, LONG)
    check_what_is_kept(desk, surveys, tmp_path)
