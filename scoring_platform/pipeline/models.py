"""Frozen model versions: made once per month and configuration, reused by every run after.

Belongs here: when a version is made, from which facts, and its rows of score_models. Does not belong here: the formulas
(``domain.rfm``), the keeping (``ledger.models``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir

from scoring_platform.config.load import digest
from scoring_platform.config.scoring import FixedCutoffs
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.domain import rfm
from scoring_platform.domain.measures import purchases
from scoring_platform.ledger.models import ModelVersion, keep_version, newest_version
from scoring_platform.pipeline.step import Step

RFM_CUTOFFS = "rfm_cutoffs"
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


def model_inputs(step: Step) -> str:
    """Return the hash of the configuration sections that models read."""
    return digest({"rfm": step.config.rfm.model_dump(mode="json")})


def version_name(version: ModelVersion) -> str:
    """Return the name of a version: month, configuration, refit."""
    return f"{version.month:%Y-%m}-{version.inputs}-{version.refit}"


def score_models(step: Step) -> ir.Table:
    """The versions in force on the run's days, as rows of score_models."""
    versions = versions_for(step, step.days)
    rows = [
        {"as_of": day, "version": version_name(version), "fitted_for": version.month, **_without_limits(row)}
        for day, version in versions.items()
        for row in version.payload["models"]
    ]
    kinds = {"as_of": "date", **dict(contract_of("score_models").schema.items())}
    return step.engine.materialise(ibis.memtable(rows, schema=ibis.schema(kinds)))


def cut_off_table(step: Step, days: Iterable[date]) -> ir.Table:
    """Return the limits per day with ``model_version``, as ``rfm.bands`` joins them."""
    versions = versions_for(step, days)
    limits = rfm.cut_off_table({day: _cut_offs(version) for day, version in versions.items()})
    names = [{"as_of": day, "model_version": version_name(version)} for day, version in versions.items()]
    named = ibis.memtable(names, schema=ibis.schema({"as_of": "date", "model_version": "string"}))
    return step.engine.materialise(step.engine.materialise(limits).join(step.engine.materialise(named), "as_of"))


def _cut_offs(version: ModelVersion) -> rfm.CutOffs:
    row = next(row for row in version.payload["models"] if row["model"] == RFM_CUTOFFS)
    given: Mapping[str, list[str]] = row["cut_offs"]
    return rfm.CutOffs(**{name: tuple(Decimal(value) for value in given[name]) for name in _MEASURES})  # type: ignore[arg-type]


def _make(step: Step, month: date, inputs: str) -> ModelVersion:
    """Fit on the facts up to the last day of the month before."""
    payload = {"models": [_rfm_row(step, month)]}
    version = ModelVersion(month=month, inputs=inputs, refit=0, payload=payload, made_at=step.now)
    return keep_version(step.ledger, version)


def _rfm_row(step: Step, month: date) -> dict[str, Any]:
    rules = step.config.rfm
    fitted_on = month - timedelta(days=1)
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
        "config_version": step.settings.config_version,
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
    return {name: value for name, value in row.items() if name != "cut_offs"}


def _fixed(cut_offs: FixedCutoffs) -> dict[str, list[str]]:
    return {name: [str(Decimal(str(value))) for value in getattr(cut_offs, name)] for name in _MEASURES}


def _buyers(step: Step, fitted_on: date) -> dict[str, tuple[list[tuple[Decimal, int]], int]]:
    """Return the distinct values of each measure among the buyers of the window, with their counts."""
    activity = step.everything("customer_activity", last=step.last)
    days = step.days_table([fitted_on])
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
