"""Looking ahead from the command line: ``preview``.

Belongs here: opening what is only read, and the result as JSON. Does not belong here: the comparison
(``pipeline.preview``), its words (``preview_words``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import duckdb

from scoring_platform.cli.context import DAY
from scoring_platform.cli.plain import plain
from scoring_platform.cli.preview_words import in_words
from scoring_platform.config.load import LoadedConfig, load_config
from scoring_platform.domain.moves import Cause
from scoring_platform.errors import ConfigurationError
from scoring_platform.lake.engine import DuckDBEngine, connection_config
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.untouched import copy_of_models
from scoring_platform.pipeline import preview as pipeline
from scoring_platform.pipeline.preview import Effect, Mover, Pair, Preview
from scoring_platform.pipeline.sides import StillLake
from scoring_platform.settings import Settings, load_settings

_MOST_SPANS = 5


@click.command(short_help="Show what a changed configuration would do.")
@click.option(
    "--config", "path", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The changed scoring.yaml."
)
@click.option("--date", "day", type=DAY, help="Day to look at; by default the latest.")
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="Customers told one by one.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every customer who moves.")
def preview(path: Path, day: date | None, *, top: int, as_json: bool) -> None:
    """Show a published day under FILE beside the same day under the configuration in force; write nothing.

    Says which settings differ, customers per segment on both sides, who moves and why, and what becomes of total
    scores, churn bands and CLV.
    """
    settings = load_settings()
    other = load_config(path.expanduser().resolve())
    lake = StillLake(Lake(settings.lake_root))
    found = _computed(settings, other, lake, day=_published(lake, day), most=None if as_json else top)
    said = json.dumps(as_plain(found), ensure_ascii=False, indent=2, default=str) if as_json else None
    click.echo(plain(said or in_words(found, settings.loaded, other), lines=True))


def _computed(settings: Settings, other: LoadedConfig, lake: Lake, *, day: date, most: int | None) -> Preview:
    limits = settings.config.engine
    # The home is only read: what does not fit into memory goes where temporary files go.
    with TemporaryDirectory(prefix="scoring-preview-") as spill:
        options = connection_config(Path(spill), threads=limits.threads, memory_limit=limits.memory_limit)
        with duckdb.connect(":memory:", config=options) as connection, copy_of_models(settings.ledger_url) as models:
            return pipeline.preview(DuckDBEngine(connection, lake), settings, other, day=day, models=models, most=most)


def _published(lake: Lake, day: date | None) -> date:
    days = lake.days("customer_segments")
    if not days:
        msg = "no scores are published for any day; make them with: scoring-platform run"
        raise ConfigurationError(msg)
    if day is None or day in days:
        return day or days[-1]
    command = f"scoring-platform run --date {day}"
    msg = f"no scores are published for {day}; published: {_spans(days)}. Make them with: {command}"
    raise ConfigurationError(msg)


def _spans(days: Sequence[date]) -> str:
    """Return days as spans, the latest last."""
    spans: list[list[date]] = []
    for one in days:
        if spans and one - spans[-1][-1] == timedelta(days=1):
            spans[-1].append(one)
        else:
            spans.append([one])
    words = [f"{span[0]} to {span[-1]}" if span[1:] else f"{span[0]}" for span in spans]
    return ", ".join(["…", *words[-_MOST_SPANS:]] if words[_MOST_SPANS:] else words)


def as_plain(found: Preview) -> dict[str, Any]:
    """Return a preview as JSON is made of it: one shape, whether anything differs or not."""
    return {
        "day": found.day,
        "config_version": asdict(found.config_version),
        "settings": [asdict(one) for one in found.settings],
        "left_out": list(found.left_out),
        "effect": None if found.effect is None else _effect(found.effect),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "published": asdict(effect.published),
        "model_version": asdict(effect.model_version),
        "cut_offs": _pairs(effect.cut_offs),
        "customers": effect.customers,
        "segments": _pairs(effect.segments),
        "moves": [asdict(move) for move in effect.moves],
        "mean_total": asdict(effect.mean_total),
        "changed_by_points": {f"{points}": count for points, count in effect.changed.items()},
        "churn_bands": _pairs(effect.churn_bands),
        "clv_12m": asdict(effect.clv_12m),
        "mean_lead_score": asdict(effect.mean_lead_score),
        "mqls": asdict(effect.mqls),
        "movers": [_mover(mover) for mover in effect.movers],
    }


def _pairs(pairs: Mapping[str, Pair]) -> dict[str, dict[str, Any]]:
    return {name: asdict(pair) for name, pair in pairs.items()}


def _mover(mover: Mover) -> dict[str, Any]:
    return {
        "customer_id": mover.customer_id,
        "email": mover.email,
        "from_segment": mover.from_segment,
        "to_segment": mover.to_segment,
        "value_at_stake": mover.value_at_stake,
        "total": asdict(mover.total),
        "parts": _pairs(mover.parts),
        "measures": _pairs(mover.measures),
        "causes": [_cause(cause) for cause in mover.causes],
    }


def _cause(cause: Cause) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": cause.kind, "segment": cause.segment, "holds": cause.holds}
    if cause.measure is None:
        return said
    ranges = [
        None if one is None else one.model_dump(exclude_none=True) for one in (cause.range_before, cause.range_after)
    ]
    return {
        **said,
        "to": cause.to,
        "measure": cause.measure,
        "value": {"before": cause.value_before, "after": cause.value_after},
        "range": {"before": ranges[0], "after": ranges[1]},
    }
