"""The checks of each table, declared on its asset and evaluated inside its step, before anything is published.

Belongs here: names, severities and the results made from an audit or a verdict. Does not belong here: judging rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from scoring_platform.contracts.table import Table
from scoring_platform.ingest.guards import DayVerdict
from scoring_platform.lake.audit import Audit
from scoring_platform.pipeline.crm_course import advice
from scoring_platform.pipeline.crm_standing import Standing
from scoring_platform.pipeline.crm_sync import Applied

CONTRACT = "contract"
QUARANTINE_SHARE = "quarantine_share"
NOT_EMPTY = "extract_not_empty"
NO_QUARANTINE = "no_quarantined_rows"
NO_SHARED = "no_shared_identifiers"
HISTORY = "history_complete"
ALL_ACKNOWLEDGED = "all_acknowledged"
FORECASTS_HOLD = "forecasts_hold"

INERT = "inert"
"""Metadata of a check of a run that was not to do anything: it ends no problem."""

TOLD_BEFORE = "told before"
"""Metadata of a failed check that says nothing the last one did not: nobody is called for it again."""

_LONGEST = 300
"""Characters of one value in a table of the UI: a column of JSON would push everything else off the page."""


def derived_specs(table: Table, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """Return the check of a computed table: a breach blocks everything downstream."""
    description = f"Every row keeps the contract of {table.name}; else nothing is published and the day before stays."
    return [_spec(table, CONTRACT, description, blocking=True, partitions=partitions)]


def history_spec(table: Table, partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """Return the check that every earlier day has been loaded."""
    description = "Every raw day since history_start is in the lake; otherwise the command that loads them is named."
    return _spec(table, HISTORY, description, blocking=True, partitions=partitions)


def raw_specs(table: Table, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """Return the checks of a raw table: bad rows warn; too many, or a suspicious emptiness, block."""
    return [
        _spec(
            table,
            NO_QUARANTINE,
            "No row had to be set aside (a warning: the rows are kept in quarantine).",
            blocking=False,
            partitions=partitions,
        ),
        _spec(
            table,
            QUARANTINE_SHARE,
            "The share of rows set aside is within the limit.",
            blocking=True,
            partitions=partitions,
        ),
        _spec(
            table,
            NOT_EMPTY,
            "The extract has rows where this weekday usually has some.",
            blocking=True,
            partitions=partitions,
        ),
    ]


def _spec(
    table: Table, name: str, description: str, *, blocking: bool, partitions: dg.PartitionsDefinition
) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name, asset=table.name, description=description, blocking=blocking, partitions_def=partitions
    )


def contract_passed(table: Table) -> dg.AssetCheckResult:
    """Return the passed contract check."""
    rules = sum(len(column.checks or ()) + (not column.nullable) for column in table.columns.values()) + 1
    return dg.AssetCheckResult(passed=True, check_name=CONTRACT, asset_key=table.name, metadata={"rules": rules})


def contract_failed(audit: Audit, *, run_days: Sequence[date]) -> dg.AssetCheckResult:
    """Return the failed contract check with the broken rules and masked sample rows."""
    broken = [{"day": str(b.day), "rule": b.rule, "rows": b.rows} for b in audit.breaches]
    metadata: dict[str, Any] = {
        "broken rules": records(broken),
        "rows (personal data masked)": records(audit.samples),
        "first bad day": str(audit.first_bad_day),
        "what to do": f"Mend the rows at their source, then: scoring-platform run --date {run_days[-1]}",
    }
    return dg.AssetCheckResult(
        passed=False,
        check_name=CONTRACT,
        asset_key=audit.table,
        severity=dg.AssetCheckSeverity.ERROR,
        description=audit.describe(),
        metadata=metadata,
    )


def shared_spec(table: Table, partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """Return the check that no identifier is shared by so many that it can be nobody's."""
    description = "No mailbox, number or device is used by many people (a warning: such identifiers link nobody)."
    return _spec(table, NO_SHARED, description, blocking=False, partitions=partitions)


def shared_result(table: Table, set_aside: Mapping[str, int]) -> dg.AssetCheckResult:
    """Return whether every identifier could be used; ``set_aside`` counts those that link nobody by reason."""
    count = sum(set_aside.values())
    rows = [{"identifiers": number, "reason": reason} for reason, number in set_aside.items()]
    return dg.AssetCheckResult(
        passed=not count,
        check_name=NO_SHARED,
        asset_key=table.name,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{count} identifiers link nobody; see lake/quarantine/{table.name}" if count else None,
        metadata={"reasons": records(rows)} if count else {},
    )


def history_result(table: Table, missing: str | None) -> dg.AssetCheckResult:
    """Return the history check; ``missing`` says what lacks and how to load it."""
    return dg.AssetCheckResult(
        passed=missing is None,
        check_name=HISTORY,
        asset_key=table.name,
        severity=dg.AssetCheckSeverity.ERROR,
        description=missing,
    )


def evaluation(result: dg.AssetCheckResult, day: date) -> dg.AssetCheckEvaluation:
    """Return a result as the evaluation of one day."""
    if result.asset_key is None or result.check_name is None:
        msg = "a check result without the names of its asset and its check belongs to no day"
        raise ValueError(msg)
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
        partition=day.isoformat(),
    )


def raw_results(
    table: Table, verdicts: Sequence[DayVerdict], *, samples: Sequence[Mapping[str, Any]] = ()
) -> list[dg.AssetCheckResult]:
    """Return the checks of a raw table over all days of the run; ``samples`` are masked rows that were set aside."""
    bad = [verdict for verdict in verdicts if verdict.quarantined]
    over = [verdict for verdict in verdicts if verdict.share_exceeded]
    empty = [verdict for verdict in verdicts if verdict.suspiciously_empty]
    quiet = [verdict for verdict in verdicts if verdict.rows == 0 and verdict.usual_rows]
    rows = {"rows (personal data masked)": records(samples)} if samples else {}
    return [
        _result(
            table,
            NO_QUARANTINE,
            passed=not bad,
            blocking=False,
            verdicts=bad,
            words=f"{sum(v.quarantined for v in bad)} rows set aside; see lake/quarantine/{table.name}",
            more=rows,
        ),
        _result(
            table,
            QUARANTINE_SHARE,
            passed=not over,
            blocking=True,
            verdicts=over,
            words=f"more than ingest.quarantine_share_limit was set aside on {_days(over)}; nothing was replaced",
        ),
        _result(
            table,
            NOT_EMPTY,
            passed=not empty,
            blocking=True,
            verdicts=empty or quiet,
            words=next(
                (verdict.loss for verdict in empty if verdict.loss),
                f"no rows on {_days(empty or quiet)} although this weekday usually has some",
            ),
        ),
    ]


def _result(
    table: Table,
    name: str,
    *,
    passed: bool,
    blocking: bool,
    verdicts: Sequence[DayVerdict],
    words: str,
    more: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    rows = [
        {
            "day": str(v.day),
            "rows": v.rows,
            "set aside": v.quarantined,
            "share": round(v.share, 4),
            "usual rows": v.usual_rows,
            "reasons": "; ".join(f"{n}× {reason}" for reason, n in v.reasons.items()),
        }
        for v in verdicts
    ]
    severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        passed=passed,
        check_name=name,
        asset_key=table.name,
        severity=severity,
        description=words if verdicts else None,
        metadata={"days": records(rows), **(more or {})} if verdicts else {},
    )


def _days(verdicts: Sequence[DayVerdict]) -> str:
    names = [str(verdict.day) for verdict in verdicts]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more days" if len(names) > 3 else "")


def records(rows: Iterable[Mapping[str, Any]]) -> dg.MetadataValue:
    """Return rows as a table that the UI shows."""
    plain = [{name: _plain(value) for name, value in row.items()} for row in rows]
    if not plain:
        return dg.MetadataValue.text("none")
    columns = [dg.TableColumn(name=name, type="string") for name in plain[0]]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in plain[:100]], dg.TableSchema(columns=columns))


def _plain(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def sync_spec(table: Table, partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """Return the check that the CRM took every row."""
    description = (
        "The CRM acknowledged every planned row; the others are tried again or wait for a person. Refused rows count "
        "until they are mended."
    )
    return _spec(table, ALL_ACKNOWLEDGED, description, blocking=False, partitions=partitions)


def sync_inert(table: Table, reason: str) -> dg.AssetCheckResult:
    """Return the check of a run that may not send."""
    return dg.AssetCheckResult(passed=True, check_name=ALL_ACKNOWLEDGED, asset_key=table.name, metadata={INERT: reason})


def sync_result(table: Table, applied: Applied, standing: Standing) -> dg.AssetCheckResult:
    """Return whether every row of the day was acknowledged, whichever run sent it.

    Nothing is lost, and the report goes out: a warning, and an error where a CRM broke off before anything was written.
    """
    news = set(applied.counts) - {"acknowledged", "absent"} or applied.held or standing.unwritten
    return dg.AssetCheckResult(
        passed=not standing.failed and not applied.held,
        check_name=ALL_ACKNOWLEDGED,
        asset_key=table.name,
        severity=dg.AssetCheckSeverity.ERROR if standing.lost else dg.AssetCheckSeverity.WARN,
        description="; ".join(part for part in (standing.words, applied.stopped) if part) or None,
        metadata={**standing.counts, **_what_to_do(applied, standing), **({} if news else {TOLD_BEFORE: True})},
    )


def forecasts_spec(table: Table, partitions: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    """Return the check that forecasts which have come due were not far off."""
    description = (
        "Forecasts that have come due hold: totals within half, buyers ranked above others, chances at their level. "
        "After two that fail in a row the next models fall back to recency at the level of the newest horizon."
    )
    return _spec(table, FORECASTS_HOLD, description, blocking=False, partitions=partitions)


def forecasts_result(table: Table, newest: Sequence[Mapping[str, Any]]) -> dg.AssetCheckResult:
    """Return whether the newest forecasts held; a warning otherwise."""
    wrong = [f"{row['model']}, {row['horizon_days']} days from {row['made_on']}: {row['breach']}" for row in newest]
    wrong = [words for words, row in zip(wrong, newest, strict=True) if row["breach"]]
    advice = "Look at what changed in the shop since; models of the new state: scoring-platform models refit"
    return dg.AssetCheckResult(
        passed=not wrong,
        check_name=FORECASTS_HOLD,
        asset_key=table.name,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(wrong) or None,
        metadata={"what to do": advice} if wrong else {},
    )


def _what_to_do(applied: Applied, standing: Standing) -> dict[str, str]:
    said = [advice(held.code) for held in applied.held.values()]
    if "dead" in standing.failed:
        said.append("Read the words of refused rows in crm_sync, mend them, then: scoring-platform crm retry")
    return {"what to do": "; ".join(dict.fromkeys(said))} if said else {}
