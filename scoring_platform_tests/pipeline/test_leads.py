"""Lead scores from published facts: whose they are, what counts, what a range gives, what is said of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from scoring_platform.pipeline import leads
from scoring_platform.pipeline.explain import explanation, in_words
from scoring_platform.pipeline.step import span
from scoring_platform_tests.domain.tables import noon
from scoring_platform_tests.pipeline.scenario import RAW, START, Shop, bustle, open_shop

DAY = START + timedelta(days=20)
LEADS = """
report: {language: en}
leads:
  window_days: 15
  mql_threshold: 30
  intent:
    web: {half_life_days: 10, cap: 20, points: {web_sessions: 4}}
    email: {half_life_days: 10, cap: 20, points: {email_clicks: 5}}
    content:
      half_life_days: 10
      cap: 60
      points:
        event:webinar: 24
        event:form: 10
  fit:
    region: {values: {Tokyo: 1.5}, default: 1, unknown: 0.5}
    product_category: {values: {beans: 1.2}, default: 1, unknown: 1}
"""


def event(kind: str, age: int, **known: Any) -> dict[str, Any]:
    """A behaviour event so many days before ``DAY``."""
    day = DAY - timedelta(days=age)
    return {"kind": kind, "as_of": day, "occurred_at": noon(day), **known}


def fill(shop: Shop) -> None:
    """A buyer and prospects, each with something to be told apart by."""
    shop.order("buyer", START, email="buyer@example.jp")
    shop.add("raw_events", event("webinar", 0, email="buyer@example.jp"))
    for name, region in (("keen", "Tokyo"), ("later", None)):
        account = {"customer_ref": name, "email": f"{name}@example.jp", "region": region, "as_of": START}
        shop.add("raw_customers", account)
    beans = json.dumps({"category": "beans"})
    shop.add(
        "raw_events",
        event("webinar", 10, email="keen@example.jp", properties=beans),
        event("form", 0, customer_ref="keen"),
        event("brochure", 0, customer_ref="keen"),
        event("form", 15, customer_ref="keen"),
        event("form", 0, email="later@example.jp"),
        event("webinar", 0, email="stranger@example.jp"),
        event("webinar", -1, email="later@example.jp"),
    )
    shop.add("raw_email_events", {"email": "keen@example.jp", "kind": "click", "as_of": DAY})
    for ref in ("keen", "later"):
        shop.add("raw_web_activity", {"customer_ref": ref, "client_id": ref, "sessions": 3, "as_of": DAY})
    consent = {"channel": "web", "purpose": "tracking", "status": "granted", "as_of": START, "occurred_at": noon(START)}
    shop.add("raw_consents", {"subject": "keen", **consent})


@contextmanager
def lake_of(shop: Shop, root: Path, more: str = LEADS, *, without: Collection[str] = ()) -> Iterator[Shop]:
    """Give what ``shop`` has published under another configuration."""
    with open_shop(root, more, tables=[name for name in RAW if name not in without]) as opened:
        shutil.copytree(shop.settings.lake_root, opened.settings.lake_root, symlinks=True)
        yield opened


def lead_rows(shop: Shop, day: date) -> list[dict[str, Any]]:
    """Lead scores of one day, computed alone."""
    step = shop.step(day)
    rows = leads.lead_scores(step, step.read("customer_profiles", [day])).to_pyarrow().to_pylist()
    return sorted(rows, key=lambda row: str(row["customer_id"]))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose day is published."""
    with open_shop(tmp_path_factory.mktemp("leads"), LEADS) as opened:
        fill(opened)
        opened.publish(DAY)
        opened.publish_states([DAY])
        opened.compute(DAY)
        yield opened


def scores(shop: Shop) -> dict[str, tuple[int | None, bool | None]]:
    known = {row["customer_id"]: str(row["email"]) for row in shop.rows("customer_profiles", DAY)}
    rows = shop.rows("customer_scores", DAY)
    return {known[row["customer_id"]].split("@")[0]: (row["lead_score"], row["mql"]) for row in rows}


def said(shop: Shop, name: str) -> str:
    return in_words(explanation(shop.engine, shop.settings, f"{name}@example.jp", day=DAY), shop.settings)


def test_prospects_have_a_score_and_buyers_have_none(shop: Shop) -> None:
    assert scores(shop) == {
        "keen": (70, True),  # (12 visits + 5 mail + 12 + 10 content) · 1.5 · 1.2
        "later": (5, False),  # no consent to tracking; 10 · 0.5
        "stranger": (12, False),
        "buyer": (None, None),
    }


def test_the_model_row_has_what_is_configured(shop: Shop) -> None:
    rows = {row["model"]: row for row in shop.rows("score_models", DAY)}
    lead = rows["lead"]

    assert lead["version"] == rows["rfm_cutoffs"]["version"]
    assert json.loads(lead["parameters"]) == shop.settings.config.leads.model_dump(mode="json")
    assert (lead["rung"], lead["sample_size"]) == ("configured", 0)
    assert lead["reason"] == "points, caps and factors as configured; nothing is fitted"


def test_signals_without_a_source_give_nothing_and_the_model_row_names_them(tmp_path: Path, shop: Shop) -> None:
    with lake_of(shop, tmp_path, without={"raw_events"}) as opened:
        scored = lead_rows(opened, DAY)
        reason = leads.model_row(opened.settings)["reason"]
        assert "   0.00  Content (at most 60): no source\n" in said(opened, "keen")

    # (12 visits + 5 mail) · 1.5 of the one who did more than fill in forms; nobody knows the category.
    assert sorted(one["lead_score"] for one in scored) == [0, 0, 26]
    assert reason.endswith("; without a source: event:form (raw_events), event:webinar (raw_events)")


def test_without_any_source_nobody_has_a_score_and_both_places_say_why(tmp_path: Path, shop: Shop) -> None:
    with lake_of(shop, tmp_path, without={"raw_events", "raw_email_events", "raw_web_activity"}) as opened:
        scored = lead_rows(opened, DAY)
        row = leads.model_row(opened.settings)
        words = said(opened, "keen")

    assert {(one["lead_score"], one["mql"]) for one in scored} == {(None, None)}
    assert row["rung"] is None
    assert row["reason"].startswith("no signal has a source, so nobody has a lead score: email_clicks, event:form")
    assert "Lead score: 70 / 100 — an MQL\n  by facts and rules of now: — no signal has a source\n" in words


def test_a_range_gives_the_lead_scores_of_its_single_days(tmp_path: Path) -> None:
    days = span(DAY - timedelta(days=2), DAY)
    with open_shop(tmp_path, LEADS) as opened:
        bustle(opened, seed=5, people=25, last=DAY)
        chance = Random(7)
        for _ in range(80):
            known = {"email": f"p{chance.randint(0, 24)}@example.jp", "client_id": f"d{chance.randint(0, 24)}"}
            given = dict(chance.sample(sorted(known.items()), chance.choice([1, 1, 1, 2])))
            opened.add("raw_events", event(chance.choice(["form", "webinar"]), chance.randint(0, 20), **given))
        opened.publish(DAY)
        opened.publish_states(days)
        opened.compute(*days)
        at_once = opened.rows("customer_scores", *days)
        alone = [row for day in days for row in lead_rows(opened, day)]

    scored = [row for row in at_once if row["lead_score"] is not None]
    assert alone == [{name: row[name] for name in ("as_of", "customer_id", "lead_score", "mql")} for row in scored]
    assert len({row["lead_score"] for row in scored}) > 4, "with few different scores the comparison proves little"


def test_the_explanation_has_the_evidence_the_factors_and_the_verdict(shop: Shop) -> None:
    lines = said(shop, "keen").splitlines()
    first = lines.index("Lead score: 70 / 100 — an MQL (from 30)")

    assert lines[first + 1 : first + 6] == [
        f"   12.00  Web (at most 20): sessions 3 (last on {DAY})",
        f"    5.00  E-mail (at most 20): clicks 1 (last on {DAY})",
        f"   22.00  Content (at most 60): form 1 (last on {DAY}), webinar 1 (last on {DAY - timedelta(days=10)})",
        "  × 1.50  region: Tokyo",
        "  × 1.20  product category: beans",
    ]
    later = said(shop, "later")
    assert "Lead score: 5 / 100 — not an MQL (from 30)" in later
    assert "Web (at most 20): nothing in 15 days" in later
    assert "  × 0.50  region: unknown" in later
    assert "Lead score" not in said(shop, "buyer")


def test_the_explanation_speaks_japanese_and_says_when_the_published_score_is_another(
    tmp_path: Path, shop: Shop
) -> None:
    changed = LEADS.replace("language: en", "language: ja").replace("mql_threshold: 30", "mql_threshold: 80")
    changed = changed.replace("Tokyo: 1.5", "Tokyo: 2")
    with lake_of(shop, tmp_path, changed) as opened:
        words = said(opened, "keen")

    assert "リードスコア: 70 / 100 — MQL です\n  現在の事実と設定では: 94 / 100 — MQL です（80 以上で MQL）\n" in words
    assert f"ウェブ（上限 20）: 訪問 3（最終 {DAY}）" in words
    assert "  × 2.00  地域: Tokyo" in words
