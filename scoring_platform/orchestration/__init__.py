"""The only package that imports Dagster; its modules are named after Dagster's concepts."""

import warnings

from dagster import BetaWarning, PreviewWarning

# Chosen knowingly: checks per partition and single-run backfills; versions are pinned and a test runs both.
warnings.filterwarnings("ignore", category=PreviewWarning)
warnings.filterwarnings("ignore", category=BetaWarning)
