"""NPS tables: which days they read, and the domain functions that compute them."""

from __future__ import annotations

import ibis.expr.types as ir

from scoring_platform.domain import nps
from scoring_platform.pipeline.comments import readings
from scoring_platform.pipeline.identities import owners
from scoring_platform.pipeline.step import Step


def nps_responses(step: Step) -> ir.Table:
    """Every answer up to each of the run's days in its latest revision, with what its comment says."""
    raw = step.everything("raw_nps_responses", last=step.last)
    answers = nps.responses(raw, owners(step), step.days_table(), scopes=step.scopes)
    return nps.with_readings(answers, readings(step, raw))
