"""The same day by hand: plain DuckDB SQL over the same files, as short as somebody who wants just that would write it.

No contracts, no checks, no history of what was: profile measures, RFM bands, decayed engagement, total score, segment.

Belongs here: the statements. Does not belong here: what they are compared with.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb


def one_day(home: Path, day: date) -> int:
    """Compute profile, scores and segments of ``day`` into Parquet files; return the customers."""
    lake, out = home / "lake", home / "floor"
    out.mkdir(exist_ok=True)
    with duckdb.connect(config={"temp_directory": str(home / "tmp")}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, query in {**_measured(lake, day), **_judged(day)}.items():
            connection.execute(f"CREATE TEMP TABLE {name} AS {query}")
            if name in {"profile", "scored", "segments"}:
                connection.execute(f"COPY {name} TO '{out / name}.parquet' (FORMAT parquet, COMPRESSION zstd)")
        ((rows,),) = connection.execute("SELECT count(*) FROM segments").fetchall()
    return int(rows)


def _measured(lake: Path, day: date) -> dict[str, str]:
    """What is known of everyone, up to the profile."""
    facts = f"read_parquet('{lake}/customer_activity/*/*.parquet', hive_partitioning = true)"
    today = f"as_of={day}/*.parquet"
    d = f"DATE '{day}'"
    return {
        "bought": f"""
            SELECT customer_id, min(active_on) FILTER (purchase_day = 1) AS first_order_on,
                   max(active_on) FILTER (purchase_day = 1) AS last_order_on, sum(orders) AS orders,
                   sum(purchase_day) AS order_days, sum(revenue) AS revenue, sum(refunds) AS refunds,
                   sum(purchase_day) FILTER (active_on > {d} - 365) AS order_days_365d,
                   sum(revenue - refunds) FILTER (active_on > {d} - 365) AS net_spend_365d
            FROM {facts} WHERE (orders > 0 OR refunds > 0) AND active_on <= {d} GROUP BY customer_id""",
        "lately": f"""
            SELECT customer_id, sum(email_sent) FILTER (active_on > {d} - 90) AS email_sent_90d,
                   sum(email_opens) FILTER (active_on > {d} - 90) AS email_opens_90d,
                   sum(email_clicks) FILTER (active_on > {d} - 90) AS email_clicks_90d,
                   sum(web_sessions) FILTER (active_on > {d} - 90) AS web_sessions_90d,
                   sum(web_pageviews) FILTER (active_on > {d} - 90) AS web_pageviews_90d,
                   sum(tickets) FILTER (active_on > {d} - 90) AS tickets_90d,
                   sum(tickets_bad) FILTER (active_on > {d} - 90) AS tickets_bad_90d,
                   sum(events) FILTER (active_on > {d} - 90) AS events_90d,
                   sum((email_opens + 3 * email_clicks) * pow(2, -({d} - active_on) / 30)) AS email_up,
                   sum((0.25 * email_sent + 8 * email_unsubscribes) * pow(2, -({d} - active_on) / 30)) AS email_down,
                   sum((web_sessions + 3 * web_conversions) * pow(2, -({d} - active_on) / 21)) AS web_up,
                   sum(tickets_good * pow(2, -({d} - active_on) / 60)) AS support_up,
                   sum((0.5 * tickets + 3 * tickets_bad) * pow(2, -({d} - active_on) / 60)) AS support_down
            FROM {facts} WHERE as_of > '{day}'::DATE - 180 AND active_on <= {d} GROUP BY customer_id""",
        "answered": f"""
            SELECT customer_id, arg_max(nps_score, survey_date) AS nps_score, max(survey_date) AS nps_answered_on
            FROM read_parquet('{lake}/nps_responses/{today}') WHERE customer_id IS NOT NULL GROUP BY customer_id""",
        "allowed": f"""
            SELECT ids.customer_id, arg_max(status, occurred_at) AS consent
            FROM (SELECT subject, status, occurred_at FROM read_parquet('{lake}/raw_consents/*/*.parquet')
                  UNION ALL
                  SELECT email, 'revoked', occurred_at FROM read_parquet('{lake}/raw_email_events/*/*.parquet')
                  WHERE kind IN ('unsubscribe', 'complaint')) AS decided
            JOIN read_parquet('{lake}/customer_identities/{today}') AS ids ON ids.id_value = decided.subject
            GROUP BY ids.customer_id""",
        "profile": f"""
            SELECT people.customer_id, people.first_seen_on, people.email, accounts.region, accounts.locale,
                   accounts.attributes, bought.* EXCLUDE (customer_id), lately.* EXCLUDE (customer_id), nps_score,
                   nps_answered_on, consent
            FROM (SELECT customer_id, min(first_seen_on) AS first_seen_on,
                         min(id_value) FILTER (id_kind = 'email') AS email,
                         min(id_value) FILTER (id_kind = 'customer_ref') AS customer_ref
                  FROM read_parquet('{lake}/customer_identities/{today}') GROUP BY customer_id) AS people
            LEFT JOIN read_parquet('{lake}/raw_customers/{today}') AS accounts USING (customer_ref)
            LEFT JOIN bought USING (customer_id) LEFT JOIN lately USING (customer_id)
            LEFT JOIN answered USING (customer_id) LEFT JOIN allowed USING (customer_id)""",
    }


def _judged(day: date) -> dict[str, str]:
    """Bands, total and segment of everyone."""
    d = f"DATE '{day}'"
    return {
        "limits": f"""
            SELECT quantile_disc({d} - last_order_on, [0.2, 0.4, 0.6, 0.8]) AS by_r,
                   quantile_disc(order_days_365d, [0.2, 0.4, 0.6, 0.8]) AS by_f,
                   quantile_disc(net_spend_365d, [0.2, 0.4, 0.6, 0.8]) AS by_m FROM bought WHERE order_days_365d > 0""",
        "scored": f"""
            SELECT customer_id, order_days, {d} - last_order_on AS recency_days, {d} - first_order_on AS tenure_days,
                   1 + len(list_filter(by_r, x -> {d} - last_order_on < x)) AS r,
                   1 + len(list_filter(by_f, x -> order_days_365d > x)) AS f,
                   1 + len(list_filter(by_m, x -> net_spend_365d > x)) AS m,
                   500 * (r - 1) + 500 * (f - 1) + 500 * (m - 1)
                   + 1500 * (0.5 * pow(2, -coalesce(email_down, 0) / 4)
                             + 0.5 * (1 - pow(2, -coalesce(email_up, 0) / 4)))
                   + 1000 * (0.5 + 0.5 * (1 - pow(2, -coalesce(web_up, 0) / 6)))
                   + 500 * (0.5 * pow(2, -coalesce(support_down, 0) / 2)
                            + 0.5 * (1 - pow(2, -coalesce(support_up, 0) / 2)))
                   + 1000 * coalesce(nps_score / 10, 0.5) AS total
            FROM profile, limits""",
        "segments": """
            SELECT customer_id, CASE
                WHEN coalesce(order_days, 0) = 0 THEN 'prospect'
                WHEN tenure_days <= 30 AND order_days <= 2 THEN 'new'
                WHEN r >= 4 AND f >= 4 AND m >= 4 THEN 'vip' WHEN r >= 3 AND f >= 3 THEN 'loyal'
                WHEN r >= 4 THEN 'promising' WHEN r >= 3 THEN 'needs_attention'
                WHEN f >= 4 AND m >= 4 THEN 'cant_lose' WHEN f >= 3 THEN 'at_risk'
                WHEN recency_days <= 365 THEN 'dormant' ELSE 'lost' END AS segment FROM scored""",
    }
