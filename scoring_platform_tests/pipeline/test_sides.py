"""A lake that stands still between two computations."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from scoring_platform.pipeline.sides import StillLake
from scoring_platform_tests.pipeline.scenario import START, open_shop

DAY, NEXT = START, START + timedelta(days=1)


def test_what_is_published_meanwhile_does_not_come_between_two_computations(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        lake = StillLake(shop.engine.lake)
        shop.add("raw_customers", {"customer_ref": "a", "as_of": DAY})
        shop.publish_states([DAY])
        seen = lake.version("raw_customers", DAY)
        assert lake.days("raw_customers") == [DAY]
        shop.add("raw_customers", {"customer_ref": "b", "as_of": DAY})
        shop.publish_states([DAY, NEXT])

        assert lake.version("raw_customers", DAY) == seen != shop.engine.lake.version("raw_customers", DAY)
        assert lake.days("raw_customers", first=DAY) == [DAY]
        assert lake.days("raw_customers", first=NEXT) == []
        assert shop.engine.lake.days("raw_customers", first=NEXT) == [NEXT]
