"""Who visits the shop's site.

Belongs here: one row per visitor, day and campaign, and when analytics has it. Does not belong here: how a report is
worded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from scoring_platform.sandbox.days import DAY, HOUR, opens_at
from scoring_platform.sandbox.mailings import Traits

NOT_SET = "(not set)"
MEDIUM_OF = {
    "(direct)": "(none)",
    "(organic)": "organic",
    "(referral)": "referral",
    "coffee_search": "cpc",
}
_CAMPAIGNS = tuple(MEDIUM_OF)
_VISITS = 40


@dataclass(frozen=True, slots=True)
class Visit:
    """What one visitor did on one day, coming from one campaign.

    Attributes:
        day: Number of the day.
        person: Index of the customer; None for everybody who is not signed in.
        campaign: What brought them.
        medium: Kind of the campaign.
        sessions: Visits.
        pages: Pages viewed.
        seconds: Time with a page in front.
        conversions: Key events.
        known_at: When analytics has the row; figures settle for a day or two.
    """

    day: int
    person: int | None
    campaign: str
    medium: str
    sessions: int
    pages: int
    seconds: int
    conversions: int
    known_at: int


class VisitLog:
    """All visits, and how many of them analytics knows at a moment."""

    def __init__(self, visits: Iterable[Visit] = ()) -> None:
        """Keep ``visits`` in the order in which analytics gets to know them."""
        self._visits = sorted(visits, key=lambda visit: visit.known_at)
        self._known_at = [visit.known_at for visit in self._visits]

    def with_more(self, visits: Iterable[Visit]) -> VisitLog:
        """Return a log with these visits too."""
        return VisitLog([*self._visits, *visits])

    def known(self, now: int) -> int:
        """Return how many visits are known at ``now``."""
        return bisect_right(self._known_at, now)

    def first(self, count: int) -> Iterator[Visit]:
        """Yield the ``count`` visits known first."""
        return islice(self._visits, count)


def visit(
    seed: int, day: int, *, traits: Traits, count: int, buyers: Sequence[int], clicks: Sequence[tuple[int, str]]
) -> list[Visit]:
    """Return the visits of a day.

    Args:
        seed: Seed of the population.
        day: Number of the day.
        traits: Traits of at least the first ``count`` customers.
        count: How many accounts exist on that day.
        buyers: Customers who order on the site that day.
        clicks: Customers who follow a mailing to the site that day, with its name.
    """
    rng = np.random.default_rng([seed, _VISITS, day])
    alive = np.where(traits.dropped_out_at[:count] > opens_at(day), 1.0, 0.2)
    comes = rng.random(count) < traits.web_interest[:count] * alive
    campaigns = rng.integers(0, len(_CAMPAIGNS), size=count)
    comes[[index for index in buyers if index < count]] = True
    bought = set(buyers)
    pairs = [(index, _CAMPAIGNS[int(campaigns[index])], index in bought) for index in np.flatnonzero(comes).tolist()]
    pairs += [(index, campaign, False) for index, campaign in dict.fromkeys(clicks)]
    rows = _rows(rng, day, pairs=pairs)
    return rows + _strangers(rng, day, count=count)


def _rows(rng: np.random.Generator, day: int, *, pairs: Sequence[tuple[int, str, bool]]) -> list[Visit]:
    size, ready = len(pairs), opens_at(day + 1) + HOUR
    sessions = 1 + rng.poisson(0.3, size=size)
    pages = sessions + rng.poisson(3.0, size=size)
    spent = rng.gamma(2.0, 55.0, size=size).astype(np.int64)
    late = np.where(rng.random(size) < 0.06, rng.integers(DAY // 2, 2 * DAY, size=size), 0)
    return [
        Visit(
            day=day,
            person=index,
            campaign=campaign,
            medium=MEDIUM_OF.get(campaign, "email"),
            sessions=int(sessions[place]),
            pages=int(pages[place]) + (4 if buys else 0),
            seconds=int(spent[place]),
            conversions=int(buys),
            known_at=ready + int(late[place]),
        )
        for place, (index, campaign, buys) in enumerate(pairs)
    ]


def _strangers(rng: np.random.Generator, day: int, *, count: int) -> list[Visit]:
    found = []
    for campaign, medium in MEDIUM_OF.items():
        sessions = 5 + int(rng.poisson(10 + count / 40))
        found.append(
            Visit(
                day=day,
                person=None,
                campaign=campaign,
                medium=medium,
                sessions=sessions,
                pages=sessions * 2 + int(rng.poisson(sessions)),
                seconds=sessions * int(rng.integers(20, 70)),
                conversions=int(rng.poisson(0.3)),
                known_at=opens_at(day + 1) + HOUR,
            )
        )
    return found
