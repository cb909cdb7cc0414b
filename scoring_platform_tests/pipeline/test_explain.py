from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from scoring_platform.errors import ConfigurationError
from scoring_platform.pipeline.explain import explanation, in_words
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

DAY = START + timedelta(days=3)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with one buyer and one who only asked something."""
    with open_shop(tmp_path_factory.mktemp("shop"), "report: {language: en}") as opened:
        opened.order("R1", START, 1200, email="buyer@example.jp")
        opened.add("raw_support_tickets", {"email": "asks@example.jp", "satisfaction": "bad", "as_of": DAY})
        opened.publish(DAY)
        opened.publish_states([DAY])
        opened.compute(DAY)
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


def test_nobody_is_an_error_that_does_not_repeat_the_name(shop: Shop) -> None:
    with pytest.raises(ConfigurationError, match="nobody is known") as error:
        explanation(shop.engine, shop.settings, "stranger@example.jp", day=DAY)

    assert "stranger" not in str(error.value)
