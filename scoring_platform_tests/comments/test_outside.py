"""A model outside reads comments when a company wants that, and never stands in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scoring_platform.comments.outside import Outside, open_outside
from scoring_platform.comments.reader import Reader
from scoring_platform.comments.reading import Reading
from scoring_platform.config.themes import Themes
from scoring_platform_tests.http.loopback import Hang, Loopback, Reply, Reset, page, reply, serving

TEXT = "ｻﾎﾟｰﾄの山田さんが親切。a@example.jp に返事をください"


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with serving() as loopback:
        yield loopback


def themes(server: Loopback, **changes: Any) -> Themes:
    llm = {"endpoint": f"{server.url}/v1", "model": "small", "timeout_seconds": 0.5, **changes}
    return Themes.model_validate({"llm": llm})


def said(content: Any) -> Reply:
    text = content if isinstance(content, str) else json.dumps(content)
    return reply({"choices": [{"message": {"role": "assistant", "content": text}}]})


def theme(code: str, *quotes: str, **changes: Any) -> dict[str, Any]:
    return {"theme": code, "confidence": 0.9, "quotes": list(quotes), "sentiment": "positive", **changes}


def read(server: Loopback, reader: Reader, *, key: str | None = "secret", text: str = TEXT, **changes: Any) -> Reading:
    with open_outside(themes(server, **changes), key) as outside:
        assert outside is not None
        return outside.read(text, reader.read(text))


def test_it_is_off_unless_configured() -> None:
    with open_outside(Themes(), "secret") as outside:
        assert outside is None


def test_the_model_is_asked_without_personal_data_and_its_answer_is_taken(server: Loopback, reader: Reader) -> None:
    server.script([said({"themes": [theme("support", "サポート")], "sentiment": "positive"})])

    reading = read(server, reader)

    assert (reading.by, reading.themes, reading.sentiment, reading.note) == ("llm", ["support"], "positive", None)
    assert [TEXT[start:end] for start, end in reading.found[0].spans] == ["ｻﾎﾟｰﾄ"]
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.headers["authorization"]) == ("POST", "/v1/chat/completions", "Bearer secret")
    assert seen.json["model"] == "small"
    assert seen.json["messages"][-1]["content"] == "サポートの[name]が親切。[email] に返事をください"


def test_an_endpoint_of_ones_own_may_want_no_key(server: Loopback, reader: Reader) -> None:
    server.script([said({"themes": [], "sentiment": "neutral"})])

    assert read(server, reader, key=None).by == "llm"
    assert "authorization" not in server.seen[0].headers


def test_only_themes_of_the_taxonomy_with_words_of_the_comment_are_taken(server: Loopback, reader: Reader) -> None:
    answer = [
        theme("support", "サポート", "never said"),
        theme("weather", "サポート"),
        theme("price", "never said"),
        theme("delivery", "親切", confidence=7),
        theme("staff", "親切", confidence=0.1),
        "nonsense",
    ]
    server.script([said({"themes": answer, "sentiment": "positive"})])

    assert [(found.theme, len(found.spans)) for found in read(server, reader).found] == [("support", 1)]


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (Hang(), "no answer"),
        (Reset(), "no answer"),
        (reply({}, 500), "no answer"),
        (reply({"error": {"message": "quota"}}, 429), "no answer"),
        (reply({"error": "no key"}, 401), "no answer"),
        (page("<html>busy</html>"), "no answer"),
        (reply({}), "unusable answer"),
        (reply([]), "unusable answer"),
        (reply({"choices": [{"message": {"content": None}}]}), "unusable answer"),
        (said("Sure! Here you are"), "unusable answer"),
        (said("[1]"), "unusable answer"),
        (said({"themes": "support", "sentiment": "positive"}), "unusable answer"),
        (said({"themes": [], "sentiment": "great"}), "unusable answer"),
        (said({"themes": [], "sentiment": ["positive"]}), "unusable answer"),
        (said({"themes": [theme("weather", "サポート")], "sentiment": "positive"}), "unusable answer"),
    ],
)
def test_whatever_goes_wrong_the_words_stand_with_a_note(
    server: Loopback, reader: Reader, answer: Reply, note: str
) -> None:
    server.script([answer])

    reading = read(server, reader)

    assert (reading.by, reading.note) == ("words", note)
    assert (reading.found, reading.sentiment) == (reader.read(TEXT).found, reader.read(TEXT).sentiment)
    assert json.loads(reading.evidence())["note"] == note
    assert len(server.seen) == 1, "it is not asked twice"


def test_an_endpoint_that_keeps_failing_is_left_alone(server: Loopback, reader: Reader) -> None:
    server.script([reply({}, 500)])

    with open_outside(themes(server), None) as outside:
        assert outside is not None
        notes = [outside.read(TEXT, reader.read(TEXT)).note for _ in range(6)]

    assert notes == ["no answer"] * 3 + ["endpoint failing"] * 3
    assert len(server.seen) == 3


def test_a_run_asks_for_so_many_comments_and_so_long(server: Loopback, reader: Reader) -> None:
    server.script([said({"themes": [], "sentiment": "neutral"})])
    now = [0.0]

    with open_outside(themes(server, comments_per_run=2, budget_seconds=10), None) as opened:
        assert opened is not None
        outside = Outside(opened.client, opened.settings, opened.taxonomy, opened.least, clock=lambda: now[0])
        notes = [outside.read(TEXT, reader.read(TEXT)).note for _ in range(3)]
        late = Outside(opened.client, opened.settings, opened.taxonomy, opened.least, clock=lambda: now[0])
        now[0] = 10.0
        notes.append(late.read(TEXT, reader.read(TEXT)).note)

    assert notes == [None, None, "over comments_per_run", "over budget_seconds"]
    assert len(server.seen) == 2
