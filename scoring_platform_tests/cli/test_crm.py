"""``crm plan``, ``crm sync`` and ``crm retry`` on a home with a running CRM."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from scoring_platform_tests.end_to_end.crm_shop import DAY, crm_home, judge
from scoring_platform_tests.end_to_end.platform import Platform, writing_requests

PEOPLE = 12
TOKEN = {"Authorization": "Bearer pat-sandbox"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A home with scores of a dozen people, of whom the CRM does not take the last one's address."""
    platform = crm_home(tmp_path_factory.mktemp("crm"), "hubspot")
    judge(platform, list(range(10, 10 + PEOPLE)), refused=1)
    return platform


def test_it_is_planned_written_and_done(home: Platform) -> None:
    with home.company() as endpoint:
        plan = home.command("crm", "plan")
        asked = json.loads(home.command("crm", "plan", "--json", "--compare").out)
        assert writing_requests(endpoint.requests()) == [], "looking writes nothing"
        done = home.command("crm", "sync")
        again = home.command("crm", "sync")

        assert f"Plan for {DAY}: {PEOPLE} rows" in plan.out
        assert f"hubspot scores contact: {PEOPLE} new to us, to create, or to adopt by address" in plan.out
        assert (len(asked["rows"]), asked["held"], asked["deviations"]) == (PEOPLE, {}, [])
        assert done.code == again.code == 0, done.said
        assert len(home.contacts()) == PEOPLE - 1
        assert "all_acknowledged: 1 dead" in done.out
        assert "all_acknowledged: 1 dead" in again.out, "until it is mended"
        left = home.command("crm", "plan").out
        assert f"Plan for {DAY}: 0 rows" in left
        assert "hubspot scores contact: 1 not to write: refused before" in left
        assert "changes for" not in left, "nothing will be written"

        retried = home.command("crm", "retry", "--code", "INVALID_EMAIL")
        assert "hubspot: 1 rows will be tried again" in retried.out
        assert "1 new to us, to create, or to adopt by address" in home.command("crm", "plan").out


def test_what_somebody_changed_is_planned_again_at_once_where_ours_wins(home: Platform) -> None:
    with home.company() as endpoint:
        home.command("crm", "sync")
        found = httpx.post(
            f"{endpoint.url('hubspot')}/crm/v3/objects/contacts/batch/read",
            headers=TOKEN,
            json={"inputs": [{"id": "c000001"}], "idProperty": "customer_key", "properties": ["customer_key"]},
        ).json()["results"][0]
        values = {"customer_key": "", "customer_score": "3"}
        path = f"{endpoint.url('hubspot')}/crm/v3/objects/contacts/{found['id']}"
        httpx.patch(path, headers=TOKEN, json={"properties": values}).raise_for_status()
        told = home.command("crm", "plan", "--compare", "--policy", "theirs").out
        assert "Against the CRM: 2 fields are not what was acknowledged" in told
        assert "customer_key: ours 'c000001', theirs ''" in told
        assert f"Plan for {DAY}: 0 rows" in told
        planned = home.command("crm", "plan", "--compare", "--policy", "ours").out
        assert f"Plan for {DAY}: 1 rows" in planned
        assert "1 rows will be written again" in planned
        home.command("crm", "sync")

        assert "0 fields are not what was acknowledged" in home.command("crm", "plan", "--compare").out


def test_who_is_not_in_the_rollout_is_counted(home: Platform, tmp_path: Path) -> None:
    some = home.with_config(tmp_path / "some.yaml", crm={"rollout": {"percentage": 0}})

    assert f"scores: {PEOPLE} customers are not in this rollout" in some.command("crm", "plan").out


def test_what_cannot_be_planned_is_said(home: Platform) -> None:
    unknown = home.command("crm", "plan", "--date", "2020-01-01")
    wrong = home.command("crm", "retry", "--crm", "dynamics")

    assert (unknown.code, wrong.code) == (1, 1)
    assert "no segments are published for 2020-01-01" in unknown.err
    assert "no CRM called 'dynamics' is configured; configured: hubspot" in wrong.err


def test_a_home_without_scores_says_how_to_make_them(tmp_path: Path) -> None:
    done = crm_home(tmp_path, "hubspot").command("crm", "sync")

    assert done.code == 1
    assert "scoring-platform run" in done.err
