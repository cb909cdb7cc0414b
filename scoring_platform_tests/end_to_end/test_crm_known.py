"""What a running CRM is told of who is not in it, and of whom it knows by another field than before."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scoring_platform.destinations.preflight import fields_of, provision
from scoring_platform.destinations.protocol import CrmWrite
from scoring_platform.destinations.registry import open_crms
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.ledger.receipts import Outcome, Scope, record_outcomes
from scoring_platform.pipeline.crm_compare import Deviation, compare
from scoring_platform.pipeline.step import Step
from scoring_platform_tests.end_to_end.crm_shop import DAY, SECTIONS, crm_home, judge, planned, sync
from scoring_platform_tests.end_to_end.platform import Platform, morning_after

PEOPLE = 4
IDS = [f"c{number:06}" for number in range(PEOPLE)]


def deviations(platform: Platform, *, ours: bool = False) -> list[Deviation]:
    settings = platform.settings
    with platform.ledger() as ledger, duckdb.connect(config={"threads": 1}) as connection, open_crms(settings) as crms:
        step = Step(DuckDBEngine(connection, platform.lake), settings, ledger, [DAY], morning_after(DAY))
        return list(compare(step, crms[0], policy="ours" if ours else "report"))


def calls(platform: Platform, crm: str) -> Counter[str]:
    with platform.company() as endpoint:
        found = Counter({f"{one['method']} {one['path']}": one["count"] for one in endpoint.requests()
                         if one["vendor"] == crm})  # fmt: skip
        endpoint.forget_requests()
    return found


@pytest.mark.parametrize("crm", list(SECTIONS))
def test_who_is_not_in_the_crm_is_looked_for_once_a_day_and_never_made(tmp_path: Path, crm: str) -> None:
    platform = crm_home(tmp_path, crm)
    section = {**SECTIONS[crm], "mode": "update_only"}
    platform = platform.with_config(tmp_path / "some.yaml", destinations={crm: section})
    with platform.company():
        judge(platform, [10] * PEOPLE)
        first, looked = sync(platform), calls(platform, crm)
        again, nothing = sync(platform), calls(platform, crm)

    assert (first.counts, first.held) == ({"absent": PEOPLE}, {})
    assert (again.counts, again.held) == ({}, {})
    assert sum(looked.values()) > sum(nothing.values()), "the second time only the fields are looked at"


@pytest.mark.parametrize("crm", ["hubspot", "pipedrive"])
def test_another_field_of_our_key_reaches_everybody_who_is_known(tmp_path: Path, crm: str) -> None:
    platform = crm_home(tmp_path, crm)
    with platform.company():
        judge(platform, [10] * PEOPLE)
        assert sync(platform).counts == {"acknowledged": PEOPLE}
        assert deviations(platform) == []
        section: dict[str, Any] = {**SECTIONS[crm], "fields": {"customer_key": "other_key"}}
        moved = platform.with_config(tmp_path / "moved.yaml", destinations={crm: section})
        judge(moved, [10] * PEOPLE)
        assert {who: payload["other_key"] for who, payload in planned(moved).items()} == {one: one for one in IDS}
        assert sync(moved).counts == {"acknowledged": PEOPLE}
        assert deviations(moved) == [], "the CRM holds the key in the new field"
        judge(moved, [10] * PEOPLE)

        assert sync(moved).counts == {}, "once is enough"


def test_a_note_that_somebody_edited_or_deleted_is_told(tmp_path: Path) -> None:
    platform = crm_home(tmp_path, "pipedrive")
    scope, values = Scope("pipedrive", "nps", "note"), {"NPS スコア": "9", "主要テーマ": "price;delivery"}
    with platform.company(), platform.ledger() as ledger:
        judge(platform, [10] * PEOPLE)
        sync(platform)
        with open_crms(platform.settings) as (crm,):
            writes = [CrmWrite(one, f"{one}@example.jp", None, values, "note") for one in IDS]
            receipts = crm.apply(writes)
            record_outcomes(
                ledger,
                scope,
                [Outcome(one.customer_id, one.status, DAY, "hash", values, one.destination_id) for one in receipts],
                now=morning_after(DAY),
            )
            assert deviations(platform) == []
            api = crm._api  # type: ignore[attr-defined]
            edited, unmarked, deleted = (str(one.destination_id) for one in receipts[:3])
            content = api.call("GET", f"/v1/notes/{edited}", cost=1).json["data"]["content"]
            api.call("PUT", f"/v1/notes/{edited}", cost=1, json={"content": content.replace("9", "10")})
            api.call("PUT", f"/v1/notes/{unmarked}", cost=1, json={"content": "Called"})
            api.call("DELETE", f"/v1/notes/{deleted}", cost=1)

        assert [(one.customer_id, one.field, one.ours, one.theirs) for one in deviations(platform)] == [
            (IDS[0], "NPS スコア", "9", "10"),
            (IDS[1], "", "", ""),
            (IDS[2], "", "", ""),
        ]


def test_two_who_make_missing_fields_at_once_make_each_once(tmp_path: Path) -> None:
    platform = crm_home(tmp_path, "pipedrive")
    settings = platform.settings

    def make(_: int) -> list[str]:
        with open_crms(settings) as (crm,):
            return provision(settings, crm, fields_of(settings, crm))

    with platform.company(), platform.ledger():
        with ThreadPoolExecutor(3) as pool:
            made = list(pool.map(make, range(3)))
        with open_crms(settings) as (crm,):
            fields = fields_of(settings, crm)
            assert crm.preflight([one for one in fields if one.target == "contact"]) == [], "none has a namesake"

    assert sorted(name for names in made for name in names) == sorted(
        one.name for one in fields if one.target == "contact"
    )
