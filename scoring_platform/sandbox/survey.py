"""What customers answer to the NPS question.

Belongs here: answers, comments in Japanese and English, dismissals. Does not belong here: how the survey tool's API
words a response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from scoring_platform.sandbox.days import HOUR, MINUTE, opens_at
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.timeline import Version, versions_of

_SURVEY = 60
_PER_DAY = 1_000

_PRAISE = {
    "ja-JP": (
        "香りがとても良く、毎朝の楽しみになっています。",
        "配送が早くて助かりました。",
        "サポートの対応が丁寧でした。",
        "定期便が便利です。友人にも勧めました。",
        "価格のわりに品質が高いと思います。",
    ),
    "en-US": (
        "Great beans, and the delivery is always quick.",
        "Friendly support, they solved it the same day.",
        "Good value for the price.",
        "The site is easy to use.",
    ),
}
_MIXED = {
    "ja-JP": (
        "味は好きですが、送料が少し高いです。",
        "商品は良いのですが、サイトが少し使いにくいです。",
        "普通です。",
    ),
    "en-US": ("Nice coffee, but shipping is expensive.", "Fine overall, packaging could be better."),
}
_BLAME = {
    "ja-JP": (
        "届くのが遅く、箱もつぶれていました。",
        "問い合わせの返事がなかなか来ません。",
        "値上げが続いて残念です。",
        "味が以前と変わってしまいました。",
    ),
    "en-US": ("The parcel came late and damaged.", "Support took days to answer.", "Too expensive now."),
}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer in one of its states.

    Attributes:
        number: Number of the response.
        person: Index of the customer.
        identity: How the person is named: email, user_id, or unknown (an address no other system has).
        created_at: When the survey was shown.
        score: The answer; None when the survey was dismissed.
        comment: What was written.
        finished: Whether the person reached the end.
    """

    number: int
    person: int
    identity: str
    created_at: int
    score: int | None
    comment: str | None = None
    finished: bool = False


@dataclass
class Survey:
    """Shows the survey day by day, a week or two after an order."""

    seed: int
    _due: dict[int, list[int]] = field(default_factory=dict)

    def day(self, day: int, people: Sequence[Person], *, buyers: Sequence[int]) -> list[Version[Response]]:
        """Return the responses begun on ``day`` with all that will happen to them; days must come in order."""
        rng = np.random.default_rng([self.seed, _SURVEY, day])
        for index in buyers:
            if rng.random() < 0.12:
                self._due.setdefault(day + int(rng.integers(7, 15)), []).append(index)
        found: list[Version[Response]] = []
        for place, index in enumerate(self._due.pop(day, [])):
            number = day * _PER_DAY + place
            found += versions_of(number, _answer(rng, number, who=people[index], shown_on=day))
        return found


def _answer(rng: np.random.Generator, number: int, *, who: Person, shown_on: int) -> list[tuple[int, Response]]:
    at = opens_at(shown_on) + int(rng.integers(8 * HOUR, 23 * HOUR))
    score = int(np.clip(round(rng.normal(who.attitude, 1.1)), 0, 10))
    chance = rng.random(4)
    response = Response(
        number=number,
        person=who.index,
        identity=_identity(who, float(chance[0])),
        created_at=at,
        score=None if chance[1] < 0.14 else score,
    )
    if response.score is None:
        return [(at, response)]
    if chance[2] > 0.5:
        return [(at, replace(response, finished=True))]
    wait = int(rng.integers(MINUTE, 30 * MINUTE)) if chance[3] < 0.8 else int(rng.integers(20 * HOUR, 50 * HOUR))
    return [(at, response), (at + wait, replace(response, comment=_comment(rng, who, score=score), finished=True))]


def _identity(who: Person, chance: float) -> str:
    if who.email is None or chance < 0.16:
        return "user_id"
    return "unknown" if chance > 0.97 else "email"


def _comment(rng: np.random.Generator, who: Person, *, score: int) -> str:
    words = (_PRAISE if score >= 9 else _MIXED if score >= 7 else _BLAME)[who.locale]
    return words[int(rng.integers(len(words)))]
