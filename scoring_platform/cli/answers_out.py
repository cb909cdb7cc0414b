"""Answers as text: CSV for a spreadsheet, or one JSON object to a line.

Belongs here: columns, and what a spreadsheet must not take for a formula. Does not belong here: which answers.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

import ibis.expr.types as ir

FORMATS = ("csv", "jsonl")
COLUMNS = (
    "source",
    "response_id",
    "survey_date",
    "nps_score",
    "nps_segment",
    "raw_text",
    "identity_kind",
    "identity_key",
    "customer_id",
    "dimensions",
    "revision",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_ROWS = 10_000


def write_answers(answers: ir.Table, file: TextIO, form: str) -> int:
    """Write ``answers`` to ``file`` by day and id, and return how many they were."""
    ordered = answers.select(*COLUMNS).order_by("survey_date", "source", "response_id")
    batches = ordered.to_pyarrow_batches(chunk_size=_ROWS)
    return _csv(_rows(batches), file) if form == "csv" else _write(_rows(batches), lambda row: file.write(_line(row)))


def guarded(value: Any) -> Any:
    """Return a value of a CSV that no spreadsheet runs: a text like a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _rows(batches: Any) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _csv(rows: Iterator[dict[str, Any]], file: TextIO) -> int:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    return _write(rows, lambda row: writer.writerow([guarded(row[name]) for name in COLUMNS]))


def _write(rows: Iterator[dict[str, Any]], each: Callable[[dict[str, Any]], object]) -> int:
    written = 0
    for row in rows:
        each(row)
        written += 1
    return written


def _line(row: Mapping[str, Any]) -> str:
    dimensions = json.loads(row["dimensions"] or "{}")
    return json.dumps({**row, "dimensions": dimensions}, ensure_ascii=False, default=str) + "\n"
