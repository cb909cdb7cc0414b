"""The code location that Dagster loads."""

from scoring_platform.orchestration.build import build_definitions
from scoring_platform.settings import load_settings

defs = build_definitions(load_settings())
