"""``preview`` says what a run under the changed configuration would publish, and why; it writes nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pytest

from scoring_platform.config.scoring import PARTS
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.pipeline import scores
from scoring_platform.settings import load_settings
from scoring_platform_tests.end_to_end.platform import Platform
from scoring_platform_tests.pipeline.scenario import Shop, bustle, open_shop

DAY = date(2026, 4, 8)
RULES = """rfm:
  window_days: 30
  minimum_buyers: 500
  fixed_cutoffs: {recency_days: [15, 10, 6, 3], frequency: [1, 2, 3, 4], monetary: [50, 100, 200, 300]}
segments:
  look_back_days: 6
  rules:
    - {segment: prospect, enter: {order_days: {max: 0}}}
    - {segment: vip, enter: {total_score: {min: 55}}, stay: {total_score: {min: 40}}}
    - {segment: loyal, enter: {f: {min: 4}, m: {min: 3}}, stay: {f: {min: 2}}}
    - {segment: at_risk, enter: {churn_risk: {min: 0.6}}}
  fallback: lost
"""
WEIGHTS = RULES + (
    "scoring: {weights: {email: 60}, web: {scale: 1, positive: {web_sessions: 1}}}\n"
    "churn: {medium: 0.15, high: 0.4}\n"
    "clv: {margin: 0.5}\nleads: {mql_threshold: 1}\nconsent: {tracking_default: granted}\n"
)
OTHER_RULES = (
    RULES.replace("look_back_days: 6", "look_back_days: 2")
    .replace("total_score: {min: 55}", "total_score: {min: 45}")
    .replace("segment: loyal", "segment: needs_attention")
)
WINDOW = (
    RULES.replace("window_days: 30", "window_days: 9").replace("frequency: [1, 2, 3, 4]", "frequency: [0, 1, 2, 3]")
    + "scoring: {horizon_days: 7}\n"
)
BANDS = RULES[: RULES.index("    - {segment: vip")] + "    - {segment: vip, enter: {f: {min: 4}}}\n"
OUTSIDE = RULES + "report: {language: en}\ncatch_up_days: 3\n"


@dataclass
class Case:
    """A changed configuration: what preview says of it, and what a run under it publishes."""

    platform: Platform
    file: Path

    @cached_property
    def said(self) -> Any:
        """The preview as JSON."""
        done = self.platform.command("preview", "--config", str(self.file), "--json")
        assert done.code == 0, done.said
        return json.loads(done.out)

    @property
    def effect(self) -> Any:
        """What changes."""
        return self.said["effect"]

    @cached_property
    def run(self) -> dict[str, dict[str, Any]]:
        """Scores and segments by customer, as a run publishes them in a copy of the home."""
        copy = Platform(self.file.with_suffix(""), self.file)
        shutil.copytree(self.platform.root, copy.root, symlinks=True)
        with opened(copy) as shop:
            shop.write("customer_scores", scores.customer_scores(shop.step(DAY)), [DAY])
            shop.write("customer_segments", scores.customer_segments(shop.step(DAY)), [DAY])
        return published(copy)


@contextmanager
def opened(platform: Platform) -> Iterator[Shop]:
    """The shop of a home, to compute in."""
    settings = load_settings(platform.environment)
    with duckdb.connect(config={"threads": 1}) as connection, Ledger(settings.ledger_url) as ledger:
        yield Shop(DuckDBEngine(connection, Lake(settings.lake_root)), settings, ledger)


def published(platform: Platform) -> dict[str, dict[str, Any]]:
    """Scores and segments by customer."""
    segments = {row["customer_id"]: row["segment"] for row in platform.rows("customer_segments", DAY)}
    return {
        row["customer_id"]: {**row, "segment": segments[row["customer_id"]]}
        for row in platform.rows("customer_scores", DAY)
    }


def contents(root: Path) -> dict[str, tuple[bytes | str, int]]:
    """Everything in a folder: links, bytes, times of change."""
    found: dict[str, tuple[bytes | str, int]] = {}
    for path in sorted(root.rglob("*")):
        inside = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found[str(path.relative_to(root))] = (inside, path.lstat().st_mtime_ns)
    return found


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A small shop with one published day; read it, never change it."""
    root = tmp_path_factory.mktemp("shop")
    with open_shop(root, RULES) as shop:
        bustle(shop, seed=5, people=30, last=DAY)
        shop.publish(DAY)
        shop.publish_states([DAY])
        shop.compute(DAY)
    (root / "ledger.db").rename(root / "home" / "ledger.db")
    (root / "home" / "dagster").mkdir()
    return Platform(root / "home", root / "scoring.yaml")


def changed(platform: Platform, file: Path, rules: str) -> Path:
    """The shop's configuration with other rules."""
    text = platform.config.read_text(encoding="utf-8")
    assert RULES in text
    file.write_text(text.replace(RULES, rules), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def cases(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """One case per kind of change."""
    folder = tmp_path_factory.mktemp("cases")
    given = {"weights": WEIGHTS, "rules": OTHER_RULES, "window": WINDOW}
    return {name: Case(platform, changed(platform, folder / f"{name}.yaml", rules)) for name, rules in given.items()}


@pytest.fixture(scope="module")
def now(platform: Platform) -> dict[str, dict[str, Any]]:
    """What is published."""
    return published(platform)


CHANGING = {
    "weights": {"points_email", "points_web", "total_score", "churn_band", "clv_12m", "mql", "segment"},
    "rules": {"segment"},
    "window": {"frequency", "monetary", "f", "m", "churn_risk", "expected_orders", "model_version", "segment"},
}


@pytest.mark.parametrize("name", CHANGING)
def test_a_preview_is_what_a_run_publishes(
    platform: Platform, cases: dict[str, Case], now: dict[str, dict[str, Any]], name: str
) -> None:
    before = contents(platform.root)
    effect = cases[name].effect
    assert contents(platform.root) == before, "nothing is written"
    then = cases[name].run

    moved = {
        who: (now[who]["segment"], then[who]["segment"]) for who in now if now[who]["segment"] != then[who]["segment"]
    }
    for side, rows in (("before", now), ("after", then)):
        counts = {code: pair[side] for code, pair in effect["segments"].items() if pair[side]}
        assert counts == Counter(row["segment"] for row in rows.values())
        bands = {band: pair[side] for band, pair in effect["churn_bands"].items() if pair[side]}
        assert bands == Counter(row["churn_band"] for row in rows.values() if row["churn_band"])
        assert float(effect["clv_12m"][side]) == pytest.approx(sum(float(row["clv_12m"] or 0) for row in rows.values()))
        assert effect["mqls"][side] == sum(bool(row["mql"]) for row in rows.values())
        mean = sum(float(row["total_score"]) for row in rows.values()) / len(rows)
        assert effect["mean_total"][side] == pytest.approx(mean)
        assert {row["model_version"] for row in rows.values()} == {effect["model_version"][side]}
        for mover in effect["movers"]:
            parts = {part: mover["parts"][part][side] for part in PARTS}
            assert parts == {part: rows[mover["customer_id"]][f"points_{part}"] for part in PARTS}
            assert sum(parts.values()) == mover["total"][side]
    assert {one["customer_id"]: (one["from_segment"], one["to_segment"]) for one in effect["movers"]} == moved
    assert {(one["from_segment"], one["to_segment"]): one["customers"] for one in effect["moves"]} == Counter(
        moved.values()
    )
    distances = [abs(now[who]["total_score"] - then[who]["total_score"]) for who in now]
    assert effect["changed_by_points"]["5"] == sum(distance >= 5 for distance in distances)
    differing = {name for who in now for name in now[who] if now[who][name] != then[who][name]}
    assert differing >= CHANGING[name], "a change without effect would prove nothing"


def test_value_at_stake_is_what_segment_transitions_call_so(platform: Platform, cases: dict[str, Case]) -> None:
    spent = {row["customer_id"]: row["net_spend_365d"] for row in platform.rows("customer_profiles", DAY)}
    effect = cases["rules"].effect

    stakes = [float(one["value_at_stake"]) for one in effect["movers"]]
    assert stakes == [float(spent[one["customer_id"]]) for one in effect["movers"]]
    assert stakes == sorted(stakes, reverse=True)
    assert sum(float(one["value_at_stake"]) for one in effect["moves"]) == sum(stakes)


def test_settings_are_named_with_both_values_and_what_needs_other_facts_is_left_out(cases: dict[str, Case]) -> None:
    weights, rules = cases["weights"].said, cases["rules"].said

    assert {"setting": "scoring.weights.email", "before": 15.0, "after": 60.0} in weights["settings"]
    assert {"setting": "segments.look_back_days", "before": 6, "after": 2} in rules["settings"]
    assert {"setting": "segments.rules.vip.enter.total_score.min", "before": 55.0, "after": 45.0} in rules["settings"]
    assert (weights["left_out"], rules["left_out"]) == (["consent"], [])


def test_causes_are_those_of_the_change(cases: dict[str, Case]) -> None:
    def causes(name: str) -> list[dict[str, Any]]:
        return [cause for mover in cases[name].effect["movers"] for cause in mover["causes"]]

    assert all(mover["causes"] for name in CHANGING for mover in cases[name].effect["movers"])
    for cause in causes("weights"):
        assert cause["kind"] == "past" or (
            cause["measure"] == "total_score" and cause["range"]["before"] == cause["range"]["after"]
        )
    for cause in causes("rules"):
        assert cause["kind"] in {"past", "rule"} or cause["value"]["before"] == cause["value"]["after"]
    assert {cause["segment"] for cause in causes("rules") if cause["kind"] == "rule"} <= {"loyal", "needs_attention"}
    assert {cause["measure"] for cause in causes("window") if "measure" in cause} & {"f", "m", "churn_risk"}
    assert any(cause["kind"] == "past" for name in CHANGING for cause in causes(name)), "the look-back decides for some"


def test_addresses_are_masked(cases: dict[str, Case]) -> None:
    said = json.dumps(cases["weights"].said)

    assert re.search(r"p\*\*\*@\*\*\*\.jp", said)
    assert "example.jp" not in said


def test_words_say_it_in_the_reports_language_while_a_run_is_at_work(platform: Platform, tmp_path: Path) -> None:
    in_force = changed(platform, tmp_path / "now.yaml", BANDS + "report: {language: en}\n")
    file = changed(platform, tmp_path / "then.yaml", BANDS.replace("f: {min: 4}", "f: {min: 3}"))
    copy = platform.copy(tmp_path / "home")
    with Ledger(f"sqlite:///{copy.root / 'ledger.db'}") as ledger, ledger.writing():
        done = Platform(copy.root, in_force).command("preview", "--config", str(file), "--top", "1")

    assert done.code == 0, done.said
    assert f"{DAY}: now.yaml (" in done.out
    assert "Nothing is written." in done.out
    assert re.search(r"The day is published under configuration [0-9a-f]{12}", done.out)
    assert re.search(r"\d+ customers are published in another segment", done.out)
    assert "  segments.rules.vip.enter.f.min: 4 → 3\n" in done.out
    assert re.search(r"\n +\d+ → +\d+ +\+\d+  VIP \(vip\)\n", done.out)
    assert re.search(r"Who moves and why: 1 of \d+, the most value at stake first", done.out)
    assert re.search(r"f is 3; now meets vip\.enter\.f \(4 or more → 3 or more\)", done.out)
    assert not re.search(r"[ぁ-んァ-ン一-龥]", done.out), "no word of the other language"


def test_where_nothing_differs_that_counts_it_says_so(platform: Platform, tmp_path: Path) -> None:
    file = changed(platform, tmp_path / "same.yaml", OUTSIDE)

    words = platform.command("preview", "--config", str(file))
    as_json = platform.command("preview", "--config", str(file), "--json")

    assert (words.code, as_json.code) == (0, 0)
    assert "スコアとセグメントの計算に使う設定に違いはありません" in words.out
    said = json.loads(as_json.out)
    assert (said["settings"], said["left_out"], said["effect"]) == ([], [], None)


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("churn: {medium: 2}", (), "churn.medium: Input should be less than or equal to 1 (value: 2)"),
        ("scoring: {weight: {}}", (), "scoring.weight: unknown key; allowed here: "),
        (
            "",
            ("--date", "2026-04-01"),
            "no scores are published for 2026-04-01; published: 2026-04-08. Make them with: ",
        ),
    ],
)
def test_what_cannot_be_previewed_is_an_error_that_says_why(
    platform: Platform, tmp_path: Path, text: str, arguments: Sequence[str], words: str
) -> None:
    before = contents(platform.root)
    file = changed(platform, tmp_path / "wrong.yaml", RULES + text)

    done = platform.command("preview", "--config", str(file), *arguments)

    assert done.code == 1
    assert words in done.err
    assert contents(platform.root) == before


def test_without_a_file_or_a_published_day_it_says_what_is_missing(platform: Platform, tmp_path: Path) -> None:
    nowhere = platform.command("preview", "--config", str(tmp_path / "nowhere.yaml"))
    empty = Platform(tmp_path / "home", platform.config)
    unpublished = empty.command("preview", "--config", str(platform.config))

    assert (nowhere.code, unpublished.code) == (1, 1)
    assert "nowhere.yaml: the configuration cannot be read" in nowhere.err
    assert "no scores are published for any day; make them with: scoring-platform run" in unpublished.err
    assert [path.name for path in empty.root.iterdir()] == ["dagster"], "which this test's own surroundings made"
