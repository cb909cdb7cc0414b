"""A lead score in words: intent by group with its evidence, fit, and whether that makes an MQL.

Belongs here: Japanese and English. Does not belong here: reading (``leads``), formulas (``domain.leads``).
"""

from __future__ import annotations

from typing import Any

from scoring_platform.config.leads import EVENT

_GROUPS = {
    "web": {"ja": "ウェブ", "en": "Web"},
    "email": {"ja": "メール", "en": "E-mail"},
    "forms": {"ja": "フォーム", "en": "Forms"},
    "content": {"ja": "資料・ウェビナー", "en": "Content"},
    "trying": {"ja": "購入検討", "en": "Trying"},
}
_SIGNALS = {
    "email_sent": {"ja": "配信", "en": "mails sent"},
    "email_opens": {"ja": "開封", "en": "opens"},
    "email_clicks": {"ja": "クリック", "en": "clicks"},
    "email_unsubscribes": {"ja": "配信停止", "en": "unsubscribes"},
    "web_sessions": {"ja": "訪問", "en": "sessions"},
    "web_pageviews": {"ja": "ページ閲覧", "en": "pages"},
    "web_engaged_seconds": {"ja": "閲覧秒数", "en": "engaged seconds"},
    "web_conversions": {"ja": "コンバージョン", "en": "key events"},
    "tickets": {"ja": "問い合わせ", "en": "tickets"},
    "tickets_bad": {"ja": "低評価の問い合わせ", "en": "tickets rated bad"},
    "tickets_good": {"ja": "高評価の問い合わせ", "en": "tickets rated good"},
    "events": {"ja": "行動イベント", "en": "events"},
    "event:form": {"ja": "フォーム送信", "en": "form"},
    "event:download": {"ja": "資料ダウンロード", "en": "download"},
    "event:webinar": {"ja": "ウェビナー参加", "en": "webinar"},
    "event:trial": {"ja": "お試し", "en": "trial"},
    "event:cart_abandoned": {"ja": "カート放棄", "en": "cart abandoned"},
}
_ATTRIBUTES = {
    "region": {"ja": "地域", "en": "region"},
    "locale": {"ja": "言語", "en": "locale"},
    "product_category": {"ja": "関心のある商品カテゴリー", "en": "product category"},
}


def lead_in_words(lead: dict[str, Any] | None, language: str) -> list[str]:
    """Return the lines about a lead score; none for who has bought.

    Args:
        lead: What ``leads.lead_evidence`` returns.
        language: ja or en.
    """
    if lead is None:
        return []
    published, now = (lead["score"], lead["mql"]), (lead["score_now"], lead["mql_now"])
    name, since = (
        ("リードスコア", "現在の事実と設定では") if language == "ja" else ("Lead score", "by facts and rules of now")
    )
    lines = [f"{name}: {_score(published, lead['mql_threshold'] if published == now else None, language)}"]
    if published != now:
        lines.append(f"  {since}: {_score(now, lead['mql_threshold'], language)}")
    for group, found in lead["intent"].items():
        label = _GROUPS.get(group, {}).get(language, group)
        most = f"（上限 {found['cap']:g}）" if language == "ja" else f" (at most {found['cap']:g})"
        lines.append(f"  {found['points']:6.2f}  {label}{most}: {_evidence(lead, found, language)}")
    return lines + [_fit(attribute, found, language) for attribute, found in lead["fit"].items()]


def _score(found: tuple[int | None, bool | None], threshold: int | None, language: str) -> str:
    """Return a score and whether it makes an MQL; the threshold, unless another one may have been in force."""
    score, mql = found
    if score is None:
        return "— シグナルの取得元がありません" if language == "ja" else "— no signal has a source"
    if language == "ja":
        limit = "" if threshold is None else f"（{threshold} 以上で MQL）"
        return f"{score} / 100 — {'MQL です' if mql else 'MQL ではありません'}{limit}"
    limit = "" if threshold is None else f" (from {threshold})"
    return f"{score} / 100 — {'an' if mql else 'not an'} MQL{limit}"


def _evidence(lead: dict[str, Any], found: dict[str, Any], language: str) -> str:
    days = lead["window_days"]
    if not found["has_source"]:
        return "取得元なし" if language == "ja" else "no source"
    if not found["signals"]:
        return f"{days} 日間なし" if language == "ja" else f"nothing in {days} days"
    told = []
    for one in found["signals"]:
        name = _SIGNALS.get(one["signal"], {}).get(language, one["signal"].removeprefix(EVENT))
        last = f"（最終 {one['last_on']}）" if language == "ja" else f" (last on {one['last_on']})"
        told.append(f"{name} {one['n']}{last}")
    return ("、" if language == "ja" else ", ").join(told)


def _fit(attribute: str, found: dict[str, Any], language: str) -> str:
    words = ("その他", "不明") if language == "ja" else ("another", "unknown")
    value = found["value"] or words[0 if found["known"] else 1]
    return f"  × {found['factor']:4.2f}  {_ATTRIBUTES[attribute][language]}: {value}"
