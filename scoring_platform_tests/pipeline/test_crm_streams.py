"""Two streams of one CRM, what it really holds, and refused rows that are tried again."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from scoring_platform.ledger.leases import acquire_lease, release_lease
from scoring_platform.ledger.receipts import keep_receipts, read_receipts, reopen_refused
from scoring_platform.ledger.turns import LEASE
from scoring_platform.pipeline import crm_plan, crm_sync
from scoring_platform.pipeline.crm_compare import compare
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import RecordingCrm, Shop, open_shop
from scoring_platform_tests.pipeline.test_crm_sync import DAY, NEXT, judged, run, statuses


def answered(shop: Shop, day: date, *answers: tuple[str, int, int]) -> None:
    """Publish answers: customer, score, days ago."""
    rows = [
        {
            "as_of": day, "source": "formbricks", "response_id": f"r{n}", "customer_id": who, "nps_score": score,
            "survey_date": day - timedelta(days=ago), "identity_kind": "email", "identity_key": f"{who}@example.jp",
            "nps_segment": "promoter" if score > 8 else "detractor", "themes": ["price", "delivery"],
        }
        for n, (who, score, ago) in enumerate(answers)
    ]  # fmt: skip
    shop.write("nps_responses", table("nps_responses", *rows), [day])


def test_answers_go_first_and_own_their_fields(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=50)
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20])
        answered(shop, DAY, ("c1", 3, 9), ("c1", 10, 2))
        run(shop, DAY, crm)

        assert [dict(write.properties) for write in crm.batches[0]] == [
            {"nps_score": "10", "nps_segment": "promoter", "nps_themes": "delivery;price"}
        ], "the latest answer, themes in one order"
        assert all("nps_score" not in write.properties for write in crm.batches[1])
        assert {(row["stream"], row["customer_id"]) for row in shop.rows(crm_plan.PLAN, DAY)} == {
            ("nps", "c1"), ("scores", "c0"), ("scores", "c1"),
        }  # fmt: skip


def test_an_answer_that_stays_is_not_written_again(tmp_path: Path) -> None:
    crm = RecordingCrm()
    with open_shop(tmp_path) as shop:
        for day in (DAY, NEXT):
            judged(shop, day, [10])
            answered(shop, day, ("c0", 9, 2))
            run(shop, day, crm)

        assert [dict(write.properties).get("nps_score") for write in crm.writes] == ["9", None]


def test_a_batch_waits_for_the_lease_of_its_crm(tmp_path: Path) -> None:
    crm, done = RecordingCrm(), threading.Event()
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10])
        step = shop.step(DAY)
        shop.write(crm_plan.PLAN, crm_plan.crm_sync_plan(step, ["hubspot"]), [DAY])
        now = datetime.now(UTC)
        assert acquire_lease(shop.ledger, "crm:hubspot", holder="another", ttl=LEASE, now=now)

        def give_back() -> None:
            done.set()
            release_lease(shop.ledger, "crm:hubspot", holder="another")

        threading.Timer(0.3, give_back).start()
        crm_sync.apply_plan(step, [crm])

        assert done.is_set()
        assert len(crm.writes) == 1


def test_what_somebody_changed_in_the_crm_is_told_and_written_again_if_ours_wins(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=50)
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30])
        run(shop, DAY, crm)
        as_written = {write.customer_id: dict(write.properties) for write in crm.writes}
        crm.holds = {f"k-{who}": {**values, "customer_key": who} for who, values in as_written.items() if who != "c2"}
        crm.holds["k-c1"]["customer_score"] = "99"
        crm.batches.clear()
        step = shop.step(DAY)
        found = [(one.customer_id, one.field, one.ours, one.theirs) for one in compare(step, crm)]

        assert found == [("c1", "customer_score", "20", "99"), ("c2", "", "", "")]
        run(shop, DAY, crm)
        assert crm.writes == [], "it was only told"
        assert len(list(compare(step, crm, policy="ours"))) == 2
        run(shop, DAY, crm)
        written = {write.customer_id: (write.destination_id, write.properties) for write in crm.writes}
        assert written["c1"] == ("k-c1", {"customer_score": "20", "score_date": DAY.isoformat()})
        assert written["c2"] == (None, as_written["c2"]), "a record that is gone is looked for and made again"


def test_our_key_that_somebody_emptied_or_replaced_is_told_and_written_again_if_ours_wins(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=50)
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30])
        run(shop, DAY, crm)
        crm.holds = {f"k-{one.customer_id}": {**one.properties, "customer_key": one.customer_id} for one in crm.writes}
        crm.holds["k-c0"]["customer_key"] = ""
        crm.holds["k-c1"]["customer_key"] = "c9"
        scope = crm_plan.scopes(shop.step(DAY), "hubspot")[-1]
        emptied = read_receipts(shop.ledger, scope)["c2"]
        keep_receipts(shop.ledger, scope, [replace(emptied, acknowledged={**emptied.acknowledged, "churn_band": ""})])
        crm.holds["k-c2"]["churn_band"] = "high"
        step = shop.step(DAY)
        found = [(one.customer_id, one.field, one.ours, one.theirs) for one in compare(step, crm, policy="ours")]
        assert found == [
            ("c0", "customer_key", "c0", ""),
            ("c1", "customer_key", "c1", "c9"),
            ("c2", "churn_band", "", "high"),
        ]
        crm.batches.clear()
        run(shop, DAY, crm)

        assert {one.customer_id: (one.destination_id, dict(one.properties)) for one in crm.writes} == {
            "c0": ("k-c0", {"customer_key": "c0", "score_date": DAY.isoformat()}),
            "c1": ("k-c1", {"customer_key": "c1", "score_date": DAY.isoformat()}),
            "c2": ("k-c2", {"churn_band": "", "score_date": DAY.isoformat()}),
        }
        crm.batches.clear()
        run(shop, DAY, crm)
        assert crm.writes == []


def test_refused_rows_are_tried_again_when_a_person_says_so(tmp_path: Path) -> None:
    crm = RecordingCrm(refuses={"c1@example.jp"})
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20])
        run(shop, DAY, crm)
        crm.refuses.clear()
        crm.batches.clear()
        run(shop, DAY, crm)
        assert crm.writes == []
        assert reopen_refused(shop.ledger, "hubspot", error_code="OTHER") == 0
        assert reopen_refused(shop.ledger, "hubspot") == 1
        run(shop, DAY, crm)

        assert [write.customer_id for write in crm.writes] == ["c1"]
        assert set(statuses(shop, DAY).values()) == {"acknowledged"}
