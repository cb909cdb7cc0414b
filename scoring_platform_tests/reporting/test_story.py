"""The three sentences, the figures and the things to look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from scoring_platform.reporting.data import CrmOutcome, Headline, Movement, NextCutOffs, Nps, ReportData, Sales
from scoring_platform.reporting.story import MAX_NOTICES, movement_direction, sentences, watch_list
from scoring_platform.reporting.tiles import Tile, tiles
from scoring_platform.reporting.words import Edition
from scoring_platform_tests.reporting.scenario import crowded, empty_day, first_day, no_sources, ordinary


def said(data: ReportData) -> tuple[str, str, str]:
    return sentences(Edition.of(data))


def tile(data: ReportData, key: str) -> Tile:
    return next(each for each in tiles(Edition.of(data)) if each.key == key)


def noticed(data: ReportData) -> list[str]:
    return [notice.text for notice in watch_list(Edition.of(data)).shown]


def test_three_sentences_tell_sales_score_and_movement_in_japanese() -> None:
    sales, score, movement = said(ordinary())
    assert sales == (
        "11月20日（金）の売上は¥1,234,567（注文128件）で、前日を23.5%上回りました。"
        "直近28日間では、その前の28日間を4.1%下回っています。"
    )
    assert score == "顧客数は2,400人、平均スコアは45.6点で、前日から0.2点上がりました。"
    assert movement == (
        "セグメントが変わった顧客は8人。上位への移動が3人、下位への移動が5人でした。"
        "下位へ移った顧客の年間購入額は、合わせて¥1,000,000です。"
    )


def test_three_sentences_tell_the_same_in_english() -> None:
    sales, score, movement = said(ordinary("en", "USD"))
    assert sales == (
        "Revenue on Friday, 20 November was $1,234,567.40 from 128 orders, 23.5% more than the day before. "
        "The last 28 days are 4.1% below the 28 before."
    )
    assert score == "There are 2,400 customers; the mean score rose by 0.2 to 45.6."
    assert movement == (
        "8 customers changed segment: 3 moved up, 5 moved down. "
        "Those who moved down spent $1,000,000.00 in the last year."
    )


def test_a_change_too_small_to_show_is_called_level_everywhere() -> None:
    data = ordinary("en")
    data = replace(
        data,
        headline=replace(data.headline, revenue=Decimal(1000100), mean_score=45.44),
        last_28d=Sales(Decimal(16000001), 2400),
    )
    sales, score, _ = said(data)
    assert "the same as the day before. The last 28 days are level" in sales
    assert score.endswith("stayed at 45.4.")
    change = tile(data, "revenue").change
    assert change is not None
    assert (change.text, change.arrow, change.tone) == ("±0.0%", "→", "neutral")


def test_the_change_of_the_score_is_the_difference_of_the_two_shown_scores() -> None:
    data = ordinary()
    data = replace(data, headline=replace(data.headline, mean_score=45.66), headline_before=_before(45.34))
    change = tile(data, "mean_score").change
    assert tile(data, "mean_score").text == "45.7点"
    assert change is not None
    assert change.text == "+0.4"


def _before(mean_score: float) -> Headline:
    return Headline(2394, 1433, Decimal(1), 130, mean_score, 0.05)


def test_gain_is_good_and_loss_is_bad_but_a_share_is_not_judged() -> None:
    changes = {each.key: each.change for each in tiles(Edition.of(ordinary()))}
    shown = {key: (change.text, change.arrow, change.tone) for key, change in changes.items() if change}
    assert shown == {
        "revenue": ("+23.5%", "↑", "good"),
        "orders": ("−2", "↓", "bad"),
        "revenue_28d": ("−4.1%", "↓", "bad"),
        "orders_28d": ("+20", "↑", "good"),
        "customers": ("+6", "↑", "good"),
        "buyers": ("−2", "↓", "bad"),
        "mean_score": ("+0.2", "↑", "good"),
        "anonymous": ("+0.8ポイント", "↑", "neutral"),
    }


def test_revenue_after_a_day_without_any_is_compared_in_money() -> None:
    data = ordinary()
    data = replace(data, headline_before=Headline(1, 1, Decimal(0), 0, 45.0, None))
    change = tile(data, "revenue").change
    assert change is not None
    assert change.text == "+¥1,234,567"
    assert said(data)[0].startswith("11月20日（金）の売上は¥1,234,567、注文は128件でした。")


def test_a_first_day_compares_nothing() -> None:
    assert all(each.present and each.change is None for each in tiles(Edition.of(first_day())))
    sales, score, movement = said(first_day())
    assert sales == "11月20日（金）の売上は¥1,234,567、注文は128件でした。"
    assert score == "顧客数は2,400人、平均スコアは45.6点です。"
    assert movement.startswith("初回の集計のため")


def test_an_empty_day_is_zero_where_a_source_exists_and_nothing_to_count_where_a_mean_is_asked() -> None:
    assert tile(empty_day("en"), "revenue").text == "¥0"
    assert tile(empty_day("en"), "mean_score").text == "None to count"
    assert tile(empty_day("en"), "anonymous").text == "None to count"
    assert said(empty_day("en"))[1:] == ("There are no customers to score yet.", "Nobody changed segment.")


def test_without_a_source_of_orders_no_figure_of_sales_is_a_number() -> None:
    absent = [each.key for each in tiles(Edition.of(no_sources("en"))) if not each.present]
    assert absent == ["revenue", "orders", "revenue_28d", "orders_28d", "buyers", "anonymous"]
    assert {tile(no_sources("en"), key).text for key in absent} == {"No source"}
    assert said(no_sources("en"))[0] == "No source of orders is configured, so revenue is not reported."


def test_a_movement_towards_the_front_of_the_segment_list_is_up() -> None:
    data = ordinary()
    assert movement_direction(data, Movement("prospect", "loyal", 1, Decimal(0))) == 1
    assert movement_direction(data, Movement("vip", "loyal", 1, Decimal(0))) == -1
    assert movement_direction(data, Movement("retired_code", "loyal", 1, Decimal(0))) == 0


def test_the_most_urgent_comes_first_and_the_costliest_loss_is_named() -> None:
    watch = watch_list(Edition.of(ordinary()))
    assert [notice.level for notice in watch.shown] == ["bad", "warn", "warn", "warn", "good"]
    assert "「VIP」から「アットリスク」へ1人" in watch.shown[1].text
    assert "¥876,000" in watch.shown[1].text
    assert watch.left_out == 0


def test_problems_past_the_limit_are_counted_not_forgotten() -> None:
    watch = watch_list(Edition.of(crowded()))
    assert len(watch.shown) == MAX_NOTICES
    # 8 failing CRMs, 60 tables with rows set aside, one loss and one gain.
    assert watch.left_out == 8 + 60 + 2 - MAX_NOTICES


def test_falling_revenue_unknown_buyers_and_a_negative_nps_are_pointed_out_from_their_thresholds_on() -> None:
    data = replace(ordinary("en"), crm=(), quality=(), movements=())
    assert noticed(data) == []
    data = replace(
        data,
        last_28d=Sales(Decimal(90), 9),
        previous_28d=Sales(Decimal(100), 10),
        headline=replace(data.headline, anonymous_share=0.2),
        nps=Nps(5, 15, 10),
    )
    assert noticed(data) == [
        "Revenue of the last 28 days is 10.0% below the 28 before.",
        "20.0% of the orders cannot be tied to a customer. Check how guests and accounts are linked.",
        "NPS of the last 90 days is −16.7: 10 detractors against 5 promoters.",
    ]
    assert len(noticed(replace(data, nps=Nps(5, 14, 10)))) == 2


def test_an_inert_day_says_why_the_crm_was_left_alone() -> None:
    data = replace(ordinary(), crm=(CrmOutcome("hubspot", 9, 0, inert_reason="not_newest"),), movements=())
    assert "hubspotへの反映は行っていません：過去日の集計のため" in noticed(data)


def test_new_cut_offs_are_announced_the_day_before() -> None:
    coming = NextCutOffs(date(2026, 12, 1), buyers=1431, recency=210, frequency=32, monetary=1)
    told = {language: noticed(replace(ordinary(language), next_cut_offs=coming, crm=())) for language in ("ja", "en")}

    assert any("購入者1,431人" in text and "最終購入日210人" in text for text in told["ja"])
    assert any("Of 1,431 buyers move: 210 in R, 32 in F, 1 in M" in text for text in told["en"])
