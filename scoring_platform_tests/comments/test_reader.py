"""What is read in a comment, where, how surely, and how fast."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scoring_platform.comments.reader import Reader, reading_version
from scoring_platform.comments.reading import Reading
from scoring_platform.config.themes import Theme, Themes
from scoring_platform_tests.comments.labels import labelled

READER = Reader(Themes())
WRITTEN = [row.text for row in labelled()]
LETTERS = st.sampled_from("あ配送が遅いでも、。良くないａＢcｺﾞﾟ゙e\u0301İßﬁ㌔😡👍🏽\u200d\ufe0f!\n &don't ①")
TEXTS = st.one_of(st.text(max_size=80), st.text(LETTERS, max_size=80), st.sampled_from(WRITTEN))


def quotes(text: str, reading: Reading) -> dict[str, list[str]]:
    return {found.theme: [text[start:end] for start, end in found.spans] for found in reading.found}


def own(reader_of: Theme, **changes: object) -> Reader:
    return Reader(Themes.model_validate({"packaged": False, "taxonomy": {"gift": reader_of}, **changes}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("配送が早くて助かりました。", {"delivery": ["配送"]}),
        ("問合せへの返信が早い", {"support": ["問合せ", "返信"]}),
        ("The prices are fair", {"price": ["prices"]}),
        ("ｺｽﾊﾟが悪い", {"price": ["ｺｽﾊﾟ"]}),
        ("ＦＥＥＳ　ａｒｅ　ｈｉｇｈ", {"price": ["ＦＥＥＳ"]}),
        ("💸値段💸高い", {"price": ["値段", "高い"]}),
        ("delivary was late", {"delivery": ["delivary"]}),
        ("ﾊﾟｽﾜｰﾄﾞを忘れた", {"account": ["ﾊﾟｽﾜｰﾄﾞを忘れ"]}),
        ("公式サイトのlogin", {"website": ["公式サイト"], "account": ["login"]}),
    ],
)
def test_the_evidence_is_what_the_comment_says(text: str, said: dict[str, list[str]]) -> None:
    assert quotes(text, READER.read(text)) == said


@pytest.mark.parametrize("text", ["", " ", "　\n", "。。。", "😊", "n/a", "特になし", "\x00", "\ud800"])
def test_a_comment_that_says_nothing_has_no_theme(text: str) -> None:
    assert READER.read(text).themes == []


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("good", "positive"), ("not good", "negative"), ("not bad", "positive"), ("isn't helpful", "negative"),
        ("never had a problem", "positive"), ("can't complain", "positive"),
        ("よい", "positive"), ("よくない", "negative"), ("良くありません", "negative"), ("良くはなかった", "negative"),
        ("悪くない", "positive"), ("悪い", "negative"), ("便利ではない", "negative"), ("不満はない", "positive"),
        ("もっと安いと嬉しい", "negative"), ("👍", "positive"), ("😡", "negative"), ("普通です", "neutral"),
        ("", "neutral"),
        ("味は美味しいが、値段が高い", "neutral"),
    ],
)  # fmt: skip
def test_a_negation_turns_what_is_meant(text: str, sentiment: str) -> None:
    assert READER.read(text).sentiment == sentiment


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("配送は早いけど、サポートの対応が悪い。", {"delivery": "positive", "support": "negative"}),
        ("Delivery was quick but support is useless.", {"delivery": "positive", "support": "negative"}),
    ],
)
def test_each_theme_is_taken_as_its_own_clause_is_meant(text: str, meant: dict[str, str]) -> None:
    assert {found.theme: found.sentiment for found in READER.read(text).found} == meant


@pytest.mark.parametrize("text", ["The delivery was not late", "配送は遅くない", "配送が遅い", "No delivery at all"])
def test_a_theme_does_not_mind_a_negation(text: str) -> None:
    assert "delivery" in READER.read(text).themes


def test_a_word_inside_an_exception_does_not_count() -> None:
    assert "price" in READER.read("ちょっと高い").themes
    assert "price" not in READER.read("品質が高い").themes
    assert "price" in READER.read("品質が高いが、値段も高い").themes


def test_two_hints_are_as_good_as_a_word_and_words_joined_need_each_other() -> None:
    gift = own(Theme.model_validate({"hints": {"en": ["ribbon", "card"]}, "words": {"en": ["wrap & paper"]}}))

    assert gift.read("a ribbon").themes == []
    assert gift.read("a ribbon, a ribbon").themes == []
    assert gift.read("a ribbon and a card").themes == ["gift"]
    assert gift.read("nice paper, wrapped well").themes == ["gift"]
    assert gift.read("Nice paper. Wrapped well.").themes == []


def test_more_evidence_makes_surer_and_the_limit_is_a_setting() -> None:
    one, two = (READER.read(text).found[0].confidence for text in ("the delivery", "the delivery by courier"))

    assert 0.5 < one < two < 1
    assert own(Theme.model_validate({"words": {"en": ["gift"]}}), minimum_confidence=0.9).read("a gift").themes == []


def test_a_company_adds_words_removes_themes_and_invents_new_ones() -> None:
    reader = Reader(
        Themes.model_validate(
            {
                "taxonomy": {
                    "price": {"words": {"ja": ["お布施"]}},
                    "gift": {"words": {"ja": ["ふろしき"], "fr": ["cadeau"]}},
                },
                "without": ["delivery"],
                "sentiment": {"positive": {"ja": ["推せる"]}},
            }
        )
    )

    assert reader.read("お布施です。ふろしきがない。配送").themes == ["gift", "price"]
    assert reader.read("Un CADEAU!").themes == ["gift"]
    assert reader.read("推せる").sentiment == "positive"
    assert READER.read("推せる").sentiment == "neutral"


def test_the_evidence_of_the_lake_quotes_nothing() -> None:
    value = json.loads(READER.read("配送が遅い").evidence())

    assert value == {
        "themes": [{"theme": "delivery", "confidence": 0.8, "spans": [[0, 2]], "sentiment": "negative"}],
        "score": -1.0,
        "by": "words",
    }


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example("İ配送İ")
@example("ﾊﾟﾊﾟﾊﾟ配送")
def test_spans_lie_within_the_text_and_a_second_reading_is_the_same(text: str) -> None:
    reading = READER.read(text)

    assert READER.read(text) == reading
    assert reading.themes == sorted(set(reading.themes))
    assert -1 <= reading.score <= 1
    for found in reading.found:
        assert 0.5 <= found.confidence <= 1
        assert list(found.spans) == sorted(set(found.spans))
        assert all(0 <= start < end <= len(text) for start, end in found.spans)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(WRITTEN), st.sampled_from(["昨日は火曜日でした。", "It was Tuesday yesterday."]))
def test_a_sentence_about_nothing_changes_no_theme(text: str, about_nothing: str) -> None:
    ends = "" if text.endswith(("。", "!", "?", "！", "？", ".")) else "。"

    assert READER.read(f"{text}{ends}{about_nothing}").themes == READER.read(text).themes
    assert READER.read(f"{about_nothing}{text}").themes == READER.read(text).themes


@pytest.mark.parametrize("change", [str.upper, str.swapcase, lambda text: unicodedata.normalize("NFKC", text)])
def test_case_and_width_make_no_difference(change: Callable[[str], str]) -> None:
    assert [READER.read(change(text)).themes for text in WRITTEN] == [READER.read(text).themes for text in WRITTEN]


def test_full_width_letters_and_half_width_kana_read_the_same() -> None:
    wide = {ord("!") + number: 0xFF01 + number for number in range(94)}
    english = [row.text for row in labelled(language="en", origin="written")]

    assert [READER.read(text.translate(wide)).themes for text in english] == [
        READER.read(text).themes for text in english
    ]
    assert READER.read("ｻﾎﾟｰﾄの対応").themes == READER.read("サポートの対応").themes == ["support"]


@pytest.mark.parametrize(
    "unit",
    [
        "配送が遅くて困りました。サポートの対応は良いですが値段が高い。",
        "Late delivery, friendly support. ",
        "高い",
        "slow ",
        "届",
        "😡",
        "(",
    ],
)
def test_a_long_comment_takes_time_in_proportion(unit: str) -> None:
    short, long = ((unit * 10_000)[:length] for length in (2_500, 10_000))
    READER.read(long)

    # CPU time and the best of several: the machine may be busy with other things.
    assert _best(lambda: READER.read(long)) < 0.25
    assert _best(lambda: READER.read(long)) < 12 * max(_best(lambda: READER.read(short)), 0.001)


def test_many_short_comments_are_read_in_a_second() -> None:
    assert len(WRITTEN) / _best(lambda: [READER.read(text) for text in WRITTEN]) > 2_000


def test_another_reader_reads_the_same() -> None:
    other = Reader(Themes())

    assert [other.read(text) for text in WRITTEN] == [READER.read(text) for text in WRITTEN]


def test_the_version_follows_whatever_a_reading_depends_on() -> None:
    changes: tuple[dict[str, object], ...] = (
        {},
        {"minimum_confidence": 0.6},
        {"without": ["price"]},
        {"sentiment": {"negative": {"en": ["hmm"]}}},
        {"llm": {"endpoint": "https://llm.example.com/v1", "model": "small"}},
    )

    assert len({reading_version(Themes.model_validate(change)) for change in changes}) == len(changes)
    assert reading_version(Themes()) == reading_version(Themes.model_validate({"llm": None}))


def _best(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(5):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)
