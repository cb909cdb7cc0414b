"""``nps import`` and ``nps export``: files of answers in, all known answers out."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scoring_platform.ledger.schema import DEAD_LETTERS, INBOX
from scoring_platform_tests.end_to_end.platform import Done, Platform

DELIGHTED = (
    "Response ID,Person ID,Email,Name,Score,Comment,Created At,Updated At,Plan\n"
    '70001,1,ann@example.com,Ann,9,"fast, cheap",2025-11-20 10:00:00 UTC,2025-11-20 10:05:00 UTC,pro\n'
    "70002,2,taro@example.jp,太郎,６,箱がつぶれていた,2025-11-20 23:30:00 +0900,2025-11-20 23:30:00 +0900,basic\n"
    "70003,3,ko@example.jp,Ko,,,2025-11-21 10:00:00 UTC,2025-11-21 10:00:00 UTC,pro\n"
)
PLAIN = (
    "メールアドレス,点数,コメント,回答日,店舗\n"
    "a@example.jp,10,香りが良い,2025/11/20,富山\nb@example.jp,3,遅い,2025/11/21 9:05,金沢\n"
)


def home(root: Path, *, nps: bool = True, **changes: Any) -> Platform:
    """A home that reads answers, in the time zone of Tokyo."""
    sources: dict[str, Any] = {"nps": {}} if nps else {"webhooks": {"providers": {"site": {}}}}
    written = {"history_start": "2025-10-01", "time_zone": "Asia/Tokyo", "sources": sources, **changes}
    path = root / "scoring.yaml"
    path.write_text(json.dumps(written), encoding="utf-8")
    return Platform(root / "home", path)


def imported(given: Platform, content: str | bytes, *options: str, name: str = "answers.csv") -> Done:
    path = given.config.parent / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return given.command("nps", "import", str(path), *options)


def counts(done: Done) -> tuple[int, int, int]:
    said = json.loads(done.out)
    return said["accepted"], said["duplicates"], said["rejected"]


def exported(given: Platform, *options: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(given.command("nps", "export", *options).out)))


def test_an_export_of_delighted_is_read_and_read_again_changes_nothing(tmp_path: Path) -> None:
    given = home(tmp_path)
    assert counts(imported(given, DELIGHTED, "--format", "delighted", "--json")) == (3, 0, 0)
    assert counts(imported(given, DELIGHTED, "--format", "delighted", "--json")) == (0, 3, 0)
    first, second, third = exported(given)

    assert first == {
        "source": "nps",
        "response_id": "import:delighted:70001",
        "survey_date": "2025-11-20",
        "nps_score": "9",
        "nps_segment": "promoter",
        "raw_text": "fast, cheap",
        "identity_kind": "email",
        "identity_key": "ann@example.com",
        "customer_id": "",
        "dimensions": '{"Person ID": "1", "Plan": "pro"}',
        "revision": "1763633100000",
    }
    assert (second["survey_date"], second["nps_score"], second["raw_text"]) == ("2025-11-20", "6", "箱がつぶれていた")
    assert (third["nps_score"], third["nps_segment"]) == ("", ""), "dismissed"


def test_a_changed_answer_in_a_later_export_is_one_answer_revised(tmp_path: Path) -> None:
    given = home(tmp_path)
    later = DELIGHTED.replace(
        '9,"fast, cheap",2025-11-20 10:00:00 UTC,2025-11-20 10:05', "4,slow,2025-11-20 10:00:00 UTC,2025-11-22 10:05"
    )
    imported(given, later, "--format", "delighted")
    assert counts(imported(given, DELIGHTED, "--format", "delighted", "--json"))[0] == 1, "an older state, kept as such"
    rows = exported(given)
    assert (len(rows), rows[0]["nps_score"], rows[0]["raw_text"]) == (3, "4", "slow")


def test_delighteds_json_is_read_too(tmp_path: Path) -> None:
    given = home(tmp_path)
    answer = {
        "id": "70001",
        "person": {"id": "1", "email": "ann@example.com", "name": "Ann"},
        "score": 9,
        "comment": "fast",
        "created_at": 1763632800,
        "updated_at": 1763633100,
        "person_properties": {"Plan": "pro"},
    }
    lines = "\n".join(json.dumps(one) for one in (answer, {**answer, "id": "70002", "score": 11}))
    assert counts(imported(given, json.dumps([answer]), "--format", "delighted", "--json")) == (1, 0, 0)
    assert counts(imported(given, lines, "--format", "delighted", "--json")) == (0, 1, 1)
    (row,) = exported(given)
    assert (row["survey_date"], row["dimensions"]) == ("2025-11-20", '{"Plan": "pro"}')


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_japanese_columns_and_encodings_are_known(tmp_path: Path, encoding: str, delimiter: str) -> None:
    given = home(tmp_path)
    assert counts(imported(given, PLAIN.replace(",", delimiter).encode(encoding), "--json")) == (2, 0, 0)
    assert [(row["survey_date"], row["nps_score"], row["raw_text"], row["dimensions"]) for row in exported(given)] == [
        ("2025-11-20", "10", "香りが良い", '{"店舗": "富山"}'),
        ("2025-11-21", "3", "遅い", '{"店舗": "金沢"}'),
    ]


def test_bad_lines_are_told_and_kept_and_the_good_ones_go_in(tmp_path: Path) -> None:
    given = home(tmp_path)
    content = (
        "id,email,score,comment,answered_at\n"
        'r1,a@example.jp,9,"two\nlines",2025-11-20\n'
        "r2,a@example.jp,11,x,2025-11-20\n"
        "r3,,9,x,2025-11-20\n"
        "r4,a@example.jp,7.5,x,2025-11-20\n"
        "r5,a@example.jp,7,x,soon\n"
        "r6,a@example.jp,7,x,\n"
        "r7,a@example.jp,7,x,2025-11-20,extra\n"
        "\n"
        "r8,a@example.jp,0,,2025-11-20T10:00:00Z\n"
    )
    done = imported(given, content)

    assert done.code == 0
    assert done.err.splitlines() == [
        "line 4: the score is not a whole number from 0 to 10",
        "line 5: the answer names nobody (email, customer_id, account_number, crm_id)",
        "line 6: the score is not a whole number from 0 to 10",
        "line 7: answered_at is not a time; other than year, month, day is read with --date-format",
        "line 8: the row does not say when it was answered (answered_at)",
        "line 9: the line has 6 values, the first line 5",
    ]
    assert done.out.startswith("2 new, 0 known before, 6 set aside")
    imported(given, content)
    with given.ledger() as ledger, ledger.reading() as connection:
        letters = connection.execute(select(DEAD_LETTERS)).all()
        kept = connection.execute(select(INBOX)).all()
    assert (len(letters), len(kept)) == (6, 2)
    assert json.loads(letters[0].body)["score"] == "11"
    assert [row["raw_text"] for row in exported(given)] == ["two\nlines", ""]


def test_a_file_of_nothing_but_bad_lines_fails(tmp_path: Path) -> None:
    assert imported(home(tmp_path), "email,score,answered_at\na@example.jp,12,2025-11-20\n").code == 1


def test_columns_zones_and_dates_can_be_told(tmp_path: Path) -> None:
    given = home(tmp_path)
    content = "Kunde,Note,Wann\nK1,8,11/20/2025 23:30\n"
    options = ["--map", "Kunde=customer_id", "--map", "Note=score", "--map", "Wann=answered_at", "--json"]
    told = ["--zone", "Europe/Berlin", "--date-format", "%m/%d/%Y %H:%M"]
    assert counts(imported(given, content, *options))[2] == 1
    assert counts(imported(given, content, *options, *told)) == (1, 0, 0)
    (row,) = exported(given)
    assert (row["identity_kind"], row["identity_key"], row["survey_date"]) == ("customer_id", "K1", "2025-11-21")


def test_surveys_that_number_their_answers_alike_are_told_apart_by_name(tmp_path: Path) -> None:
    given = home(tmp_path)
    content = "id,email,score,answered_at\n1,a@example.jp,9,2025-11-20\n"
    imported(given, content, "--survey", "spring")
    imported(given, content.replace(",9,", ",2,"), "--survey", "autumn")
    found = {row["response_id"]: row["nps_score"] for row in exported(given)}
    assert found == {"import:spring:1": "9", "import:autumn:1": "2"}


def test_without_ids_two_answers_of_one_person_at_one_time_are_not_guessed_at(tmp_path: Path) -> None:
    content = (
        "email,score,answered_at\na@example.jp,9,2025-11-20\na@example.jp,9,2025-11-20\na@example.jp,2,2025-11-20\n"
    )
    done = imported(home(tmp_path), content)
    assert done.err == "line 4: the same person and time as on line 2, and no column with ids\n"
    assert done.out.startswith("1 new, 1 known before, 1 set aside")


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"", [], "is empty"),
        (b"\x81\xff\x00\xfe", [], "neither UTF-8 nor CP932"),
        ("a,b\n1,2\n", [], "no column is known to hold the person"),
        ("email,b\n1,2\n", [], "no column is known to hold the score"),
        (PLAIN, ["--map", "nothing=score"], "has no column nothing"),
        (PLAIN, ["--map", "点数=colour"], "write COLUMN=FIELD with a FIELD of id, email"),
        (PLAIN, ["--zone", "Mars/Base"], "is no time zone"),
    ],
)
def test_what_cannot_be_read_at_all_says_why(tmp_path: Path, content: Any, options: list[str], words: str) -> None:
    done = imported(home(tmp_path), content, *options)
    assert done.code == 1
    assert words in done.err
    assert "Traceback" not in done.err


def test_answers_that_no_run_would_read_are_not_taken(tmp_path: Path) -> None:
    done = imported(home(tmp_path, nps=False), PLAIN)
    assert (done.code, "add `nps: {}` below sources" in done.err) == (1, True)


def test_answers_of_days_that_no_run_loads_are_told_of(tmp_path: Path) -> None:
    done = imported(home(tmp_path), PLAIN.replace("2025/", "2023/"))
    assert "2 are of days before history_start (2025-10-01)" in done.out


def test_nothing_exported_is_taken_for_a_formula(tmp_path: Path) -> None:
    given = home(tmp_path)
    words = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "＝1", "no formula"]
    rows = [{"id": f"r{n}", "email": "=a@example.jp", "score": 9, "comment": word} for n, word in enumerate(words)]
    imported(given, json.dumps([{**row, "answered_at": "2025-11-20"} for row in rows]))
    texts = [row["raw_text"] for row in exported(given)]
    assert texts == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "x", "'＝1", "no formula"]
    assert {row["identity_key"] for row in exported(given)} == {"'=a@example.jp"}


def test_export_knows_days_forms_and_figures(tmp_path: Path) -> None:
    given = home(tmp_path)
    trap = [{"id": f"r{n}", "email": f"k{n}@example.jp", "score": 9 if n < 5 else 6} for n in range(10)]
    imported(given, json.dumps([{**row, "answered_at": f"2025-11-{20 + n % 2}"} for n, row in enumerate(trap)]))
    output = tmp_path / "answers.jsonl"
    done = given.command("nps", "export", "--format", "jsonl", "--output", str(output), "--json")

    said = json.loads(done.out)
    assert (said["answers"], said["nps"], said["mean_rating"]) == (10, 0.0, 7.5)
    assert output.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 10
    assert lines[0]["dimensions"] == {}
    assert len(exported(given, "--from", "2025-11-21")) == len(exported(given, "--to", "2025-11-20")) == 5
    assert exported(given, "--from", "2025-12-01") == []
    assert json.loads(given.command("nps", "export", "--json").err)["promoters"] == 5


def test_what_was_imported_is_published_by_the_run_of_its_days(tmp_path: Path) -> None:
    given = home(tmp_path)
    imported(given, DELIGHTED, "--format", "delighted")
    days = [date(2025, 11, 20), date(2025, 11, 21)]
    assert given.make(days, "raw_nps_responses").success
    before = exported(given)
    assert {row["response_id"][-5:] for row in before} == {"70001", "70002", "70003"}
    with given.ledger() as ledger, ledger.writing() as connection:
        connection.execute(INBOX.delete())
    assert exported(given) == before, "the lake has them"
