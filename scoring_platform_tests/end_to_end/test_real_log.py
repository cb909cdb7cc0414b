"""The job on a real sales log, with nothing but the configuration of docs/examples."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scoring_platform_tests.end_to_end.platform import REPOSITORY, Platform

LOG = REPOSITORY.parent / "shared" / "data" / "cdnow" / "cdnow_master.csv.gz"
EXAMPLE = REPOSITORY / "docs" / "examples" / "cdnow.yaml"
CUSTOMERS = 23_570

pytestmark = [
    pytest.mark.needs_shared,
    pytest.mark.skipif(not LOG.exists(), reason="needs ../shared/data/cdnow"),
]

MEASURES = """
SELECT customer_id::VARCHAR AS ref, CAST($1 AS DATE) - max(date)::DATE AS recency_days,
    count(DISTINCT date) FILTER (date::DATE > CAST($1 AS DATE) - 365) AS frequency,
    coalesce(sum(dollar_value::DECIMAL(18, 4)) FILTER (date::DATE > CAST($1 AS DATE) - 365), 0) AS monetary
FROM read_csv($2) WHERE date::DATE <= CAST($1 AS DATE) GROUP BY 1
"""


@pytest.fixture
def cdnow(tmp_path: Path) -> Platform:
    return Platform(tmp_path / "home", EXAMPLE)


def scored(platform: Platform, day: date) -> dict[str, tuple[Any, ...]]:
    """RFM by the shop's customer id."""
    refs = {
        row["customer_id"]: row["id_value"]
        for row in platform.rows("customer_identities", day)
        if row["id_kind"] == "customer_ref"
    }
    rows = platform.rows("customer_scores", day)
    return {refs[row["customer_id"]]: (row["recency_days"], row["frequency"], row["monetary"]) for row in rows}


def counted_by_hand(day: date) -> dict[str, tuple[Any, ...]]:
    """The same straight from the file."""
    with duckdb.connect() as connection:
        rows = connection.execute(MEASURES, [str(day), str(LOG)]).fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


@pytest.mark.parametrize("day", [date(1997, 9, 30), pytest.param(date(1998, 6, 30), marks=pytest.mark.drill)], ids=str)
def test_every_customer_of_the_log_is_scored_as_counted_by_hand(cdnow: Platform, day: date) -> None:
    done = cdnow.command("run", "--date", str(day))

    assert done.code == 0, done.said
    assert done.err == ""
    found = scored(cdnow, day)
    assert len(found) == CUSTOMERS
    assert found == counted_by_hand(day)
    assert len(cdnow.rows("customer_segments", day)) == CUSTOMERS
    assert (cdnow.settings.reports_root / str(day) / "index.html").stat().st_size > 20_000
