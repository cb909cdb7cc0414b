"""Comments of answers are read once per text, and every day says the same of one text."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.comments.reader import Reader
from scoring_platform.pipeline import comments, identities, nps
from scoring_platform_tests.domain.tables import table
from scoring_platform_tests.http.loopback import reply, serving
from scoring_platform_tests.pipeline.scenario import START, Shop, open_shop

DAYS = [START + timedelta(days=offset) for offset in range(4)]
TEXTS = ["配送が遅い", "Great price", "配送が遅い", "", "　", None, "特になし"]


def answer(shop: Shop, number: int, text: str | None, **changes: Any) -> None:
    row = {
        "response_id": f"r{number}",
        "survey_date": DAYS[number % 3],
        "as_of": DAYS[number % 3],
        "raw_text": text,
        "identity_kind": "email",
    }
    shop.add("raw_nps_responses", {**row, "identity_key": "a@example.jp", "nps_score": 9, "revision": 1, **changes})


def publish(shop: Shop) -> None:
    """Publish the answers known so far; there is nothing else to know."""
    facts = shop.facts["raw_nps_responses"]
    shop.write("raw_nps_responses", table("raw_nps_responses", *facts), DAYS)


def compute(shop: Shop, *days: date) -> None:
    """Compute who is who and the answers, and nothing else."""
    step = shop.step(*days)
    shop.write("customer_identities", identities.resolve(step).on(step), days)
    shop.write("nps_responses", nps.nps_responses(step), days)


def said(shop: Shop) -> dict[str, tuple[Any, ...]]:
    last = shop.rows("nps_responses", DAYS[-1])
    return {row["response_id"]: (row["themes"], row["sentiment"], row["theme_evidence"]) for row in last}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that are really read, in order."""
    texts: list[str] = []
    plain = Reader.read

    def noted(self: Reader, text: str) -> Any:
        texts.append(text)
        return plain(self, text)

    monkeypatch.setattr(Reader, "read", noted)
    return texts


def test_every_answer_with_a_comment_gets_themes_evidence_and_sentiment(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        for number, text in enumerate(TEXTS):
            answer(shop, number, text)
        publish(shop)
        compute(shop, *DAYS)
        found = said(shop)

    assert found["r0"] == found["r2"]
    assert found["r0"][:2] == (["delivery"], "negative")
    assert json.loads(found["r0"][2])["themes"][0]["spans"] == [[0, 2]]
    assert found["r1"][:2] == (["price"], "positive")
    assert found["r3"] == found["r4"] == found["r5"] == ([], None, None)
    assert found["r6"][:2] == ([], "neutral")


def test_a_text_is_read_once_whatever_days_are_computed(tmp_path: Path, read: list[str]) -> None:
    with open_shop(tmp_path) as shop:
        for number, text in enumerate(TEXTS):
            answer(shop, number, text)
        publish(shop)
        compute(shop, DAYS[0])
        compute(shop, *DAYS)
        as_range = shop.rows("nps_responses", DAYS[-1])
        answer(shop, 7, "New: too expensive", revision=2)
        publish(shop)
        for day in DAYS:
            compute(shop, day)
        day_by_day = shop.rows("nps_responses", DAYS[-1])

    assert sorted(read) == sorted({*filter(None, TEXTS), "New: too expensive"} - {"　"})
    assert [row for row in day_by_day if row["response_id"] != "r7"] == as_range


def test_another_taxonomy_reads_anew_and_the_old_one_is_still_known(tmp_path: Path, read: list[str]) -> None:
    for more in ("", "themes: {without: [delivery]}", ""):
        with open_shop(tmp_path, more) as shop:
            answer(shop, 0, TEXTS[0])
            publish(shop)
            compute(shop, DAYS[-1])
            themes = said(shop)["r0"][0]
            assert themes == ([] if more else ["delivery"])

    assert read == [TEXTS[0]] * 2


def test_what_is_kept_quotes_nothing(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        answer(shop, 0, "配送が遅い、山田さん")
        publish(shop)
        compute(shop, DAYS[-1])
        kept = list((tmp_path / "home" / "comments").rglob("*.parquet"))

    assert len(kept) == 1
    assert not any(word.encode() in kept[0].read_bytes() for word in ("配送", "山田"))


def test_a_run_that_breaks_off_keeps_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        msg = "cut off"
        raise RuntimeError(msg)

    with open_shop(tmp_path) as shop:
        answer(shop, 0, TEXTS[0])
        publish(shop)
        with monkeypatch.context() as patched:
            patched.setattr(comments, "_said", broken)
            with pytest.raises(RuntimeError):
                compute(shop, DAYS[-1])
        assert not [path for path in (tmp_path / "home" / "comments").rglob("*") if path.is_file()]
        compute(shop, DAYS[-1])
        assert said(shop)["r0"][0] == ["delivery"]


def test_two_runs_that_read_the_same_text_do_no_harm_and_many_files_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    monkeypatch.setattr(comments, "_MOST_FILES", 3)
    with open_shop(tmp_path) as shop:
        for number in range(5):
            answer(shop, number, f"配送が遅い {number}")
            publish(shop)
            compute(shop, DAYS[-1])
        folder = next((tmp_path / "home" / "comments").iterdir())
        one = next(folder.glob("*.parquet"))
        (folder / "another.parquet").write_bytes(one.read_bytes())
        later = shop.step(DAYS[-1] + timedelta(days=2))
        raw = later.everything("raw_nps_responses")
        rows = comments.readings(later, raw).count().execute()
        files = list(folder.glob("*.parquet"))

    assert len(read) == 5
    assert rows == 5
    assert len(files) < 4


def test_a_model_outside_that_fails_delays_nothing(tmp_path: Path) -> None:
    with serving() as server:
        server.script([reply({}, 500)])
        more = f"themes: {{llm: {{endpoint: '{server.url}/v1', model: m, timeout_seconds: 1}}}}"
        with open_shop(tmp_path, more) as shop:
            for number in range(6):
                answer(shop, number, f"配送が遅い {number}")
            publish(shop)
            compute(shop, DAYS[-1])
            found = said(shop)

    assert len(server.seen) == 3
    assert all(themes == ["delivery"] for themes, _, _ in found.values())
    assert {json.loads(evidence)["note"] for _, _, evidence in found.values()} == {"no answer", "endpoint failing"}
