"""Movers in words: what a band moved by, what is alike in one line, both languages."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from scoring_platform.cli import preview_words
from scoring_platform.cli.preview_words import in_words
from scoring_platform.config.differences import Difference
from scoring_platform.config.load import LoadedConfig, load_config
from scoring_platform.config.scoring import PARTS, Range
from scoring_platform.domain.moves import Cause
from scoring_platform.pipeline.preview import Effect, Move, Mover, Pair, Preview, Published
from scoring_platform.settings import PACKAGED_CONFIG

OLD, NEW = (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 4.0, 8.0)
SAME = Pair(OLD, OLD)


def failing(segment: str, measure: str, before: float, after: float) -> Cause:
    limits = Range(min=before)
    return Cause("condition", segment, False, "stay", measure, before, after, limits, limits)


def found(*causes: Cause, cut_offs: Pair = SAME, **measures: Pair) -> Preview:
    """A preview with one mover."""
    parts = dict.fromkeys(PARTS, Pair(500, 500)) | {"email": Pair(500, 725), "web": Pair(500, 100)}
    mover = Mover(
        "c1", "t***@***.jp", "vip", "lost", Decimal(1200), Pair(3500, 3325), parts, measures=measures, causes=causes
    )
    effect = Effect(
        published=Published("one", "m", 0),
        model_version=Pair("m", "m"),
        cut_offs=dict.fromkeys(("recency_days", "frequency", "monetary"), cut_offs),
        customers=9,
        segments={"vip": Pair(1, 0), "lost": Pair(8, 9)},
        moves=[Move("vip", "lost", 1, Decimal(1200))],
        mean_total=Pair(35.0, 33.25),
        changed={0: 1, 1: 1, 5: 0},
        churn_bands={"high": Pair(2, 3)},
        clv_12m=Pair(Decimal(10), Decimal(8)),
        mean_lead_score=Pair(None, None),
        mqls=Pair(0, 0),
        movers=[mover],
    )
    return Preview(date(2026, 4, 8), Pair("one", "two"), [Difference("rfm.window_days", 365, 30)], ["sources"], effect)


def said(preview: Preview, language: Literal["ja", "en"] = "en") -> str:
    before = _loaded(language, Path("now.yaml"))
    return in_words(preview, before, replace(before, path=Path("then.yaml")))


def _loaded(language: str, path: Path) -> LoadedConfig:
    loaded = load_config(PACKAGED_CONFIG)
    report = loaded.config.report.model_copy(update={"language": language})
    return replace(loaded, config=loaded.config.model_copy(update={"report": report}), path=path)


@pytest.mark.parametrize(
    ("cut_offs", "measures", "words"),
    [
        (Pair(OLD, NEW), {"f": Pair(4.0, 2.0)}, "f 4 → 2 (cut-offs moved); no longer meets vip.stay.f (4 or more)"),
        (SAME, {"frequency": Pair(6.0, 2.0)}, "f 4 → 2 (frequency 6 → 2); no longer"),
        (Pair(OLD, NEW), {"frequency": Pair(6.0, 5.0)}, "f 4 → 2 (cut-offs moved; frequency 6 → 5); no longer"),
        (Pair(OLD, NEW), {"frequency": Pair(6.0, 0.0)}, "f 4 → 2 (frequency 6 → 0); no longer"),
    ],
)
def test_a_band_is_said_to_move_by_what_it_moved_by(cut_offs: Pair, measures: dict[str, Any], words: str) -> None:
    assert words in said(found(failing("vip", "f", 4, 2), cut_offs=cut_offs, **measures))


def test_a_customer_without_purchases_in_the_window_has_no_band_by_cut_offs() -> None:
    words = said(found(failing("vip", "r", 4, 1), cut_offs=Pair(OLD, NEW), frequency=Pair(6.0, 0.0)))

    assert "r 4 → 1 (frequency 6 → 0); no longer meets vip.stay.r (4 or more)" in words


def test_what_is_alike_stands_in_one_line() -> None:
    gone = [Cause("rule", name, holds=False) for name in ("loyal", "at_risk")]
    words = said(found(failing("vip", "f", 4, 2), failing("loyal", "f", 3, 2), *gone))

    assert "no longer meets vip.stay.f (4 or more), loyal.stay.f (3 or more)\n" in words
    assert words.endswith("rules that are gone: loyal, at_risk")


def test_parts_are_told_from_the_largest_and_add_up() -> None:
    assert "total 35.00 → 33.25 (Web -4.00, E-mail +2.25)" in said(found(Cause("past", "vip", holds=False)))


def test_each_language_knows_every_phrase() -> None:
    assert preview_words._EN.keys() == preview_words._JA.keys()
    causes = [
        failing("vip", "f", 4, 2), Cause("past", "vip", holds=True), Cause("rule", "vip", holds=True),
        Cause("order", "lost", holds=True), Cause("fallback", "lost", holds=True),
    ]  # fmt: skip

    words = said(found(*causes), "ja")

    assert "2026-04-08：now.yaml (one) → then.yaml (two)。何も書き込みません。" in words
    assert "次の設定の影響は含みません" in words
    assert "rfm.window_days: 365 → 30" in words
    assert "VIP (vip) → 離脱 (lost)、影響金額 1,200" in words
    assert "vip.stay.f (4 以上) を満たさなくなる" in words
