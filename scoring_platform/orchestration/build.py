"""Puts the code location together from settings.

Belongs here: which assets, jobs, schedules, sensors and resources there are. Does not belong here: any of them.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

import dagster as dg

from scoring_platform.orchestration.assets.activation import activation_assets
from scoring_platform.orchestration.assets.factory import Frame
from scoring_platform.orchestration.assets.ingest import ingest_assets
from scoring_platform.orchestration.assets.profile import profile_assets
from scoring_platform.orchestration.assets.reporting import reporting_assets
from scoring_platform.orchestration.assets.scores import score_assets
from scoring_platform.orchestration.jobs import daily_scoring_job
from scoring_platform.orchestration.partitions import daily_partitions
from scoring_platform.orchestration.resources import resources_of
from scoring_platform.orchestration.schedules import daily_scoring_schedule
from scoring_platform.orchestration.sensors import asset_check_alert_sensor
from scoring_platform.settings import Settings

_COLLECTED_AFTER = (20_000, 20, 20)
"""Expressions and events are hundreds of thousands of small objects that live long: looking through them as often as
Python does by itself takes a tenth of a run."""


def build_definitions(settings: Settings, *, overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Return the definitions of ``settings``.

    Args:
        settings: Settings of this home.
        overrides: Resources that replace those of the settings, by name; for tests.
    """
    gc.set_threshold(*_COLLECTED_AFTER)
    partitions = daily_partitions(settings.config)
    frame = Frame(settings, partitions)
    assets = [
        *ingest_assets(frame),
        *profile_assets(frame),
        *score_assets(frame),
        *activation_assets(frame),
        *reporting_assets(frame),
    ]
    job = daily_scoring_job()
    return dg.Definitions(
        assets=assets,
        jobs=[job],
        schedules=[daily_scoring_schedule(settings, job)],
        sensors=[asset_check_alert_sensor(settings)],
        resources={**resources_of(settings), **(overrides or {})},
        executor=dg.in_process_executor,
    )
