"""A preview in words, in the report's language.

Belongs here: figures to lines. Does not belong here: the figures (``pipeline.preview``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scoring_platform.config.load import LoadedConfig
from scoring_platform.config.scoring import Range
from scoring_platform.domain.moves import Cause
from scoring_platform.pipeline.preview import Effect, Mover, Pair, Preview
from scoring_platform.pipeline.sides import BANDED

_EN = {
    "title": "{day}: {one} ({one_version}) → {other} ({other_version}). Nothing is written.",
    "left_out": "Left out, because facts depend on them and only a run reads facts: {sections}",
    "same": "Nothing differs that scores and segments are computed by.",
    "settings": "Settings",
    "published": "The day is published under configuration {version}; what is in force is computed here, not read.",
    "elsewhere": "{n:,} customers are published in another segment than the left side says: settings, facts or "
    "models have changed since.",
    "models": "Cut-offs and models: {before} → {after}",
    "segments": "Customers by segment",
    "moves": "{n:,} of {all:,} customers move",
    "move": "{n:>7,}  {way}, value at stake {value}",
    "total": "Total score: mean {before} → {after}; {any:,} customers change, {one:,} by 1 point or more, "
    "{five:,} by 5 or more",
    "churn": "Churn risk: {bands}",
    "clv": "Value of the next 12 months: {before} → {after}",
    "leads": "Lead score: mean {before} → {after}; MQLs {mql_before:,} → {mql_after:,}",
    "movers": "Who moves and why: {n:,} of {all:,}, the most value at stake first (all with --json)",
    "mover": "{who}  {way}, value at stake {value}",
    "score": "total {before:.2f} → {after:.2f}{parts}",
    "holds": "now meets {rules}",
    "fails": "no longer meets {rules}",
    "is": "{measure} is {value}",
    "cut_offs": "cut-offs moved",
    "window": "{measure} {before} → {after}",
    "past_holds": "neither enters nor leaves {segments} on this day; entered last within the look-back",
    "past_fails": "neither enters nor leaves {segments} on this day; left last within the look-back, or never entered",
    "rule_holds": "new rule: {segments}",
    "rule_fails": "rules that are gone: {segments}",
    "order": "{to} stands before {way_from} now",
    "fallback": "everyone else is in {to} now",
    "at_least": "{min} or more",
    "at_most": "{max} or less",
    "between": "{min} to {max}",
    "any": "any",
    "low": "low", "medium": "medium", "high": "high",
    "recency": "Recency", "frequency": "Frequency", "monetary": "Monetary",
    "email": "E-mail", "web": "Web", "support": "Support", "nps": "NPS",
}  # fmt: skip
_JA = {
    "title": "{day}：{one} ({one_version}) → {other} ({other_version})。何も書き込みません。",
    "left_out": "次の設定の影響は含みません（事実の取り込みから変わるため、実行するまで分かりません）：{sections}",
    "same": "スコアとセグメントの計算に使う設定に違いはありません。",
    "settings": "設定の違い",
    "published": "この日は設定 {version} で公開されています。左側は現在の設定で計算し直した値です。",
    "elsewhere": "公開中のセグメントが左側と異なる顧客が {n:,} 人います（その後、設定、事実、モデルが変わりました）。",
    "models": "区切り値とモデル：{before} → {after}",
    "segments": "セグメント別の顧客数",
    "moves": "{all:,} 人のうち {n:,} 人が移動",
    "move": "{n:>7,}  {way}、影響金額 {value}",
    "total": "総合スコア：平均 {before} → {after}。変わる顧客 {any:,} 人（1 点以上 {one:,} 人、5 点以上 {five:,} 人）",
    "churn": "離脱リスク：{bands}",
    "clv": "12 か月の顧客価値：{before} → {after}",
    "leads": "リードスコア：平均 {before} → {after}。MQL {mql_before:,} → {mql_after:,}",
    "movers": "移動する顧客と理由：影響金額の大きい順に {all:,} 人中 {n:,} 人（全員は --json）",
    "mover": "{who}  {way}、影響金額 {value}",
    "score": "総合 {before:.2f} → {after:.2f}{parts}",
    "holds": "{rules} を満たすようになる",
    "fails": "{rules} を満たさなくなる",
    "is": "{measure} は {value}",
    "cut_offs": "区切り値の変更",
    "window": "{measure} {before} → {after}",
    "past_holds": "{segments}：この日は入る条件と出る条件の間。さかのぼる期間で最後に「入る」",
    "past_fails": "{segments}：この日は入る条件と出る条件の間。さかのぼる期間で最後に「出る」、または「入る」なし",
    "rule_holds": "追加されたルール：{segments}",
    "rule_fails": "なくなったルール：{segments}",
    "order": "{to} が {way_from} より先に判定される",
    "fallback": "どのルールにも当てはまらない顧客は {to} に入る",
    "at_least": "{min} 以上",
    "at_most": "{max} 以下",
    "between": "{min}〜{max}",
    "any": "条件なし",
    "low": "低", "medium": "中", "high": "高",
    "recency": "最終購入", "frequency": "購入頻度", "monetary": "購入金額",
    "email": "メール", "web": "ウェブ", "support": "サポート", "nps": "NPS",
}  # fmt: skip
_LARGE = 1e5


@dataclass(frozen=True)
class _Voice:
    """How a preview is said: in one language, segments by their labels."""

    language: Literal["ja", "en"]
    before: LoadedConfig
    after: LoadedConfig

    def say(self, name: str, **values: Any) -> str:
        return (_JA if self.language == "ja" else _EN)[name].format(**values)

    def segment(self, code: str) -> str:
        labels = {**self.before.config.segments.labels, **self.after.config.segments.labels}
        return f"{getattr(labels[code], self.language)} ({code})"

    def way(self, one: str, other: str) -> str:
        return f"{self.segment(one)} → {self.segment(other)}"


def in_words(found: Preview, before: LoadedConfig, after: LoadedConfig) -> str:
    """Return a preview as lines in the report's language.

    Args:
        found: The preview.
        before: The configuration in force; its report's language is used.
        after: The other.
    """
    voice = _Voice(before.config.report.language, before, after)
    versions = found.config_version
    lines = [
        voice.say(
            "title", day=found.day, one=before.path.name, one_version=versions.before,
            other=after.path.name, other_version=versions.after,
        )
    ]  # fmt: skip
    if found.left_out:
        lines.append(voice.say("left_out", sections=", ".join(found.left_out)))
    if found.effect is None:
        return "\n".join([*lines, voice.say("same")])
    lines += _published(voice, found.effect, versions.before)
    lines += ["", voice.say("settings")]
    lines += [f"  {one.setting}: {_value(one.before)} → {_value(one.after)}" for one in found.settings]
    lines += _figures(voice, found.effect)
    lines += _movers(voice, found.effect)
    return "\n".join(lines)


def _published(voice: _Voice, effect: Effect, in_force: str) -> Iterator[str]:
    if effect.published.config_version != in_force:
        yield voice.say("published", version=effect.published.config_version)
    if effect.published.elsewhere:
        yield voice.say("elsewhere", n=effect.published.elsewhere)
    if effect.model_version.before != effect.model_version.after:
        yield voice.say("models", before=effect.model_version.before, after=effect.model_version.after)


def _figures(voice: _Voice, effect: Effect) -> Iterator[str]:
    yield from ("", voice.say("segments"))
    for code, pair in effect.segments.items():
        yield f"  {pair.before:>7,} → {pair.after:>7,}  {_signed(pair):>7}  {voice.segment(code)}"
    yield from ("", voice.say("moves", n=_moving(effect), all=effect.customers))
    for move in effect.moves:
        way = voice.way(move.from_segment, move.to_segment)
        yield "  " + voice.say("move", n=move.customers, way=way, value=f"{move.value_at_stake:,.0f}")
    changed = effect.changed
    yield ""
    yield voice.say("total", **_means(effect.mean_total), any=changed[0], one=changed[1], five=changed[5])
    bands = [f"{voice.say(band)} {pair.before:,} → {pair.after:,}" for band, pair in effect.churn_bands.items()]
    yield voice.say("churn", bands=", ".join(bands))
    yield voice.say("clv", before=f"{effect.clv_12m.before:,.0f}", after=f"{effect.clv_12m.after:,.0f}")
    if effect.mean_lead_score != Pair(None, None):
        mqls = {"mql_before": effect.mqls.before, "mql_after": effect.mqls.after}
        yield voice.say("leads", **_means(effect.mean_lead_score), **mqls)


def _movers(voice: _Voice, effect: Effect) -> Iterator[str]:
    if effect.movers:
        yield from ("", voice.say("movers", n=len(effect.movers), all=_moving(effect)))
    for mover in effect.movers:
        who = f"{mover.customer_id}  {mover.email}" if mover.email else mover.customer_id
        way = voice.way(mover.from_segment, mover.to_segment)
        yield "  " + voice.say("mover", who=who, way=way, value=f"{mover.value_at_stake:,.0f}")
        yield "    " + _score(voice, mover)
        yield from (f"    {line}" for line in _causes(voice, effect, mover))


def _moving(effect: Effect) -> int:
    return sum(move.customers for move in effect.moves)


def _score(voice: _Voice, mover: Mover) -> str:
    moved = {part: pair.after - pair.before for part, pair in mover.parts.items() if pair.after != pair.before}
    largest = sorted(moved.items(), key=lambda one: -abs(one[1]))
    parts = ", ".join(f"{voice.say(part)} {points / 100:+.2f}" for part, points in largest)
    total = mover.total
    return voice.say("score", before=total.before / 100, after=total.after / 100, parts=f" ({parts})" if parts else "")


def _causes(voice: _Voice, effect: Effect, mover: Mover) -> Iterator[str]:
    """Say why somebody moves, what is alike in one line."""
    alike: dict[tuple[str, bool, str | None], list[Cause]] = {}
    for cause in mover.causes:
        alike.setdefault((cause.kind, cause.holds, cause.measure), []).append(cause)
    for (kind, holds, measure), group in alike.items():
        if kind == "condition" and measure is not None:
            rules = ", ".join(_rule(voice, cause) for cause in group)
            met = voice.say("holds" if holds else "fails", rules=rules)
            yield f"{_value_of(voice, effect, mover, measure, group[0])}; {met}"
        elif kind in {"order", "fallback"}:
            yield voice.say(kind, to=mover.to_segment, way_from=mover.from_segment)
        else:
            segments = ", ".join(cause.segment for cause in group)
            yield voice.say(f"{kind}_{'holds' if holds else 'fails'}", segments=segments)


def _rule(voice: _Voice, cause: Cause) -> str:
    """Name a condition with its range, or both of them."""
    before, after = _range(voice, cause.range_before), _range(voice, cause.range_after)
    return f"{cause.segment}.{cause.to}.{cause.measure} ({after if before == after else f'{before} → {after}'})"


def _value_of(voice: _Voice, effect: Effect, mover: Mover, measure: str, cause: Cause) -> str:
    before, after = _value(cause.value_before), _value(cause.value_after)
    if before == after:
        return voice.say("is", measure=measure, value=after)
    why = "; ".join(_origin(voice, effect, mover, measure))
    return f"{measure} {before} → {after}{f' ({why})' if why else ''}"


def _origin(voice: _Voice, effect: Effect, mover: Mover, band: str) -> Iterator[str]:
    """Say what a band changed by: the cut-offs, what it is a band of, or no purchase in the window on one side."""
    if band not in BANDED:
        return
    bought = mover.measures.get("frequency")
    empty = bought is not None and not (bought.before and bought.after)
    below = "frequency" if empty else BANDED[band]
    if not empty and effect.cut_offs[below].before != effect.cut_offs[below].after:
        yield voice.say("cut_offs")
    if below in mover.measures:
        pair = mover.measures[below]
        yield voice.say("window", measure=below, before=_value(pair.before), after=_value(pair.after))


def _range(voice: _Voice, limits: Range | None) -> str:
    if limits is None:
        return voice.say("any")
    kind = "at_most" if limits.min is None else "at_least" if limits.max is None else "between"
    return voice.say(kind, min=_value(limits.min), max=_value(limits.max))


def _means(pair: Pair) -> dict[str, str]:
    return {
        name: "—" if one is None else f"{one:.2f}" for name, one in (("before", pair.before), ("after", pair.after))
    }


def _signed(pair: Pair) -> str:
    return f"{pair.after - pair.before:+,}" if pair.after != pair.before else "±0"


def _value(value: Any) -> str:
    """Return a plain value as a person reads it; — for none."""
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.6g}" if abs(value) < _LARGE else f"{value:.2f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_value(inner)}' for name, inner in value.items())}}}"
    return value if isinstance(value, str) else json.dumps(value)
