"""Who is who, from all published raw days: reading, resolving, and recording what merged and what was set aside.

Belongs here: which days are read, the ledger of merges, the quarantine of identifiers. Does not belong here: how
identifiers are linked (``domain.identity``), publishing of the table itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.columns import INSTANT
from scoring_platform.domain import identity, remembering
from scoring_platform.domain.linking import Bounds
from scoring_platform.domain.minting import Known, former_nodes, given_back
from scoring_platform.ingest.judging import local_day
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.write import publish, write
from scoring_platform.ledger.merges import Merge, read_undone, record_merges
from scoring_platform.pipeline.step import Step

TABLE = "customer_identities"
LINKS = "customer_links"
_PICTURES = ("raw_customers", "raw_crm_contacts")
_Versions = Mapping[date, Mapping[str, str | None]]


@dataclass(frozen=True)
class Resolved:
    """Who is who.

    Attributes:
        identities: Every identifier with its customer and the day on which it was first seen.
        merges: How many customers became part of another one.
        set_aside: How many identifiers link nobody, by reason.
    """

    identities: ir.Table
    merges: int
    set_aside: Mapping[str, int]

    def on(self, step: Step) -> ir.Table:
        """Return the rows of customer_identities for the days of a step: what had been seen by each."""
        days = step.days_table()
        return days.join(self.identities, self.identities.first_seen_on <= days.as_of)


def resolve(step: Step) -> Resolved:
    """Resolve today's graph and record its merges and what was set aside."""
    remember(step)
    materialise = step.engine.materialise
    known = _known(step)
    found = identity.resolve(_records(step), known, _rules(step), materialise=materialise)
    merges = record_merges(step.ledger, _merges(step, found, known), now=step.now)
    set_aside = _set_aside(step, found.set_aside)
    return Resolved(found.identities, merges, set_aside)


def remember(step: Step) -> None:
    """Keep what accounts and contacts say of themselves: the next picture may have another address.

    All pictures that were not yet looked at are, those of other days too, so that it makes no difference in which runs
    the days are computed. What a day of customer_links holds stays, whatever its picture becomes when it runs again.
    """
    days = sorted({day for name in _PICTURES for day in step.lake.days(name)})
    now = {day: {name: step.lake.version_id(name, day) for name in _PICTURES} for day in days}
    then = {v.day: v.info["inputs"] for v in step.lake.pin(LINKS, step.lake.days(LINKS)) if v.day is not None}
    stale = [day for day in days if now[day] != then.get(day)]
    if not stale:
        return
    customers, contacts = (step.read(name, _unseen(name, stale, now, then)) for name in _PICTURES)
    held = step.everything(LINKS)
    news = step.engine.materialise(remembering.news(remembering.stated(customers, contacts), held))
    # A change that was made after the last picture's day is known on that day already.
    changed_on = local_day(news.changed_at, ZoneInfo(step.config.time_zone))
    news = news.mutate(changed_on=news.changed_at.notnull().ifelse(ibis.least(changed_on, days[-1]), None))
    rows = held.filter(held.as_of.isin(stale)).union(news.select(held.columns))
    write(step.engine, contract_of(LINKS), rows, days=stale, info={**step.recorded(), "inputs": now})


def _unseen(name: str, stale: Sequence[date], now: _Versions, then: _Versions) -> list[date]:
    """Return the first day of every version of a picture that no day has been made from: equal ones say the same."""
    seen = {inputs[name] for inputs in then.values()}
    first = {now[day][name]: day for day in reversed(stale)}
    return sorted(day for version, day in first.items() if version not in seen)


def undone(step: Step) -> str:
    """Name what somebody has undone: it changes who is who, and no table tells of it."""
    found = read_undone(step.ledger)
    return f"{sorted(found.links)} {sorted(found.restored.items())}"


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
        links=_links(step),
        email_events=step.everything("raw_email_events"),
        web_activity=step.everything("raw_web_activity"),
        tickets=step.everything("raw_support_tickets"),
        events=step.everything("raw_events"),
        responses=step.everything("raw_nps_responses"),
    )


def _links(step: Step) -> ir.Table:
    zone = ZoneInfo(step.config.time_zone)
    pictures = (step.newest(name) for name in _PICTURES)
    customers, contacts = (picture.mutate(created_on=local_day(picture.created_at, zone)) for picture in pictures)
    return remembering.standing(step.everything(LINKS), customers, contacts)


def _known(step: Step) -> Known:
    minted = identity.owners(step.newest(TABLE), step.scopes)
    undone = read_undone(step.ledger)
    if not undone.links:
        return Known(minted)
    links = ibis.memtable([{"link": link} for link in sorted(undone.links)], schema={"link": "string"})
    held = [{"held": held, "customer_id": former} for held, former in sorted(undone.restored.items())]
    restored = ibis.memtable(held, schema={"held": "string", "customer_id": "string"})
    return Known(step.engine.materialise(given_back(minted, restored)), undone_links=links)


def _rules(step: Step) -> identity.Rules:
    rules = step.config.identity
    return identity.Rules(
        scopes=step.scopes,
        bounds=Bounds(shared=rules.shared_limit, group=rules.group_limit),
        providers=rules.email_providers,
        web_introduces=step.config.consent.tracking_default == "granted",
    )


def _merges(step: Step, found: identity.Resolution, known: Known) -> list[Merge]:
    links = _by_customers(found.merges, "link")
    if not links:
        return []
    now = identity.owners(found.identities, step.scopes)
    held = _by_customers(former_nodes(found.merges, now, known.minted), "held")
    return [
        Merge(*both, step.last, links=tuple(sorted(links[both])), nodes=tuple(sorted(held.get(both, ()))))
        for both in sorted(links)
    ]


def _by_customers(rows: ir.Table, name: str) -> dict[tuple[str, str], set[str]]:
    """Return what there is of each former customer and the one it became part of."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows.to_pyarrow().to_pylist():
        found.setdefault((row["former_id"], row["customer_id"]), set()).add(row[name])
    return found


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
