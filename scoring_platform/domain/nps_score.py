"""The Net Promoter Score of a number of answers.

Belongs here: the figure itself, from counts or from answers. Does not belong here: who is a promoter (``nps``), months
and intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from scoring_platform.domain.nps import PASSIVE_FROM, PROMOTER_FROM


def net_promoter_score(promoters: int, passives: int, detractors: int) -> float | None:
    """Return the share of promoters less that of detractors, in points from -100 to 100; None without an answer.

    It is no mean of scores: five nines and five sixes give 0, though their mean is 7.5.
    """
    answers = promoters + passives + detractors
    return 100 * (promoters - detractors) / answers if answers else None


@dataclass(frozen=True)
class Figures:
    """What a number of answers says.

    Attributes:
        n: Answers with a score; dismissed surveys are none.
        promoters: Answers of 9 and 10.
        passives: Answers of 7 and 8.
        detractors: Answers of 0 to 6.
        mean_rating: Mean of the scores.
    """

    n: int
    promoters: int
    passives: int
    detractors: int
    mean_rating: float | None

    @property
    def nps(self) -> float | None:
        """The Net Promoter Score."""
        return net_promoter_score(self.promoters, self.passives, self.detractors)


def figures_of(scores: Sequence[int | None]) -> Figures:
    """Return the figures of ``scores``; None stands for a dismissed survey."""
    given = [score for score in scores if score is not None]
    promoters = sum(score >= PROMOTER_FROM for score in given)
    passives = sum(PASSIVE_FROM <= score < PROMOTER_FROM for score in given)
    mean = sum(given) / len(given) if given else None
    return Figures(len(given), promoters, passives, len(given) - promoters - passives, mean)


def figures(answers: ir.Table, by: Sequence[str] = ()) -> ir.Table:
    """Return n, promoters, passives, detractors, nps and mean_rating of answers, per value of ``by``.

    A group without a score has n 0 and neither nps nor mean.
    """
    score = answers.nps_score
    counted = (answers.group_by(list(by)) if by else answers).aggregate(
        n=score.count(),
        promoters=(score >= PROMOTER_FROM).sum().fill_null(0),
        passives=((score >= PASSIVE_FROM) & (score < PROMOTER_FROM)).sum().fill_null(0),
        detractors=(score < PASSIVE_FROM).sum().fill_null(0),
        mean_rating=score.cast("float64").mean(),
    )
    difference = (counted.promoters - counted.detractors).cast("float64") * 100
    nps = ibis.ifelse(counted.n > 0, difference / counted.n.nullif(0), ibis.null("float64"))
    return counted.mutate(nps=nps).relocate("nps", before="mean_rating")
