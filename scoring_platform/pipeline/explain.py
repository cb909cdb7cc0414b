"""Why one customer has its score: the parts, the evidence, the segment.

Belongs here: reading one customer's rows and putting them into words. Does not belong here: computing scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import ibis

from scoring_platform.config.scoring import PARTS
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.masking import mask_text
from scoring_platform.domain import normalise
from scoring_platform.domain.linking import DEVICE
from scoring_platform.errors import ConfigurationError
from scoring_platform.ingest.quarantine import quarantine_table
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.pipeline.lead_words import lead_in_words
from scoring_platform.pipeline.leads import lead_evidence
from scoring_platform.settings import Settings

_PART_NAMES = {
    "recency": {"ja": "最終購入", "en": "Recency"},
    "frequency": {"ja": "購入頻度", "en": "Frequency"},
    "monetary": {"ja": "購入金額", "en": "Monetary"},
    "email": {"ja": "メール", "en": "E-mail"},
    "web": {"ja": "ウェブ", "en": "Web"},
    "support": {"ja": "サポート", "en": "Support"},
    "nps": {"ja": "NPS", "en": "NPS"},
}
_CAUSE_NAMES = {
    "first_seen": {"ja": "初登場", "en": "first appearance"},
    "late_data": {"ja": "遅れて届いた事実", "en": "facts that came late"},
    "merges": {"ja": "顧客の統合", "en": "records found to be one person"},
    "configuration": {"ja": "設定の変更", "en": "changed configuration"},
    "model_version": {"ja": "モデルの更新", "en": "new model version"},
    "ageing": {"ja": "時間の経過", "en": "time passing"},
    "own_events": {"ja": "本人の行動", "en": "what the customer did"},
}
_BANDS = {
    "low": {"ja": "低", "en": "low"},
    "medium": {"ja": "中", "en": "medium"},
    "high": {"ja": "高", "en": "high"},
}
_FORECAST = (
    "p_alive", "churn_risk", "churn_band", "expected_orders", "horizon_days", "clv_12m", "clv_low", "clv_high",
    "clv_rung", "expected_next_order_on",
)  # fmt: skip
_NAMES = ("customer_ref", "account_number", "crm_id")
_SHARED = "scoring-platform identity shared"


def explanation(engine: DuckDBEngine, settings: Settings, customer: str, *, day: date) -> dict[str, Any]:
    """Return what is published about one customer on a day.

    Args:
        engine: The engine.
        settings: Settings of this home.
        customer: Customer id, or any address, account number or id of shop or CRM known of the customer.
        day: A published day.

    Raises:
        ConfigurationError: Nobody is known under that name on that day.
    """
    customer_id = _customer_id(engine, customer, day)
    rows = {
        name: _row(engine, name, customer_id, day)
        for name in ("customer_profiles", "customer_scores", "customer_segments")
    }
    scores, profile, segment = rows["customer_scores"], rows["customer_profiles"], rows["customer_segments"]
    return {
        "customer_id": customer_id,
        "day": day,
        "identifiers": _identifiers(engine, customer_id, day),
        "segment": segment["segment"],
        "entered_on": segment["entered_on"],
        "total_score": scores["total_score"],
        "rfm_code": scores["rfm_code"],
        "parts": {part: scores[f"points_{part}"] for part in PARTS},
        "evidence": _evidence(profile, scores, window=settings.config.rfm.window_days),
        "forecast": {name: scores[name] for name in _FORECAST},
        "lead": lead_evidence(engine, settings, profile, scores=scores, day=day),
        "changes": _changes(engine, customer_id, day),
        "model_version": scores["model_version"],
        "config_version": scores["config_version"],
    }


def in_words(found: dict[str, Any], settings: Settings) -> str:
    """Return an explanation as lines in the report's language."""
    language = settings.config.report.language
    label = getattr(settings.config.segments.labels[found["segment"]], language)
    japanese = language == "ja"
    entered = f"— {found['entered_on']} から" if japanese else f"— since {found['entered_on']}"
    total = f"{found['total_score']} / 100   RFM: {found['rfm_code'] or '—'}"
    lines = [
        f"{found['customer_id']}  {found['day']}",
        f"{'セグメント' if japanese else 'Segment'}: {label} ({found['segment']}) {entered}",
        f"{'総合スコア' if japanese else 'Total score'}: {total}",
    ]
    lines += [_identifier(one) for one in found["identifiers"]]
    for part, points in found["parts"].items():
        lines.append(f"  {points / 100:6.2f}  {_PART_NAMES[part][language]}: {found['evidence'][part]}")
    lines += _changes_in_words(found["changes"], language)
    lines += _forecast_in_words(found["forecast"], language)
    lines += lead_in_words(found["lead"], language)
    lines.append(
        f"{'モデル' if japanese else 'Model'} {found['model_version']}, "
        f"{'設定' if japanese else 'configuration'} {found['config_version']}"
    )
    return "\n".join(lines)


def _changes_in_words(changes: dict[str, int] | None, language: str) -> list[str]:
    """Return the way from the total of the day before to this one."""
    if changes is None:
        return []
    way = f"{changes['total_before'] / 100:.2f} → {changes['total_after'] / 100:.2f}"
    lines = [f"{'前日から' if language == 'ja' else 'Since the day before'}: {way}"]
    lines += [
        f"  {changes[cause] / 100:+7.2f}  {names[language]}" for cause, names in _CAUSE_NAMES.items() if changes[cause]
    ]
    return lines


def _forecast_in_words(forecast: dict[str, Any], language: str) -> list[str]:
    """Return what is expected of a customer who has bought; nothing for a prospect."""
    if forecast["churn_risk"] is None:
        return []
    japanese, days = language == "ja", forecast["horizon_days"]
    risk = f"{forecast['churn_risk']:.0%} ({_BANDS[forecast['churn_band']][language]})"
    orders, value = f"{forecast['expected_orders']:.2f}", f"{forecast['clv_12m']:,.0f}"
    if forecast["clv_low"] is not None:
        value += f" ({forecast['clv_low']:,.0f} – {forecast['clv_high']:,.0f})"
    following = forecast["expected_next_order_on"] or "—"
    if japanese:
        return [
            f"離脱リスク: {risk} — 今後 {days} 日に購入しない確率。予想購入日数 {orders}",
            f"12 か月の顧客価値: {value}、{forecast['clv_rung']}。次回購入の目安: {following}",
        ]
    return [
        f"Churn risk: {risk}, the chance of no purchase in the next {days} days; {orders} purchase days expected",
        f"Value of the next 12 months: {value}, by {forecast['clv_rung']}; next order expected by {following}",
    ]


def _changes(engine: DuckDBEngine, customer_id: str, day: date) -> dict[str, int] | None:
    """Return why the total moved; None when the day has no changes yet."""
    table = engine.read(contract_of("score_changes"), [day])
    rows = table.filter(table.customer_id == customer_id).drop("customer_id", "as_of").to_pyarrow().to_pylist()
    return rows[0] if rows else None


def _identifier(one: dict[str, Any]) -> str:
    aside = f" — {one['set_aside']}; {_SHARED}" if one["set_aside"] else ""
    return f"  {one['id_kind']} {one['id_value']} ({one['source']}, {one['rule']}, {one['first_seen_on']}){aside}"


def _evidence(profile: dict[str, Any], scores: dict[str, Any], *, window: int) -> dict[str, str]:
    last, answered = profile["last_order_on"], profile["nps_answered_on"]
    sent, opens, clicks = (profile[f"email_{name}_90d"] for name in ("sent", "opens", "clicks"))
    return {
        "recency": f"{f'last_order_on {last}' if last else 'no purchase'}, band {scores['r'] or '—'}",
        "frequency": f"{scores['frequency']} purchase days in {window} days, band {scores['f'] or '—'}",
        "monetary": f"{scores['monetary']:,.0f} in {window} days, band {scores['m'] or '—'}",
        "email": f"{sent} sent, {opens} opened, {clicks} clicked in 90 days",
        "web": f"{profile['web_sessions_90d']} sessions, {profile['web_pageviews_90d']} pages in 90 days",
        "support": f"{profile['tickets_90d']} tickets, {profile['tickets_bad_90d']} rated bad in 90 days",
        "nps": f"answer {profile['nps_score']} on {answered}" if answered else "no answer",
    }


def _identifiers(engine: DuckDBEngine, customer_id: str, day: date) -> list[dict[str, Any]]:
    """Every identifier of the customer, where it was seen, why it is theirs, and why it links nobody if it does not.

    Addresses and devices are masked; numbers that systems give say nothing to whom they do not let in.
    """
    identities = engine.read(contract_of("customer_identities"), [day])
    own = identities.filter(identities.customer_id == customer_id).order_by("first_seen_on", "id_kind", "id_value")
    rows: list[dict[str, Any]] = own.drop("customer_id", "as_of").to_pyarrow().to_pylist()
    aside = _set_aside(engine, [_key(row["id_kind"], row["id_value"]) for row in rows], day)
    return [
        {
            **row,
            "id_value": "***" if row["id_kind"] == DEVICE else mask_text(row["id_value"]),
            "set_aside": aside.get(_key(row["id_kind"], row["id_value"])),
        }
        for row in rows
    ]


def _set_aside(engine: DuckDBEngine, keys: Sequence[str], day: date) -> dict[str, str]:
    """Return the reason for those of ``keys`` that link nobody on a day."""
    store = quarantine_table(contract_of("customer_identities"))
    found = engine.read(store, engine.lake.days(store.name, first=day, last=day))
    rows = found.filter(found.row_key.isin(list(keys))).select("row_key", "reason").to_pyarrow().to_pylist()
    return {row["row_key"]: row["reason"] for row in rows}


def _key(kind: str, value: str) -> str:
    return f"{kind}={value}"


def _customer_id(engine: DuckDBEngine, customer: str, day: date) -> str:
    table = contract_of("customer_identities")
    identities = engine.read(table, [day])
    wanted = customer.strip()
    address = str(engine.ibis.execute(normalise.email(ibis.literal(wanted))))
    named = identities.filter(
        (identities.customer_id == wanted)
        | ((identities.id_kind == "email") & (identities.id_value == address))
        | (identities.id_kind.isin(_NAMES) & (identities.id_value == wanted))
    )
    found = named.select("customer_id").distinct().to_pyarrow().to_pydict()["customer_id"]
    if len(found) == 1:
        return str(found[0])
    shared = _set_aside(engine, [_key("email", address), *(_key(kind, wanted) for kind in (*_NAMES, DEVICE))], day)
    why = "nobody is" if not found else f"{len(found)} customers are"
    msg = f"{why} known by that customer id, e-mail address, account number or id of shop or CRM on {day}"
    if shared and not found:
        msg = f"that identifier belongs to nobody on {day}: {'; '.join(shared.values())}. List them with: {_SHARED}"
    raise ConfigurationError(msg)


def _row(engine: DuckDBEngine, name: str, customer_id: str, day: date) -> dict[str, Any]:
    table = engine.read(contract_of(name), [day])
    rows: list[dict[str, Any]] = table.filter(table.customer_id == customer_id).to_pyarrow().to_pylist()
    if not rows:
        msg = f"{name} has no row for customer {customer_id} on {day}"
        raise ConfigurationError(msg)
    return rows[0]
