"""Trouble that lasts ends in the right error, soon, and its message can be acted on and shown to anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scoring_platform.errors import (
    BudgetExhaustedError,
    CredentialError,
    PermanentError,
    SourceError,
    TransientError,
)
from scoring_platform_tests.conformance.world import ONE_EACH, TABLES, World
from scoring_platform_tests.http.loopback import Loopback, reply, serving

MOST_ATTEMPTS = 8
"""Calls that the most patient source makes of one request."""

ALWAYS = 100_000

EXHAUSTED = frozenset({"ga4", "hubspot", "salesforce", "pipedrive"})
"""Vendors with an allowance per day, and a wording for it in the sandbox."""

FORBIDDEN_WORDS = ("Traceback", "Authorization", "Bearer", "access_token=")


@dataclass(frozen=True)
class Lasting:
    """Trouble that does not pass, what it has to end in, and how many calls that may take."""

    fault: dict[str, Any]
    error: type[SourceError]
    calls: int


LASTING = {
    "400": Lasting({"kind": "status", "status": 400}, PermanentError, 1),
    "404": Lasting({"kind": "status", "status": 404}, PermanentError, 1),
    "422": Lasting({"kind": "status", "status": 422}, PermanentError, 1),
    # The listing, and once the request for a new token.
    "401": Lasting({"kind": "status", "status": 401}, CredentialError, 2),
    "403": Lasting({"kind": "status", "status": 403}, CredentialError, 1),
    "503": Lasting({"kind": "status", "status": 503}, TransientError, MOST_ATTEMPTS),
    "throttled": Lasting({"kind": "throttle"}, TransientError, MOST_ATTEMPTS),
    "throttled for an hour": Lasting({"kind": "status", "status": 429, "retry_after": 3600}, TransientError, 1),
    "broken in the middle": Lasting({"kind": "reset"}, TransientError, MOST_ATTEMPTS),
    "a web page": Lasting({"kind": "html", "status": 200}, PermanentError, MOST_ATTEMPTS),
    "half a page": Lasting({"kind": "truncated"}, PermanentError, MOST_ATTEMPTS),
    "nothing": Lasting({"kind": "empty"}, PermanentError, MOST_ATTEMPTS),
    "an error called a success": Lasting({"kind": "error_body"}, SourceError, MOST_ATTEMPTS),
}


def failing(world: World, name: str, *, error: type[SourceError]) -> tuple[str, int]:
    """Read a table that fails; return the message and the calls since the trouble began."""
    place = world.baseline(name).second_page
    assert place is not None
    world.company.faults.forget_requests()
    with pytest.raises(error) as caught:
        world.read(name)
    return str(caught.value), world.calls() - place


def assert_fit_to_show(words: str, world: World, system: str) -> None:
    """One line that names the system and where, and shows no secret, address or query."""
    assert system in words.lower()
    assert "\n" not in words
    assert len(words) < 600
    assert not any(value in words for value in world.variables.values())
    assert not any(forbidden in words for forbidden in FORBIDDEN_WORDS)
    assert "?" not in words.replace("has its API version changed?", "")
    assert "@" not in words.replace("…@…", "")


@pytest.mark.parametrize("trouble", LASTING)
@pytest.mark.parametrize("name", TABLES)
def test_trouble_that_stays_ends_in_its_error_after_few_calls(world: World, name: str, trouble: str) -> None:
    lasting, system = LASTING[trouble], name.partition(".")[0]
    place = world.baseline(name).second_page
    world.fault(name, **lasting.fault, times=ALWAYS, skip=place)

    words, calls = failing(world, name, error=lasting.error)

    assert 1 <= calls <= lasting.calls
    assert_fit_to_show(words, world, system)


@pytest.mark.parametrize(
    ("trouble", "advice"),
    [
        ("401", "SCORING_{system}_"),
        ("403", "SCORING_{system}_"),
        ("404", "scoring.yaml"),
        ("503", "run again later"),
        ("broken in the middle", "run again later"),
        ("throttled", "run again later"),
        ("throttled for an hour", "run again after that"),
        ("a web page", "check the endpoint"),
    ],
)
@pytest.mark.parametrize("name", ONE_EACH)
def test_a_message_says_where_and_what_to_do(world: World, name: str, trouble: str, advice: str) -> None:
    table = ONE_EACH[name]
    place = world.baseline(table).second_page
    world.fault(table, **LASTING[trouble].fault, times=ALWAYS, skip=place)

    words, _ = failing(world, table, error=LASTING[trouble].error)

    assert " at GET /" in words or " at POST /" in words
    assert advice.format(system=name.upper()) in words


@pytest.mark.parametrize("name", sorted(EXHAUSTED & set(ONE_EACH)))
def test_a_spent_daily_allowance_ends_the_reading_with_that_very_call(world: World, name: str) -> None:
    table = ONE_EACH[name]
    world.fault(table, "exhausted", times=ALWAYS, skip=world.baseline(table).second_page)

    words, calls = failing(world, table, error=BudgetExhaustedError)

    assert calls == 1
    assert "run again after its reset" in words
    assert_fit_to_show(words, world, name)


@pytest.fixture(scope="module")
def _stranger() -> Iterator[Loopback]:
    with serving() as opened:
        yield opened


@pytest.fixture
def stranger(_stranger: Loopback) -> Loopback:
    """Another host, to which nothing of ours may go."""
    _stranger.script([reply({"data": [], "tickets": [], "end_of_stream": True})])
    return _stranger


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_redirection_to_another_host_is_not_followed(world: World, name: str, stranger: Loopback) -> None:
    table = ONE_EACH[name]
    place = world.baseline(table).second_page
    world.fault(table, "redirect", location=f"{stranger.url}/?token=abc", times=ALWAYS, skip=place)

    words, calls = failing(world, table, error=PermanentError)

    assert stranger.seen == []
    assert calls == 1
    assert "not followed" in words
    assert_fit_to_show(words, world, name)


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_token_is_never_asked_of_another_host(world: World, name: str, stranger: Loopback) -> None:
    table = ONE_EACH[name]
    world.baseline(table)
    world.fault(table, "redirect", location=f"{stranger.url}/", times=ALWAYS)

    with pytest.raises(PermanentError) as caught:
        world.read(table)

    assert stranger.seen == []
    assert_fit_to_show(str(caught.value), world, name)
