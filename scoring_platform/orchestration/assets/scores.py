"""Assets of the scores and segments groups."""

from __future__ import annotations

import dagster as dg

from scoring_platform.orchestration.assets.factory import Frame, table_asset
from scoring_platform.pipeline import changes, models, scores


def score_assets(frame: Frame) -> list[dg.AssetsDefinition]:
    """Return the assets from profiles to segments."""
    return [
        table_asset(
            frame,
            "score_models",
            models.score_models,
            deps=("customer_activity", "customer_identities", "nps_responses"),
            also=models.in_force,
        ),
        table_asset(
            frame,
            "customer_scores",
            scores.customer_scores,
            deps=("customer_profiles", "customer_activity", "customer_identities", "raw_events", "score_models"),
        ),
        table_asset(
            frame,
            "score_changes",
            changes.score_changes,
            deps=("customer_scores", "customer_profiles", "customer_activity", "customer_identities", "nps_responses"),
        ),
        table_asset(
            frame,
            "customer_segments",
            scores.customer_segments,
            deps=("customer_scores", "customer_profiles", "customer_activity", "nps_responses"),
        ),
        table_asset(
            frame,
            "segment_transitions",
            scores.segment_transitions,
            deps=("customer_segments", "customer_profiles"),
        ),
    ]
