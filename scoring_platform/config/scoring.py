"""The configuration of scores and segments: what a marketer changes.

Belongs here: windows, weights, half-lives, bands, segment rules and labels. Does not belong here: formulas
(``domain``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scoring_platform.config.base import PlainText, Section

PARTS = ("recency", "frequency", "monetary", "email", "web", "support", "nps")
Cutoffs = Annotated[tuple[float, float, float, float], Field(description="Four limits from worst to best")]


class ConsentRules(Section):
    """How unknown consent is read."""

    tracking_default: Literal["granted", "denied"] = Field(
        "denied", description="Web activity of a customer whose tracking consent is unknown"
    )


class EmailProvider(Section):
    """A mail provider that delivers several spellings of an address to one mailbox."""

    ignore_dots: bool = Field(default=False, description="Dots before the @ make no difference")
    ignore_plus: bool = Field(default=False, description="What follows a plus before the @ makes no difference")
    also: tuple[str, ...] = Field((), description="Further domains of the same mailboxes")


class IdentityRules(Section):
    """Which identifiers make one customer."""

    shared_limit: int = Field(
        10,
        ge=1,
        description="An identifier seen with more others of one kind than this is shared by different people: nobody's",
    )
    group_limit: int = Field(
        500, ge=2, description="More linked identifiers than this, devices apart, are not one person: links dropped"
    )
    email_providers: dict[str, EmailProvider] = Field(
        default_factory=dict, description="Domain of a provider to its rules, such as gmail.com"
    )


class FixedCutoffs(Section):
    """Limits used while a shop has too few buyers; a value strictly better than a limit reaches the next band."""

    recency_days: Cutoffs = (365, 180, 90, 30)
    frequency: Cutoffs = (1, 2, 4, 8)
    monetary: Cutoffs = (5_000, 15_000, 40_000, 100_000)

    @model_validator(mode="after")
    def _ordered(self) -> FixedCutoffs:
        for name, descending in (("recency_days", True), ("frequency", False), ("monetary", False)):
            values = list(getattr(self, name))
            if values != sorted(values, reverse=descending):
                order = "falling" if descending else "rising"
                msg = f"{name} must be {order}, from worst to best: {values}"
                raise ValueError(msg)
        return self


class Rfm(Section):
    """Recency, frequency, monetary."""

    window_days: int = Field(365, ge=1, le=3650, description="Window of frequency and monetary")
    minimum_buyers: int = Field(50, ge=1, description="Fewer buyers than this: the fixed cut-offs")
    fixed_cutoffs: FixedCutoffs = FixedCutoffs()


class Weights(Section):
    """Share of each part in the total score; they are made to add up to 100."""

    recency: float = Field(20, ge=0)
    frequency: float = Field(20, ge=0)
    monetary: float = Field(20, ge=0)
    email: float = Field(15, ge=0)
    web: float = Field(10, ge=0)
    support: float = Field(5, ge=0)
    nps: float = Field(10, ge=0)

    @model_validator(mode="after")
    def _some_weight(self) -> Weights:
        if self.recency + self.frequency + self.monetary <= 0:
            msg = "recency, frequency and monetary cannot all be 0: every shop has orders, not every one has the rest"
            raise ValueError(msg)
        return self


class Signal(Section):
    """How one channel's activity becomes a part of the score.

    A signal of one ``scale`` moves the part half of the way from neutral to its end; each signal loses half of its
    weight every ``half_life_days``.
    """

    half_life_days: int = Field(30, ge=1, le=365)
    scale: float = Field(gt=0, description="Signal that moves the part half of the way")
    neutral: float = Field(0.5, ge=0, le=1, description="Share of the part a silent customer gets")
    positive: dict[str, Annotated[float, Field(gt=0)]] = Field(description="Activity column and its weight")
    negative: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Activity column and its weight"
    )

    @model_validator(mode="after")
    def _known_columns(self) -> Signal:
        unknown = sorted((set(self.positive) | set(self.negative)) - set(SIGNAL_COLUMNS))
        if unknown:
            msg = f"unknown activity {', '.join(unknown)}; known: {', '.join(SIGNAL_COLUMNS)}"
            raise ValueError(msg)
        return self


SIGNAL_COLUMNS = (
    "email_sent",
    "email_opens",
    "email_clicks",
    "email_unsubscribes",
    "web_sessions",
    "web_pageviews",
    "web_engaged_seconds",
    "web_conversions",
    "tickets",
    "tickets_bad",
    "tickets_good",
    "events",
)


class Scoring(Section):
    """The total score."""

    horizon_days: int = Field(90, ge=1, le=730, description="Horizon of the churn risk and of expected orders")
    weights: Weights = Weights()
    engagement_window_days: int = Field(180, ge=1, le=730, description="Activity older than this does not count")
    email: Signal = Signal(
        half_life_days=30,
        scale=4,
        positive={"email_opens": 1, "email_clicks": 3},
        negative={"email_sent": 0.25, "email_unsubscribes": 8},
    )
    web: Signal = Signal(half_life_days=21, scale=6, positive={"web_sessions": 1, "web_conversions": 3})
    support: Signal = Signal(
        half_life_days=60, scale=2, positive={"tickets_good": 1}, negative={"tickets": 0.5, "tickets_bad": 3}
    )
    nps_valid_days: int = Field(365, ge=1, description="An NPS answer counts this long")
    nps_neutral: float = Field(0.5, ge=0, le=1, description="Share of the part without an answer")


class Churn(Section):
    """Bands of the churn risk."""

    medium: float = Field(0.5, ge=0, le=1, description="Risk from which the band is medium")
    high: float = Field(0.8, ge=0, le=1, description="Risk from which the band is high")

    @model_validator(mode="after")
    def _rising(self) -> Churn:
        if self.medium > self.high:
            msg = f"medium {self.medium} is above high {self.high}"
            raise ValueError(msg)
        return self


class Clv(Section):
    """Customer lifetime value of the next twelve months."""

    margin: float = Field(1.0, gt=0, le=1, description="Share of net spend that is counted as value")
    annual_discount_rate: float = Field(0.1, ge=0, le=1, description="Value of a purchase a year ahead is less by this")


class Range(Section):
    """A closed range; either end may be left open."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Range:
        if self.min is None and self.max is None:
            msg = "give min, max or both"
            raise ValueError(msg)
        if self.min is not None and self.max is not None and self.min > self.max:
            msg = f"min {self.min} is above max {self.max}"
            raise ValueError(msg)
        return self


Measure = Literal[
    "r", "f", "m", "recency_days", "tenure_days", "order_days", "frequency", "monetary", "total_score", "churn_risk"
]
Condition = dict[Measure, Range]


class Label(Section):
    """The name of a segment where people read it."""

    ja: PlainText
    en: PlainText
    color: str = Field("#64748b", pattern=r"^#[0-9a-fA-F]{6}$", description="Colour in the report")


class SegmentRule(Section):
    """Who enters a segment and who stays in it; the first rule that holds wins."""

    segment: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    enter: Condition = Field(description="All must hold to enter", min_length=1)
    stay: Condition | None = Field(None, description="All must hold to stay; wider than `enter`, by default the same")

    @model_validator(mode="after")
    def _stay_is_wider(self) -> SegmentRule:
        if self.stay is None:
            return self
        for measure, stay in self.stay.items():
            enter = self.enter.get(measure)
            if enter is None or not _contains(stay, enter):
                msg = f"stay.{measure} must contain enter.{measure}, or who enters would leave at once"
                raise ValueError(msg)
        return self


def _contains(outer: Range, inner: Range) -> bool:
    low = outer.min is None or (inner.min is not None and outer.min <= inner.min)
    high = outer.max is None or (inner.max is not None and outer.max >= inner.max)
    return low and high


Limits = tuple[float | None, float | None]


def _rule(segment: str, enter: dict[str, Limits], **stay: Limits) -> SegmentRule:
    def ranges(limits: dict[str, Limits]) -> dict[str, Range]:
        return {name: Range(min=low, max=high) for name, (low, high) in limits.items()}

    return SegmentRule.model_validate(
        {"segment": segment, "enter": ranges(enter), "stay": ranges(stay) if stay else None}
    )


_RULES = (
    _rule("prospect", {"order_days": (None, 0)}),
    _rule("new", {"tenure_days": (None, 30), "order_days": (1, 2)}),
    _rule("vip", {"r": (4, None), "f": (4, None), "m": (4, None)}, r=(3, None), f=(4, None), m=(3, None)),
    _rule("loyal", {"r": (3, None), "f": (3, None)}, r=(3, None), f=(2, None)),
    _rule("promising", {"r": (4, None)}, r=(3, None)),
    _rule("needs_attention", {"r": (3, None)}),
    _rule("cant_lose", {"f": (4, None), "m": (4, None)}, f=(3, None), m=(4, None)),
    _rule("at_risk", {"f": (3, None)}, f=(2, None)),
    _rule("dormant", {"recency_days": (None, 365)}),
)

_LABELS = {
    "vip": Label(ja="VIP", en="VIP", color="#7c3aed"),
    "loyal": Label(ja="ロイヤル", en="Loyal", color="#2563eb"),
    "promising": Label(ja="ハイポテンシャル", en="Promising", color="#0d9488"),
    "new": Label(ja="新規", en="New", color="#65a30d"),
    "needs_attention": Label(ja="要注意", en="Needs attention", color="#ca8a04"),
    "at_risk": Label(ja="アットリスク", en="At risk", color="#ea580c"),
    "cant_lose": Label(ja="離脱阻止", en="Can't lose", color="#dc2626"),
    "dormant": Label(ja="休眠", en="Dormant", color="#64748b"),
    "lost": Label(ja="離脱", en="Lost", color="#475569"),
    "prospect": Label(ja="見込み", en="Prospect", color="#0284c7"),
}


class Segments(Section):
    """The ordered rule list that puts every customer in exactly one segment."""

    look_back_days: int = Field(60, ge=1, le=180, description="Membership is the last decisive day within this time")
    rules: tuple[SegmentRule, ...] = Field(_RULES, description="The first rule that holds wins", min_length=1)
    fallback: str = Field("lost", description="Segment of everyone else")
    labels: dict[str, Label] = Field(default_factory=lambda: dict(_LABELS), description="Names by language")

    @property
    def codes(self) -> tuple[str, ...]:
        """Every segment, in rule order, the fallback last."""
        return (*dict.fromkeys(rule.segment for rule in self.rules), self.fallback)

    @model_validator(mode="after")
    def _every_segment_has_a_label(self) -> Segments:
        names = [rule.segment for rule in self.rules]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated or self.fallback in names:
            msg = f"each segment has one rule and the fallback has none: {', '.join(repeated or [self.fallback])}"
            raise ValueError(msg)
        missing = [code for code in self.codes if code not in self.labels]
        if missing:
            msg = f"no label for {', '.join(missing)}: add it under segments.labels with ja and en"
            raise ValueError(msg)
        return self
