"""The configuration of the lead score: what shows intent, and who fits.

Belongs here: groups of signals with their caps, factors of fit, the threshold. Does not belong here: formulas
(``domain.leads``).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from scoring_platform.config.base import Section
from scoring_platform.config.scoring import SIGNAL_COLUMNS

EVENT = "event:"
"""What a signal begins with that is a kind of behaviour event."""

_EVENT_SIGNAL = re.compile(r"event:\S(.*\S)?")
Attribute = Literal["region", "locale", "product_category"]
GroupName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Factor = Annotated[float, Field(ge=0, le=10)]


class IntentGroup(Section):
    """Signals of one kind of intent: their points fade with time and are capped together."""

    half_life_days: int = Field(30, ge=1, le=365, description="A signal is worth half as much after so many days")
    cap: float = Field(gt=0, le=100, description="Most points the group gives")
    points: dict[str, Annotated[float, Field(gt=0, le=100)]] = Field(
        min_length=1, description="Points of each signal: an activity column, or `event:` and a kind of event"
    )

    @model_validator(mode="after")
    def _known_signals(self) -> IntentGroup:
        unknown = sorted(
            name for name in self.points if name not in SIGNAL_COLUMNS and not _EVENT_SIGNAL.fullmatch(name)
        )
        if unknown:
            known = f"{', '.join(SIGNAL_COLUMNS)}, and event:KIND with any kind of raw_events"
            msg = f"points: unknown signal {', '.join(map(repr, unknown))}; known: {known}"
            raise ValueError(msg)
        return self


class Fit(Section):
    """What an attribute multiplies the intent by; letter case and spaces around a value make no difference."""

    values: dict[Annotated[str, StringConstraints(min_length=1)], Factor] = Field(
        default_factory=dict, description="Value and its factor"
    )
    default: Factor = Field(1.0, description="Factor of any other value")
    unknown: Factor = Field(1.0, description="Factor where the value is not known")

    @property
    def largest(self) -> float:
        """The greatest factor there is."""
        return max(self.default, self.unknown, *self.values.values())

    @model_validator(mode="after")
    def _each_value_once(self) -> Fit:
        spelled = [value.lower() for value in self.values]
        repeated = sorted({value for value in spelled if spelled.count(value) > 1})
        if repeated:
            msg = f"values: {', '.join(map(repr, repeated))} is given twice; letter case makes no difference"
            raise ValueError(msg)
        return self


def _intent() -> dict[str, IntentGroup]:
    return {
        "web": IntentGroup(
            half_life_days=14, cap=30, points={"web_sessions": 3, "web_pageviews": 0.5, "web_conversions": 10}
        ),
        "email": IntentGroup(half_life_days=21, cap=20, points={"email_opens": 1, "email_clicks": 5}),
        "forms": IntentGroup(half_life_days=30, cap=30, points={"event:form": 15}),
        "content": IntentGroup(half_life_days=30, cap=30, points={"event:download": 10, "event:webinar": 20}),
        "trying": IntentGroup(half_life_days=14, cap=40, points={"event:cart_abandoned": 15, "event:trial": 30}),
    }


class Leads(Section):
    """The score of prospects: the points of their intent, times how well they fit."""

    window_days: int = Field(90, ge=1, le=730, description="Signals older than this do not count")
    mql_threshold: int = Field(50, ge=0, le=100, description="Lead score from which a prospect is an MQL")
    intent: dict[GroupName, IntentGroup] = Field(
        default_factory=_intent, min_length=1, description="Groups of signals; their points are added, up to 100"
    )
    fit: dict[Attribute, Fit] = Field(
        default_factory=dict,
        description="Factors by attribute: region, locale, or product_category, which is the latest `category` among "
        "the properties of the prospect's events; all of them are multiplied",
    )

    @model_validator(mode="after")
    def _each_signal_once(self) -> Leads:
        places: dict[str, list[str]] = {}
        for name, group in self.intent.items():
            for signal in group.points:
                places.setdefault(signal, []).append(name)
        for signal, groups in places.items():
            if len(groups) > 1:
                both = " and ".join(sorted(groups))
                msg = f"intent: {signal} stands in {both}, so it would count twice: leave it in one"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _threshold_can_be_reached(self) -> Leads:
        most = min(100.0, sum(group.cap for group in self.intent.values()))
        for fit in self.fit.values():
            most *= fit.largest
        if most < self.mql_threshold - 0.5:
            msg = f"mql_threshold {self.mql_threshold} cannot be reached: caps and factors allow {most:g} at most"
            raise ValueError(msg)
        return self
