"""CDNOW as the literature prepares it: one purchase per customer and day, weeks, calibration to 1997-09-30."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from scoring_platform.fitting.histories import Floats

DATA = Path(__file__).parents[3] / "shared" / "data" / "cdnow"
SAMPLE = ("cdnow_sample.csv.gz", "sample_customer_id")
MASTER = ("cdnow_master.csv.gz", "customer_id")
END = "1997-09-30"


@dataclass(frozen=True)
class Cdnow:
    """One entry per customer, in the order of their ids.

    Attributes:
        customer: Id.
        x: Repeat purchase days.
        t_x: Weeks from the first purchase to the last.
        T: Weeks from the first purchase to the end of the calibration.
        mean: Mean value of the repeat purchase days; 0 without one.
        later: Purchase days in the 39 weeks after.
    """

    customer: list[str]
    x: Floats
    t_x: Floats
    T: Floats
    mean: Floats
    later: Floats


def cdnow(which: tuple[str, str]) -> Cdnow:
    """Read a file of CDNOW."""
    name, customer = which
    found = duckdb.sql(f"""
        WITH daily AS (SELECT {customer} AS id, date, sum(dollar_value) AS spent
                       FROM read_csv('{DATA / name}', types = {{'{customer}': 'VARCHAR'}}) GROUP BY ALL),
             known AS (SELECT *, min(date) OVER (PARTITION BY id) AS first, date <= DATE '{END}' AS before FROM daily)
        SELECT id, count(*) FILTER (before) - 1 AS x, (max(date) FILTER (before) - first) / 7.0 AS t_x,
               (DATE '{END}' - first) / 7.0 AS "T",
               coalesce(avg(spent) FILTER (before AND date > first), 0) AS mean, count(*) FILTER (NOT before) AS later
        FROM known GROUP BY id, first ORDER BY id
    """).fetchnumpy()
    columns = [np.asarray(found[name], dtype=np.float64) for name in ("x", "t_x", "T", "mean", "later")]
    return Cdnow(list(found["id"]), *columns)
