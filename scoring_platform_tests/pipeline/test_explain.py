"""Explanations: a customer found by any name, in words that hold the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from scoring_platform.errors import ConfigurationError
from scoring_platform.pipeline.changes import score_changes
from scoring_platform.pipeline.explain import explanation, in_words
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

DAY = START + timedelta(days=3)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with one buyer and one who only asked something."""
    with open_shop(tmp_path_factory.mktemp("shop"), "report: {language: en}") as opened:
        opened.order("R1", START, 1200, email="buyer@example.jp")
        opened.add("raw_support_tickets", {"email": "asks@example.jp", "satisfaction": "bad", "as_of": DAY})
        opened.add("raw_events", {"customer_ref": "R1", "client_id": "GA1.2.345", "as_of": DAY})
        opened.add("raw_crm_contacts", {"crm_id": "K-77", "email": "buyer@example.jp", "as_of": DAY})
        for n in range(11):
            opened.order(f"m{n}", START, email="info@example.jp")
        opened.publish(DAY)
        opened.publish_states([DAY])
        opened.compute(DAY)
        opened.write("score_changes", score_changes(opened.step(DAY)), [DAY])
        yield opened


@pytest.mark.parametrize("name", ["buyer@example.jp", " ＢＵＹＥＲ@Example.jp", "R1 "])
def test_a_customer_is_found_by_any_name(shop: Shop, name: str) -> None:
    found = explanation(shop.engine, shop.settings, name, day=DAY)

    assert found == explanation(shop.engine, shop.settings, found["customer_id"], day=DAY)
    assert found["segment"] == "new"
    assert sum(found["parts"].values()) == found["total_score"] * 100


def test_the_words_hold_the_evidence(shop: Shop) -> None:
    words = in_words(explanation(shop.engine, shop.settings, "asks@example.jp", day=DAY), shop.settings)

    assert "Segment: Prospect (prospect) — since 2026-03-23" in words
    assert "Support: 1 tickets, 1 rated bad in 90 days" in words
    assert "Recency: no purchase, band —" in words
    assert "email a***@***.jp (" in words
    assert "asks@example.jp" not in words


def test_the_words_say_why_the_total_moved_and_what_is_expected(shop: Shop) -> None:
    found = explanation(shop.engine, shop.settings, "R1", day=DAY)
    words = in_words(found, shop.settings)

    changes = found["changes"]
    assert f"Since the day before: {changes['total_before'] / 100:.2f} → {found['total_score']}" in words
    assert "the chance of no purchase in the next 90 days" in words
    assert f"by {found['forecast']['clv_rung']}; next order expected by" in words
    prospect = explanation(shop.engine, shop.settings, "asks@example.jp", day=DAY)
    told = in_words(prospect, shop.settings)
    assert f"{prospect['changes']['first_seen'] / 100:+7.2f}  first appearance" in told
    assert "Churn risk" not in told


def test_addresses_and_devices_are_masked_and_what_systems_number_is_not(shop: Shop) -> None:
    found = explanation(shop.engine, shop.settings, "R1", day=DAY)

    assert {(one["id_kind"], one["id_value"]) for one in found["identifiers"]} == {
        ("customer_ref", "R1"), ("crm_id", "K-77"), ("email", "b***@***.jp"), ("client_id", "***"),
    }  # fmt: skip
    assert {one["set_aside"] for one in found["identifiers"]} == {None}


def test_an_account_named_by_an_address_is_masked_too(tmp_path: Path) -> None:
    with open_shop(tmp_path) as opened:
        opened.order("buyer@example.jp", START)
        opened.publish(START)
        opened.publish_states([START])
        opened.compute(START)
        found = explanation(opened.engine, opened.settings, "buyer@example.jp", day=START)

    assert [one["id_value"] for one in found["identifiers"]] == ["b***@***.jp"]


@pytest.mark.parametrize("name", ["info@example.jp", " ＩＮＦＯ@example.jp"])
def test_what_many_share_is_said_to_be_set_aside_with_the_reason(shop: Shop, name: str) -> None:
    with pytest.raises(ConfigurationError, match="belongs to nobody on 2026-03-23: seen with 11") as error:
        explanation(shop.engine, shop.settings, name, day=DAY)

    assert str(error.value).endswith("List them with: scoring-platform identity shared")
    assert "info" not in str(error.value).lower()


def test_an_identifier_of_a_crowd_is_somebodys_and_says_that_it_links_nobody(tmp_path: Path) -> None:
    with open_shop(tmp_path, "report: {language: en}\nidentity: {group_limit: 10}") as opened:
        for n in range(11):
            opened.order(f"r{n}", START, email=f"p{n}@example.jp")
            opened.order(f"r{n}", START, email=f"p{n + 1}@example.jp")
        opened.publish(START)
        opened.publish_states([START])
        opened.compute(START)
        words = in_words(explanation(opened.engine, opened.settings, "r3", day=START), opened.settings)

    (line,) = [line for line in words.splitlines() if "customer_ref" in line]
    assert "r3" in line
    assert line.endswith("more than identity.group_limit (10); scoring-platform identity shared")


def test_nobody_is_an_error_that_does_not_repeat_the_name(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="nobody is known") as error:
        explanation(shop.engine, shop.settings, "stranger@example.jp", day=DAY)

    assert "stranger" not in str(error.value)
