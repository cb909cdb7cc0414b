"""How a sync goes when a CRM does not: each by itself, what waits says why, and what was refused stays in view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from scoring_platform.config.crm import Brakes
from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite, WriteStatus
from scoring_platform.errors import ConfigurationError, CredentialError, PermanentError, TransientError
from scoring_platform.ledger.receipts import Scope, keep_receipts, read_receipts, reopen_refused
from scoring_platform.pipeline import brakes, crm_plan, crm_sync
from scoring_platform.pipeline.crm_course import Course
from scoring_platform.pipeline.crm_standing import Standing, standing
from scoring_platform.pipeline.crm_sync import Applied
from scoring_platform.settings import load_settings
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.pipeline.scenario import RecordingCrm, Shop, open_shop
from scoring_platform_tests.pipeline.test_crm_sync import DAY, NEXT, judged, operations, run, statuses

SCORES = Scope("hubspot", "scores")
PEOPLE = 30


@dataclass
class Answering(RecordingCrm):
    """A CRM that answers some customers otherwise."""

    says: dict[str, CrmReceipt] = field(default_factory=dict)

    def _receipt(self, one: CrmWrite) -> CrmReceipt:
        said = self.says.get(one.customer_id)
        return replace(said, customer_id=one.customer_id) if said else super()._receipt(one)


def say(status: WriteStatus, *who: int, text: str = "busy") -> dict[str, CrmReceipt]:
    return {f"c{number}": CrmReceipt("", status, error_code="CODE", error_text=text) for number in who}


def configured(shop: Shop, *crms: str, more: str = "") -> None:
    """Let the shop write to these CRMs from now on."""
    path = shop.settings.loaded.path.with_name("+".join(crms) + ".yaml")
    sections = ", ".join(f"{crm}: {{endpoint: sandbox{more}}}" for crm in crms)
    text = shop.settings.loaded.path.read_text(encoding="utf-8").splitlines()
    lines = [f"destinations: {{{sections}}}" if line.startswith("destinations:") else line for line in text]
    path.write_text("\n".join(lines), encoding="utf-8")
    shop.settings = load_settings({}, home=shop.settings.home, config_path=path)


def sync(
    shop: Shop,
    *crms: RecordingCrm,
    day: object = DAY,
    ready: Callable[[object], None] | None = None,
    released: tuple[str, ...] = (),
) -> tuple[Applied, Standing]:
    """Plan and sync a day, as the two assets do."""
    step = shop.step(day)  # type: ignore[arg-type]
    shop.write(crm_plan.PLAN, crm_plan.crm_sync_plan(step, shop.settings.crms), [step.last])
    applied = crm_sync.apply_plan(step, list(crms), ready=ready, released=released)
    rows = crm_sync.crm_sync(step, applied.held)
    stands = standing(step, rows)
    shop.write(crm_sync.SYNC, rows, [step.last])
    return applied, stands


def test_what_a_crm_was_told_stays_when_it_is_configured_no_more(tmp_path: Path) -> None:
    crm = RecordingCrm(refuses={"c1@example.jp"})
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30])
        run(shop, DAY, crm)
        before = shop.rows(crm_sync.SYNC, DAY)
        configured(shop, "pipedrive")
        other = RecordingCrm(name="pipedrive")
        for _ in range(2):
            sync(shop, other)

        rows = shop.rows(crm_sync.SYNC, DAY)
        assert [row for row in rows if row["crm"] == "hubspot"] == before
        assert Counter(row["status"] for row in rows if row["crm"] == "pipedrive") == {"acknowledged": 3}
        configured(shop, "hubspot")
        crm.batches.clear()
        sync(shop, crm)
        assert crm.writes == [], "back again, it is told nothing twice"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransientError("hubspot: 503"), "TransientError"),
        (CredentialError("hubspot: the token was refused"), "CredentialError"),
        (PermanentError("hubspot: nothing was written, because a field is missing"), "PermanentError"),
        (ConfigurationError("SCORING_HUBSPOT_TOKEN is not set"), "ConfigurationError"),
    ],
)
def test_a_crm_that_cannot_be_written_to_stops_no_other(tmp_path: Path, error: Exception, code: str) -> None:
    def ready(one: object) -> None:
        if one is broken:
            raise error

    broken, well = RecordingCrm(), RecordingCrm(name="pipedrive")
    with open_shop(tmp_path) as shop:
        configured(shop, "hubspot", "pipedrive")
        judged(shop, DAY, [10, 20])
        applied, stands = sync(shop, broken, well, ready=ready)

        assert (len(broken.writes), len(well.writes)) == (0, 2)
        rows = {(row["crm"], row["status"], row["error_code"]) for row in shop.rows(crm_sync.SYNC, DAY)}
        assert rows == {("hubspot", "held", code), ("pipedrive", "acknowledged", None)}
        assert str(error) in applied.stopped
        assert (stands.lost, stands.failed) == (["hubspot"], {"held": 2})
        (left,) = stands.unwritten
        assert (left.crm, left.rows, left.code) == ("hubspot", 2, code)
        assert left.words.startswith("hubspot: 2 rows were not written")
        assert "scoring-platform crm sync" in left.words


def test_a_crm_that_breaks_off_midway_is_not_lost_and_says_what_is_left(tmp_path: Path) -> None:
    crm = RecordingCrm(breaks_after=1, error=CredentialError("hubspot: the token was revoked"))
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30, 40, 50])
        _, stands = sync(shop, crm)

        assert (stands.lost, stands.failed) == ([], {"held": 2})
        assert [left.rows for left in stands.unwritten] == [2]


def test_who_is_not_in_the_crm_is_no_refusal_and_is_looked_for_once_a_day(tmp_path: Path) -> None:
    crm = Answering(batch_size=50, says=say("absent", *range(25)))
    with open_shop(tmp_path, "crm: {brakes: {canary: 20}}") as shop:
        configured(shop, "hubspot", more=", mode: update_only")
        judged(shop, DAY, [10] * PEOPLE)
        assert operations(shop, DAY) == {}
        applied, stands = sync(shop, crm)
        assert operations(shop, DAY) == {"find": PEOPLE}, "nobody has looked for them yet"
        assert (applied.counts, applied.held, stands.failed) == ({"absent": 25, "acknowledged": 5}, {}, {})
        assert Counter(statuses(shop, DAY).values()) == {"absent": 25, "acknowledged": 5}

        crm.batches.clear()
        sync(shop, crm)
        assert crm.writes == [], "nothing changed on this day"
        judged(shop, DAY, [11 + 3 * (number == 0) for number in range(PEOPLE)])
        sync(shop, crm)
        assert {write.customer_id for write in crm.writes} >= {"c0"}, "another value is another question"

        crm.batches.clear()
        crm.says.pop("c7")
        judged(shop, NEXT, [11 + 3 * (number == 0) for number in range(PEOPLE)])
        assert crm_plan.crm_sync_plan(shop.step(NEXT), ["hubspot"]).count().to_pyarrow().as_py() == 25
        applied, stands = sync(shop, crm, day=NEXT)
        assert (applied.counts, applied.held, stands.failed) == ({"absent": 24, "acknowledged": 1}, {}, {})
        (found,) = (write for write in crm.writes if write.customer_id == "c7")
        assert found.properties["customer_score"] == "11", "who came since is written"


def test_a_record_that_left_the_crm_is_nothing_known_of(tmp_path: Path) -> None:
    crm = Answering(batch_size=50)
    with open_shop(tmp_path) as shop:
        configured(shop, "hubspot", more=", mode: update_only")
        judged(shop, DAY, [10])
        sync(shop, crm)
        crm.says = say("absent", 0)
        judged(shop, NEXT, [20])
        sync(shop, crm, day=NEXT)
        receipt = read_receipts(shop.ledger, SCORES)["c0"]
        assert (receipt.status, receipt.destination_id, receipt.acknowledged, receipt.attempt) == (
            "absent",
            None,
            {},
            0,
        )

        crm.says, crm.batches = {}, []
        later = NEXT + timedelta(days=1)
        judged(shop, later, [20])
        sync(shop, crm, day=later)
        assert {"customer_score", "customer_segment"} <= set(crm.writes[0].properties), "all of it is written again"


def test_who_is_looked_for_makes_no_day_unusual(tmp_path: Path) -> None:
    crm = Answering(batch_size=500, says=say("absent", *range(60, 400)))
    with open_shop(tmp_path) as shop:
        configured(shop, "hubspot", more=", mode: update_only")
        for number in range(6):
            day = DAY + timedelta(days=number)
            judged(shop, day, [10 + 3 * number * (who == number) for who in range(400)], reachable=400)
            applied, _ = sync(shop, crm, day=day)
            assert applied.held == {}, number


def test_refused_rows_count_every_day_until_they_are_mended(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=50, refuses={"c1@example.jp", "c2@example.jp"})
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20, 30])
        assert sync(shop, crm)[1].words == "2 dead"
        applied, again = sync(shop, crm)
        assert (applied.counts, again.words) == ({}, "2 dead")
        crm.refuses.add("c0@example.jp")
        judged(shop, NEXT, [15, 20, 30])
        assert sync(shop, crm, day=NEXT)[1].words == "3 dead (1 new)"

        later = NEXT + timedelta(days=1)
        crm.refuses.discard("c1@example.jp")
        judged(shop, later, [15, 25, 30])
        assert sync(shop, crm, day=later)[1].words == "2 dead (0 new)", "another value was taken"
        crm.refuses.clear()
        assert reopen_refused(shop.ledger, "hubspot") == 2
        assert sync(shop, crm, day=later)[1].failed == {}


def test_a_canary_that_gets_no_good_answer_stops_the_stream(tmp_path: Path) -> None:
    crm = Answering(batch_size=10, says=say("retry", *range(PEOPLE)))
    with open_shop(tmp_path, "crm: {brakes: {canary: 4}}") as shop:
        judged(shop, DAY, [10] * PEOPLE)
        applied, stands = sync(shop, crm)

        assert [len(batch) for batch in crm.batches] == [4]
        assert "nothing of the last 4 was acknowledged, 26 not sent: CODE: busy" in applied.stopped
        assert (stands.lost, stands.failed) == (["hubspot"], {"held": 26, "retry": 4})
        assert {row["error_code"] for row in shop.rows(crm_sync.SYNC, DAY)} == {"CODE", "NO_ANSWER"}
        crm.says = say("retry", *range(4))
        again, _ = sync(shop, crm)
        assert again.counts == {"acknowledged": 26, "retry": 4}, "the same rows do not keep the others waiting for ever"


def course(*, rows: int, first: bool = False, released: bool = False) -> Course:
    return Course(Brakes(reject_minimum=10, reject_share=0.5), rows, first=first, released=released)


def answers(**counts: int) -> list[CrmReceipt]:
    names: list[WriteStatus] = ["acknowledged", "retry", "dead", "unknown", "absent"]
    return [CrmReceipt("c", name, error_code="CODE") for name in names for _ in range(counts.get(name, 0))]


def test_two_batches_in_a_row_without_a_good_answer_stop_and_one_does_not() -> None:
    going = course(rows=100)
    assert going.after(answers(retry=5)) is None
    assert going.after(answers(retry=4, acknowledged=1)) is None
    assert going.after(answers(unknown=5)) is None
    held = going.after(answers(retry=5))
    assert held is not None
    assert (held.code, held.broken) == ("NO_ANSWER", True)


def test_a_canary_goes_on_when_something_was_taken_or_the_crm_said_why_not() -> None:
    assert course(rows=50, first=True).after(answers(retry=4, acknowledged=1)) is None
    assert course(rows=50, first=True).after(answers(absent=5)) is None
    assert course(rows=50, first=True).after(answers(dead=5)) is None, "refusals are the other brake's"
    assert course(rows=50, first=True).after(answers(dead=4, retry=1)) is not None
    assert course(rows=50, first=True, released=True).after(answers(retry=5)) is None
    assert course(rows=50).after(answers(retry=5)) is None


def test_refusals_stop_what_is_left_and_a_person_lets_it_through() -> None:
    held = course(rows=30).after(answers(dead=20))
    assert held is not None
    assert held.text.startswith("stopped after 20 rows, of which 20 were refused: CODE")
    assert not held.broken
    assert course(rows=20).after(answers(dead=20)) is None, "nothing was left to be stopped"
    assert course(rows=30, released=True).after(answers(dead=20)) is None
    assert brakes.rejected(Brakes(reject_minimum=10), sent=20, refused=20)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>@example.com", "a'or(1=1)--@example.com", "c0@example.jp"])
def test_the_address_of_a_row_is_not_kept_in_the_words_of_a_crm(tmp_path: Path, text: str) -> None:
    crm = Answering(says=say("dead", 0, text=f"Email {text.upper()} is invalid: &lt;{text}"))
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10])
        rows = shop.rows("customer_profiles", DAY)
        shop.write("customer_profiles", table("customer_profiles", *[{**row, "email": text} for row in rows]), [DAY])
        run(shop, DAY, crm)

        (row,) = shop.rows(crm_sync.SYNC, DAY)
        assert row["error_text"] == "Email …@… is invalid: &lt;…@…"


def test_another_field_of_our_key_is_a_change_for_everybody_known(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=500)
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10] * 60)
        sync(shop, crm)
        crm.batches.clear()
        configured(shop, "hubspot", more=", fields: {customer_key: our_key}")
        judged(shop, NEXT, [10] * 59 + [20] + [30])
        held, _ = sync(shop, crm, day=NEXT)
        assert crm.writes == []
        assert "our key of 60 of 60 customers would be written to another field than before" in held.stopped
        assert "destinations.hubspot.fields.customer_key" in held.stopped

        sync(shop, crm, day=NEXT, released=("scores",))
        written = {write.customer_id: dict(write.properties) for write in crm.writes}
        assert len(written) == 61
        assert written["c0"] == {"our_key": "c0", "score_date": NEXT.isoformat()}
        assert written["c59"] == {"our_key": "c59", "customer_score": "20", "score_date": NEXT.isoformat()}
        assert "our_key" not in written["c60"], "who is new gets it with the record"
        crm.batches.clear()
        sync(shop, crm, day=NEXT)
        later = NEXT + timedelta(days=1)
        judged(shop, later, [10] * 59 + [20] + [30])
        sync(shop, crm, day=later)
        assert crm.writes == [], "once is enough"


def test_a_receipt_from_before_keys_were_noted_causes_no_write(tmp_path: Path) -> None:
    crm = RecordingCrm(batch_size=500)
    with open_shop(tmp_path) as shop:
        judged(shop, DAY, [10, 20])
        sync(shop, crm)
        old = read_receipts(shop.ledger, SCORES)
        unnoted = [
            replace(one, acknowledged={name: text for name, text in one.acknowledged.items() if name != "customer_key"})
            for one in old.values()
        ]
        assert all(len(one.acknowledged) < len(old[one.customer_id].acknowledged) for one in unnoted)
        keep_receipts(shop.ledger, SCORES, unnoted)
        crm.batches.clear()
        judged(shop, NEXT, [10, 20])
        sync(shop, crm, day=NEXT)

        assert crm.writes == []
