"""Who is who, from all published raw days: reading, resolving, and recording what merged and what was set aside.

Belongs here: which days are read, the ledger of merges, the quarantine of identifiers. Does not belong here: how
identifiers are linked (``domain.identity``), publishing of the table itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.columns import INSTANT
from scoring_platform.domain import identity
from scoring_platform.domain.linking import Bounds
from scoring_platform.domain.minting import Known
from scoring_platform.ingest.judging import local_day
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.write import publish
from scoring_platform.ledger.merges import Merge, read_undone, record_merges
from scoring_platform.pipeline.step import Step

TABLE = "customer_identities"


@dataclass(frozen=True)
class Resolved:
    """Who is who on the days of a step.

    Attributes:
        rows: The rows of customer_identities.
        merges: How many customers became part of another one.
        set_aside: How many identifiers link nobody, by reason.
    """

    rows: ir.Table
    merges: int
    set_aside: Mapping[str, int]


def resolve(step: Step) -> Resolved:
    """Resolve today's graph, cut to what had been seen by each day, and record its merges and what was set aside."""
    materialise = step.engine.materialise
    found = identity.resolve(_records(step), _known(step), _rules(step), materialise=materialise)
    merges = record_merges(step.ledger, _merges(found.merges, on=step.last), now=step.now)
    set_aside = _set_aside(step, found.set_aside)
    days = step.days_table()
    return Resolved(days.join(found.identities, found.identities.first_seen_on <= days.as_of), merges, set_aside)


def owners(step: Step) -> ir.Table:
    """Return whose each identifier is by the graph of the run's last day; see ``domain.identity.owners``."""
    return step.engine.materialise(identity.owners(step.read(TABLE, [step.last]), step.scopes))


def with_day(step: Step, table: ir.Table, **columns: str) -> ir.Table:
    """Put the business day of an instant beside each row; without the instant, the day of the row."""
    zone = ZoneInfo(step.config.time_zone)
    days = {name: local_day(table[instant], zone).fill_null(table.as_of) for name, instant in columns.items()}
    return table.mutate(**days)


def _records(step: Step) -> identity.Records:
    return identity.Records(
        orders=step.everything("raw_orders"),
        customers=with_day(step, step.newest("raw_customers"), created_on="created_at"),
        email_events=step.everything("raw_email_events"),
        web_activity=step.everything("raw_web_activity"),
        tickets=step.everything("raw_support_tickets"),
        events=step.everything("raw_events"),
        contacts=with_day(step, step.newest("raw_crm_contacts"), created_on="created_at"),
        responses=step.everything("raw_nps_responses"),
    )


def _known(step: Step) -> Known:
    minted = identity.owners(step.newest(TABLE), step.scopes)
    links, ids = read_undone(step.ledger)
    if not ids:
        return Known(minted)
    return Known(
        minted,
        undone_links=ibis.memtable([{"link": link} for link in sorted(links)], schema={"link": "string"}),
        restored=ibis.memtable([{"customer_id": one} for one in sorted(ids)], schema={"customer_id": "string"}),
    )


def _rules(step: Step) -> identity.Rules:
    rules = step.config.identity
    return identity.Rules(
        scopes=step.scopes,
        bounds=Bounds(shared=rules.shared_limit, group=rules.group_limit),
        providers=rules.email_providers,
        web_introduces=step.config.consent.tracking_default == "granted",
    )


def _merges(merges: ir.Table, *, on: date) -> list[Merge]:
    links: dict[tuple[str, str], set[str]] = {}
    for row in merges.to_pyarrow().to_pylist():
        links.setdefault((row["former_id"], row["customer_id"]), set()).add(row["link"])
    return [Merge(former, customer, on, tuple(sorted(found))) for (former, customer), found in sorted(links.items())]


def _set_aside(step: Step, found: ir.Table) -> dict[str, int]:
    """Publish the identifiers that link nobody as the quarantine of the step's last day; count them by reason."""
    store = quarantine_table(contract_of(TABLE))
    rows = found.select(
        source=ibis.literal(TABLE),
        row_key=found.id_kind + "=" + found.id_value,
        reason=found.reason,
        payload=ibis.literal("{}"),
        seen_at=ibis.literal(step.now, type=INSTANT),
        as_of=ibis.literal(step.last),
    )
    counts = found.group_by("reason").aggregate(n=found.count()).to_pyarrow().to_pylist()
    if counts or step.lake.days(store.name, first=step.last, last=step.last):
        with step.lake.staging() as folder:
            publish(
                step.engine, store, step.engine.stage(store, rows, [step.last], folder=folder), info=step.recorded()
            )
    return {row["reason"]: row["n"] for row in sorted(counts, key=lambda row: (-row["n"], row["reason"]))}
