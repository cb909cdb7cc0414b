"""Made-up history of a large shop, as compact facts put straight into a lake: what profiles and scores are made from.

Some customers buy and click all the time, most seldom: the square of an even draw picks them. The raw rows of the last
days are there too, so that their facts can be made again.

Belongs here: how many facts, and how they spread. Does not belong here: what is measured with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir

from benchmarks.generated import put
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine

TABLES = (
    "raw_orders",
    "raw_customers",
    "raw_email_events",
    "raw_web_activity",
    "raw_support_tickets",
    "raw_events",
    "raw_consents",
    "raw_nps_responses",
)
"""The raw tables of the shop."""

_BUYING = 0.75
_EVENTS_A_ROW = 1.6
_WRITTEN_DAYS = 32


@dataclass(frozen=True)
class Past:
    """How large the shop is, and how long there has been one.

    Attributes:
        customers: Everybody; three quarters buy.
        days: Days of history.
        last: The last of them.
        orders_each: Orders per customer over all days.
        others_each: Mails sent, opened and clicked, sessions, tickets and events per customer over all days.
        computed: Days at the end for which there are pictures and raw rows.
    """

    customers: int
    days: int
    last: date
    orders_each: int = 20
    others_each: int = 80
    computed: int = 1

    @property
    def first(self) -> date:
        """The first day of history."""
        return self.last - timedelta(days=self.days - 1)

    @property
    def every_day(self) -> list[date]:
        """Every day of history."""
        return [self.first + timedelta(days=offset) for offset in range(self.days)]

    @property
    def wanted(self) -> list[date]:
        """The days to compute."""
        return self.every_day[-self.computed :]


def fill(engine: DuckDBEngine, past: Past) -> dict[str, int]:
    """Publish the facts and return how many rows each table has."""
    rows = {"customer_activity": 0, "raw_email_events": 0}
    for start in range(0, past.days, _WRITTEN_DAYS):
        days = past.every_day[start : start + _WRITTEN_DAYS]
        rows["customer_activity"] += put(engine, "customer_activity", _facts(engine, past, days), days)
        rows["raw_email_events"] += put(engine, "raw_email_events", _mails(engine, past, days), days)
    for name, table in (("raw_orders", _orders), ("raw_web_activity", _visits)):
        rows[name] = put(engine, name, table(engine, past, past.wanted), past.wanted)
    joined = {"raw_consents": _consents(engine, past), "raw_nps_responses": _answers(engine, past)}
    for name, made in joined.items():
        rows[name] = put(engine, name, made, past.every_day)
    for name in ("raw_support_tickets", "raw_events"):
        rows[name] = put(engine, name, _none(engine, name), past.every_day)
    rows["customer_identities"] = put(engine, "customer_identities", _identities(engine, past), past.wanted)
    rows["raw_customers"] = put(engine, "raw_customers", _accounts(engine, past), past.wanted)
    return rows


def _a_day(past: Past, each: float) -> int:
    return max(1, round(past.customers * each / past.days))


def _draws(past: Past, days: list[date], a_day: int, *, salt: str, among: float, power: float) -> str:
    """Give ``i``, ``as_of`` and ``c`` (a number below ``among`` of the customers) so many times a day."""
    return (
        f"(SELECT i, as_of, floor({past.customers * among} * pow((hash(i, as_of, '{salt}') % 1000000) / 1000000, "
        f"{power}))::BIGINT AS c FROM {_days(days)}, range({a_day}) AS numbers(i))"
    )


def _days(days: list[date]) -> str:
    return f"(SELECT UNNEST(generate_series(DATE '{days[0]}', DATE '{days[-1]}', INTERVAL 1 DAY))::DATE AS as_of)"


_ID = "'c-' || md5(c::VARCHAR) AS customer_id"


def _facts(engine: DuckDBEngine, past: Past, days: list[date]) -> ir.Table:
    orders = _draws(past, days, _a_day(past, past.orders_each), salt="o", among=_BUYING, power=2)
    others = _draws(past, days, _a_day(past, past.others_each / _EVENTS_A_ROW), salt="e", among=1, power=1.5)
    kind = "hash(i, as_of, 'kind') % 100"
    facts = engine.ibis.sql(f"""
        SELECT {_ID}, as_of, as_of AS active_on, sum(orders) AS orders, max(orders) AS purchase_day,
               sum(revenue) AS revenue, sum(CASE WHEN revenue % 20 = 0 THEN revenue ELSE 0 END) AS refunds,
               sum(sent) AS email_sent, sum(opened) AS email_opens, sum(clicked) AS email_clicks,
               sum(sessions) AS web_sessions, sum(sessions * 3) AS web_pageviews, sum(tickets) AS tickets
        FROM (
            SELECT c, as_of, 1 AS orders, 500 + hash(i, as_of, 'amount') % 20000 AS revenue, 0 AS sent, 0 AS opened,
                   0 AS clicked, 0 AS sessions, 0 AS tickets FROM {orders}
            UNION ALL
            SELECT c, as_of, 0, 0, (kind < 65)::INT, (kind < 25)::INT, (kind < 6)::INT, (kind >= 60)::INT,
                   (kind = 99)::INT FROM (SELECT *, {kind} AS kind FROM {others})
        ) GROUP BY c, as_of
    """)
    return _filled("customer_activity", facts)


def _mails(engine: DuckDBEngine, past: Past, days: list[date]) -> ir.Table:
    draws = _draws(past, days, _a_day(past, past.others_each * 0.6), salt="m", among=1, power=1.5)
    mails = engine.ibis.sql(f"""
        SELECT 'files' AS source, 'e' || as_of || i AS event_id, 'c' || c || '@example.com' AS email,
               'spring' AS campaign_id, CASE WHEN hash(i, as_of) % 2000 = 0 THEN 'unsubscribe'
               ELSE ['sent', 'sent', 'open', 'click'][1 + (hash(i, as_of) % 4)::INT] END AS kind,
               false AS machine, (as_of + INTERVAL 3 HOUR)::TIMESTAMPTZ AS occurred_at, as_of FROM {draws}
    """)
    return _filled("raw_email_events", mails)


def _orders(engine: DuckDBEngine, past: Past, days: list[date]) -> ir.Table:
    draws = _draws(past, days, _a_day(past, past.orders_each), salt="o", among=_BUYING, power=2)
    orders = engine.ibis.sql(f"""
        SELECT 'files' AS source, 'o' || as_of || i AS order_id, 'r' || c AS customer_ref,
               'c' || c || '@example.com' AS email, (as_of + INTERVAL 3 HOUR)::TIMESTAMPTZ AS ordered_at,
               ordered_at AS updated_at, 'paid' AS status, 'JPY' AS currency,
               500 + hash(i, as_of, 'amount') % 20000 AS total_amount, 0 AS refunded_amount,
               total_amount AS total_amount_reporting, 0 AS refunded_amount_reporting, as_of FROM {draws}
    """)
    return _filled("raw_orders", orders)


def _visits(engine: DuckDBEngine, past: Past, days: list[date]) -> ir.Table:
    draws = _draws(past, days, _a_day(past, past.others_each * 0.3), salt="w", among=1, power=1.5)
    visits = engine.ibis.sql(f"""
        SELECT 'files' AS source, as_of AS activity_on, 'r' || c AS customer_ref, count(*) AS sessions,
               3 * count(*) AS pageviews, 60 * count(*) AS engaged_seconds, 0 AS conversions, as_of
        FROM {draws} GROUP BY c, as_of
    """)
    return _filled("raw_web_activity", visits)


def _people(past: Past) -> str:
    """Give ``c`` and the day ``since`` on which each customer came: half of them in the first tenth of the days."""
    share = "pow((hash(c, 'since') % 1000000) / 1000000, 3)"
    since = f"DATE '{past.first}' + ({past.days - 1} * {share})::INT"
    return f"(SELECT c, {since} AS since FROM range({past.customers}) AS p(c))"


def _consents(engine: DuckDBEngine, past: Past) -> ir.Table:
    consents = engine.ibis.sql(f"""
        SELECT 'files' AS source, 'd' || c AS event_id, 'r' || c AS subject, 'email' AS channel,
               'marketing' AS purpose, CASE WHEN hash(c) % 10 < 7 THEN 'granted' ELSE 'denied' END AS status,
               (since + INTERVAL 3 HOUR)::TIMESTAMPTZ AS occurred_at, since AS as_of FROM {_people(past)}
    """)
    return _filled("raw_consents", consents)


def _answers(engine: DuckDBEngine, past: Past) -> ir.Table:
    answers = engine.ibis.sql(f"""
        SELECT 'files' AS source, 'n' || c AS response_id, 'customer_id' AS identity_kind, 'r' || c AS identity_key,
               since AS survey_date, (hash(c, 'nps') % 11)::BIGINT AS nps_score, '{{}}' AS dimensions, 1 AS revision,
               since AS as_of FROM {_people(past)} WHERE c % 10 = 0
    """)
    return _filled("raw_nps_responses", answers)


def _identities(engine: DuckDBEngine, past: Past) -> ir.Table:
    known = "'same_record' AS rule, since AS first_seen_on, since AS first_fact_on"
    return engine.ibis.sql(f"""
        SELECT 'files' AS source, 'customer_ref' AS id_kind, 'r' || c AS id_value, {_ID}, {known}, as_of
        FROM {_people(past)}, {_days(past.wanted)} WHERE since <= as_of
        UNION ALL
        SELECT 'files', 'email', 'c' || c || '@example.com', {_ID}, {known}, as_of
        FROM {_people(past)}, {_days(past.wanted)} WHERE since <= as_of
    """)


def _accounts(engine: DuckDBEngine, past: Past) -> ir.Table:
    accounts = engine.ibis.sql(f"""
        SELECT 'files' AS source, 'r' || c AS customer_ref, 'c' || c || '@example.com' AS email,
               since::TIMESTAMPTZ AS created_at, created_at AS updated_at, 'Tokyo' AS region, 'ja-JP' AS locale,
               '{{}}' AS attributes, as_of FROM {_people(past)}, {_days(past.wanted)} WHERE since <= as_of
    """)
    return _filled("raw_customers", accounts)


def _none(engine: DuckDBEngine, name: str) -> ir.Table:
    typed = {column: ibis.null(kind) for column, kind in contract_of(name).schema.items()}
    return engine.ibis.sql("SELECT NULL::DATE AS as_of WHERE false").mutate(**typed)


def _filled(name: str, rows: ir.Table) -> ir.Table:
    """Give a table the columns it lacks: nothing, or 0 where there must be something."""
    schema = contract_of(name).schema
    lacking = {column: kind for column, kind in schema.items() if column not in rows.columns}
    return rows.mutate(
        **{
            column: ibis.literal(0, type=kind) if kind.is_numeric() else ibis.null(kind)
            for column, kind in lacking.items()
        }
    )
