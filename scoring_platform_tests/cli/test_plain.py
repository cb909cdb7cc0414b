"""What others said is shown so that no character of it does anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scoring_platform.cli import doctor
from scoring_platform.cli.plain import plain
from scoring_platform_tests.webhooks.scenario import configured

STEERS = "\x1b[2J\x9b31m\u202e\u2066\u200f\x7f\u2028\U000e0041"


@pytest.mark.parametrize("text", ["plain", "漢字 ｶﾅ 😀", "Grüße,\u3000\u00a0…"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert plain(text) == text


def test_what_cannot_be_seen_is_named() -> None:
    named = r"\u001b[2J\u009b31m\u202e\u2066\u200f\u007f\u2028\udb40\udc41"
    assert plain(STEERS) == named
    assert plain("a\nb\r\x1b") == r"a\nb\r\u001b"
    assert plain("a\nb\r\x1b", lines=True) == "a\nb" + r"\r\u001b"


@given(st.text())
def test_json_means_the_same_afterwards(text: str) -> None:
    assert json.loads(plain(json.dumps([text], ensure_ascii=False, indent=2), lines=True)) == [text]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_doctor_repeats_no_system_word_for_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    settings = configured(tmp_path)

    def probes(_: object) -> Iterator[tuple[str, doctor.Probe]]:
        yield "website", lambda: f"said {STEERS}"

    monkeypatch.setattr(doctor, "prepared_settings", lambda: settings)
    monkeypatch.setattr(doctor, "_probes", probes)
    said = CliRunner().invoke(doctor.doctor, options).output
    assert r"said \u001b[2J\u009b31m\u202e" in said
    assert [character for character in STEERS if not character.isascii() and character in said] == []
    assert "\x1b" not in said
