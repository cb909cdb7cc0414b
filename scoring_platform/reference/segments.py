"""The page of the default segments: who is in which.

Belongs here: default rules to sentences. Does not belong here: deciding a segment (``domain.segments``).
"""

from __future__ import annotations

from scoring_platform.config.scoring import Condition, Range, SegmentRule, Segments
from scoring_platform.reference.markdown import WRITTEN_BY, code, table

_MEASURES = {
    "r": "recency band",
    "f": "frequency band",
    "m": "monetary band",
    "recency_days": "days since the last purchase day",
    "tenure_days": "days since the first purchase day",
    "order_days": "purchase days so far",
    "frequency": "purchase days in the window",
    "monetary": "net spend in the window",
    "total_score": "total score",
    "churn_risk": "churn risk",
}

_INTRODUCTION = """# Segments

Every customer is in exactly one segment. The rules are read from the top; the first one that holds decides, and whoever
fits none is in `{fallback}`. A rule has conditions to enter and, for some, wider ones to stay: a customer who entered
keeps the segment until a condition to stay fails, so that nobody moves to and fro at an edge. What counts is the last
day within {look_back} days on which the customer clearly entered or clearly left.

Bands go from 1 (worst) to 5 (best) among the buyers of the window. A customer who never bought has no bands. These are
the defaults; `segments.rules` and `segments.labels` of `scoring.yaml` replace them.
"""


def segments_page() -> str:
    """Return docs/segments.md."""
    rules = Segments()
    introduction = _INTRODUCTION.format(fallback=rules.fallback, look_back=rules.look_back_days)
    rows = [(str(n), *_named(rules, rule.segment), *_ways(rule)) for n, rule in enumerate(rules.rules, start=1)]
    rows.append((str(len(rows) + 1), *_named(rules, rules.fallback), "everyone else", ""))
    header = ("", "Segment", "日本語", "English", "Enters when all hold", "Stays while all hold")
    return f"{WRITTEN_BY}\n{introduction}\n{table(header, rows)}"


def _named(rules: Segments, segment: str) -> tuple[str, str, str]:
    label = rules.labels[segment]
    return code(segment), label.ja, label.en


def _ways(rule: SegmentRule) -> tuple[str, str]:
    return _condition_words(rule.enter), "" if rule.stay is None else _condition_words(rule.stay)


def _condition_words(condition: Condition) -> str:
    return "; ".join(f"{_MEASURES[measure]} {_range_words(limits)}" for measure, limits in condition.items())


def _range_words(limits: Range) -> str:
    low, high = (None if end is None else f"{end:g}" for end in (limits.min, limits.max))
    if low == high:
        return f"exactly {low}"
    if low is None or high is None:
        return f"at most {high}" if low is None else f"at least {low}"
    return f"{low} to {high}"
