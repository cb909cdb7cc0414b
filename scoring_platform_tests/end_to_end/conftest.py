"""The fixtures of this folder."""

from __future__ import annotations

from scoring_platform_tests.end_to_end.fixtures import module_mornings, mornings, open_shop, own_mornings

__all__ = ["module_mornings", "mornings", "open_shop", "own_mornings"]
