"""Frozen model versions: made once per month and configuration, reused by every run after.

Belongs here: when a version is made, from which facts, and its rows of score_models. Does not belong here: the formulas
(``domain.rfm``), the keeping (``ledger.models``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.config.load import digest
from scoring_platform.config.scoring import PARTS, FixedCutoffs
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain import rfm
from scoring_platform.domain.measures import purchases
from scoring_platform.fitting.forecast import Forecast
from scoring_platform.ledger.models import ModelVersion, keep_version, newest_version, one_version
from scoring_platform.pipeline.fits import backtests_of, fit, rows_of
from scoring_platform.pipeline.leads import model_row
from scoring_platform.pipeline.step import Step

RFM_CUTOFFS, CHURN = "rfm_cutoffs", "churn"
_FITTED = "/fitted"
"""Added to the inputs of a version, under which its models are kept beside its cut-offs."""

_SOURCES_OF_PARTS = {
    "email": "raw_email_events",
    "web": "raw_web_activity",
    "support": "raw_support_tickets",
    "nps": "raw_nps_responses",
}
_MEASURES = ("recency_days", "frequency", "monetary")


def month_of(day: date) -> date:
    """Return the first day of the month of ``day``."""
    return day.replace(day=1)


def versions_for(step: Step, days: Iterable[date]) -> dict[date, ModelVersion]:
    """Return the version in force on each day of ``days``, making those that do not exist yet."""
    inputs = model_inputs(step)
    by_month: dict[date, ModelVersion] = {}
    wanted = sorted(set(days))
    for month in sorted({month_of(day) for day in wanted}):
        by_month[month] = newest_version(step.ledger, month, inputs) or _make(step, month, inputs)
    return {day: by_month[month_of(day)] for day in wanted}


def in_force(step: Step) -> str:
    """Name the versions in force on the run's days: a refit makes new ones, and no table it reads tells of that."""
    return " ".join(sorted({version_name(version) for version in versions_for(step, step.days).values()}))


def model_inputs(step: Step) -> str:
    """Return the hash of the configuration sections that models read."""
    config = step.config
    return digest(
        {
            "rfm": config.rfm.model_dump(mode="json"),
            "horizon_days": config.scoring.horizon_days,
            "sources": configured_parts(step),
        }
    )


def version_name(version: ModelVersion) -> str:
    """Return the name of a version: month, configuration, refit."""
    return f"{version.month:%Y-%m}-{version.inputs}-{version.refit}"


def version_named(step: Step, name: str) -> ModelVersion | None:
    """Return the version called ``name``; None when it is not kept."""
    month, rest = name[:7], name[8:]
    inputs, _, number = rest.rpartition("-")
    return one_version(step.ledger, date.fromisoformat(f"{month}-01"), inputs, int(number))


def score_models(step: Step) -> ir.Table:
    """The versions in force on the run's days, as rows of score_models."""
    versions = versions_for(step, step.days)
    rows = [
        {"as_of": day, "version": version_name(version), "fitted_for": version.month, **_without_limits(row)}
        for day, version in versions.items()
        for row in (*version.payload["models"], *_fitted(step, version).payload["models"], model_row(step.settings))
    ]
    kinds = {"as_of": "date", **dict(contract_of("score_models").schema.items())}
    return step.engine.materialise(ibis.memtable(rows, schema=ibis.schema(kinds)))


def cut_off_table(step: Step, days: Iterable[date]) -> ir.Table:
    """Return the limits per day with ``model_version``, as ``rfm.bands`` joins them."""
    return cut_offs_under(step, versions_for(step, days))


def cut_offs_under(step: Step, versions: Mapping[date, ModelVersion]) -> ir.Table:
    """Return the limits of given versions, as ``cut_off_table`` does."""
    limits = rfm.cut_off_table({day: cut_offs_of(version) for day, version in versions.items()})
    names = [{"as_of": day, "model_version": version_name(version)} for day, version in versions.items()]
    named = ibis.memtable(names, schema=ibis.schema({"as_of": "date", "model_version": "string"}))
    return step.engine.materialise(step.engine.materialise(limits).join(step.engine.materialise(named), "as_of"))


def cut_offs_of(version: ModelVersion) -> rfm.CutOffs:
    """Return the limits of a version."""
    given: Mapping[str, list[str]] = _row_of(version, RFM_CUTOFFS)["cut_offs"]
    return rfm.CutOffs(**{name: tuple(Decimal(value) for value in given[name]) for name in _MEASURES})  # type: ignore[arg-type]


def forecasts_for(step: Step, days: Sequence[date]) -> list[tuple[Forecast, list[date]]]:
    """Return what was fitted for forecasts, with the days of ``days`` on which it is in force."""
    versions = versions_for(step, days)
    by_name: dict[str, tuple[Forecast, list[date]]] = {}
    for day, version in versions.items():
        name = version_name(version)
        if name not in by_name:
            by_name[name] = (Forecast.of(_row_of(_fitted(step, version), CHURN)["forecast"]), [])
        by_name[name][1].append(day)
    return list(by_name.values())


def backtests_for(step: Step, days: Sequence[date]) -> dict[date, list[dict[str, Any]]]:
    """Return how earlier forecasts of the versions in force would have done: rows of model_backtest, by day."""
    versions = versions_for(step, days)
    return {
        day: [dict(row) for row in _row_of(_fitted(step, version), CHURN)["backtests"]]
        for day, version in versions.items()
    }


def fitted_for(version: ModelVersion) -> date:
    """Return the day after the last one whose facts count in a version."""
    through = version.payload.get("fitted_through")
    return date.fromisoformat(through) + timedelta(days=1) if through else version.month


def configured_parts(step: Step) -> list[str]:
    """Return the parts of the score that have a source."""
    given = step.settings.raw_tables
    return [part for part in PARTS if part not in _SOURCES_OF_PARTS or _SOURCES_OF_PARTS[part] in given]


@dataclass(frozen=True)
class Refit:
    """A new version and what it changes.

    Attributes:
        version: Its name.
        through: Last day whose facts count.
        replaces: Name of the version that was in force; None without one.
        buyers: Buyers of the window on that day.
        moved: How many of them are in another band by the new cut-offs, by measure.
        rows: Its rows of score_models.
    """

    version: str
    through: date
    replaces: str | None
    buyers: int
    moved: Mapping[str, int]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class NextCutOffs:
    """What the next month's cut-offs will move.

    Attributes:
        since: First day they are in force.
        buyers: Buyers of the window on the day before.
        moved: How many of them will be in another band, by measure.
    """

    since: date
    buyers: int
    moved: Mapping[str, int]


def next_cut_offs(step: Step) -> NextCutOffs | None:
    """Return, on the last day of a month, what the cut-offs of the next will move; None on other days.

    They are made here, from the facts up to this day, and kept: what is announced is what comes.
    """
    since = step.last + timedelta(days=1)
    if since.day != 1:
        return None
    before, made = versions_for(step, [step.last])[step.last], versions_for(step, [since])[since]
    buyers, moved = _moves(step, step.last, before, made)
    return NextCutOffs(since, buyers, moved)


def refit(step: Step, through: date) -> Refit:
    """Make a new version for the month of ``through`` from the facts up to its end; it is in force from now on."""
    inputs, month = model_inputs(step), month_of(through)
    before = newest_version(step.ledger, month, inputs)
    made = _make(step, month, inputs, through=through, number=0 if before is None else before.refit + 1)
    buyers, moved = _moves(step, through, before, made)
    return Refit(
        version=version_name(made),
        through=through,
        replaces=None if before is None else version_name(before),
        buyers=buyers,
        moved=moved,
        rows=[*made.payload["models"], *_fitted(step, made).payload["models"]],
    )


def _moves(step: Step, on: date, before: ModelVersion | None, made: ModelVersion) -> tuple[int, dict[str, int]]:
    """Return how many buyers there are on a day, and how many change their band of each measure."""
    buyers = _buyers(step, on)
    moved = {} if before is None else {name: _moved(name, buyers[name][0], before, made) for name in _MEASURES}
    return buyers["frequency"][1], moved


def _moved(measure: str, values: Iterable[tuple[Decimal, int]], before: ModelVersion, made: ModelVersion) -> int:
    """Return how many of the buyers are in another band of a measure by other cut-offs."""

    def band(value: Decimal, version: ModelVersion) -> int:
        limits = getattr(cut_offs_of(version), measure)
        return sum((value < limit) if measure == "recency_days" else (value > limit) for limit in limits)

    return sum(count for value, count in values if band(value, before) != band(value, made))


def _row_of(version: ModelVersion, model: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in version.payload["models"] if row["model"] == model)
    return row


def _make(step: Step, month: date, inputs: str, *, through: date | None = None, number: int = 0) -> ModelVersion:
    """Make cut-offs from the facts up to the last day of the month before, or to another day."""
    fitted_on = through or month - timedelta(days=1)
    return _keep(step, month, inputs, number, [_rfm_row(step, fitted_on)], through=fitted_on)


def _fitted(step: Step, version: ModelVersion) -> ModelVersion:
    """Return the models of a version, fitted when first asked for: earlier months often need cut-offs alone."""
    inputs = f"{version.inputs}{_FITTED}"
    found = one_version(step.ledger, version.month, inputs, version.refit)
    if found is not None:
        return found
    through = fitted_for(version) - timedelta(days=1)
    fits = fit(step, through, configured=configured_parts(step))
    rows = rows_of(fits, through)
    rows[-1] |= {"forecast": fits.forecast.plain(), "backtests": backtests_of(fits)}
    return _keep(step, version.month, inputs, version.refit, rows, through=through)


def _keep(
    step: Step, month: date, inputs: str, number: int, rows: Sequence[dict[str, Any]], *, through: date
) -> ModelVersion:
    models = [{**row, "config_version": step.settings.config_version} for row in rows]
    payload = {"models": models, "fitted_through": through.isoformat()}
    version = ModelVersion(month=month, inputs=inputs, refit=number, payload=payload, made_at=step.now)
    return keep_version(step.ledger, version)


def _rfm_row(step: Step, fitted_on: date) -> dict[str, Any]:
    rules = step.config.rfm
    buyers = _buyers(step, fitted_on)
    enough = buyers["frequency"][1] >= rules.minimum_buyers
    size = buyers["frequency"][1]
    if enough:
        found = {
            name: [str(value) for value in rfm.limits(buyers[name][0], ascending=name != "recency_days")]
            for name in _MEASURES
        }
        reason = f"fifths of {size} buyers up to {fitted_on}"
    else:
        found = _fixed(rules.fixed_cutoffs)
        reason = f"only {size} buyers up to {fitted_on}, fewer than {rules.minimum_buyers}: the configured cut-offs"
    return {
        "model": RFM_CUTOFFS,
        "cut_offs": found,
        "parameters": json.dumps(found, sort_keys=True),
        "sample_size": size,
        "log_likelihood": None,
        "standard_errors": None,
        "diagnostics": None,
        "rung": "quantiles" if enough else "fixed",
        "reason": reason,
    }


def _without_limits(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {"cut_offs", "forecast", "backtests"}}


def _fixed(cut_offs: FixedCutoffs) -> dict[str, list[str]]:
    return {name: [str(Decimal(str(value))) for value in getattr(cut_offs, name)] for name in _MEASURES}


def _buyers(step: Step, fitted_on: date) -> dict[str, tuple[list[tuple[Decimal, int]], int]]:
    """Return the distinct values of each measure among the buyers of the window, with their counts."""
    activity = step.everything("customer_activity", last=step.last)
    days = step.as_days([fitted_on])
    bought = purchases(activity, days, window_days=step.config.rfm.window_days)
    buyers = step.engine.materialise(
        bought.filter(bought.window_order_days > 0).select(
            recency_days=bought.as_of.delta(bought.last_order_on, unit="day").cast("decimal(18, 4)"),
            frequency=bought.window_order_days.cast("decimal(18, 4)"),
            monetary=bought.window_net_spend,
        )
    )
    found: dict[str, tuple[list[tuple[Decimal, int]], int]] = {}
    for name in _MEASURES:
        counted = buyers.group_by(name).aggregate(n=buyers.count()).to_pyarrow().to_pydict()
        values = list(zip(counted[name], (int(n) for n in counted["n"]), strict=True))
        found[name] = (values, sum(count for _, count in values))
    return found
