"""Numbers, money and dates in both languages."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from scoring_platform.reporting.formats import Formats

JA, EN = Formats("ja", "JPY"), Formats("en", "USD")


@pytest.mark.parametrize(
    ("currency", "amount", "expected"),
    [
        ("JPY", "1234567", "¥1,234,567"),
        ("JPY", "1234567.5", "¥1,234,568"),
        ("USD", "1234.56", "$1,234.56"),
        ("USD", "1234.565", "$1,234.57"),
        ("USD", "-0.001", "$0.00"),
        ("EUR", "-12.3", "−€12.30"),
        ("KRW", "9900.4", "₩9,900"),
        ("KWD", "1.2345", "KWD 1.235"),
        ("CHF", "1000", "CHF 1,000.00"),
    ],
)
def test_money_has_the_sign_and_the_decimals_of_its_currency(currency: str, amount: str, expected: str) -> None:
    assert Formats("en", currency).money(Decimal(amount)) == expected


@pytest.mark.parametrize(
    ("amount", "japanese", "english"),
    [
        (0, "¥0", "$0"),
        (9_999, "¥9,999", "$10K"),
        (123_000, "¥12.3万", "$123K"),
        (18_420_000, "¥1,842万", "$18.4M"),
        (250_000_000, "¥2.5億", "$250M"),
        (-20_000, "−¥2万", "−$20K"),
    ],
)
def test_axis_amounts_use_the_units_of_the_language(amount: int, japanese: str, english: str) -> None:
    assert JA.money_short(amount) == japanese
    assert EN.money_short(amount) == english


def test_halves_round_up_and_a_negative_zero_loses_its_sign() -> None:
    assert JA.decimal(0.25) == "0.3"
    assert JA.decimal(-0.04) == "0.0"
    assert JA.percent(0.1235) == "12.4%"
    assert JA.decimal(-3.25) == "−3.3"


def test_dates_are_written_as_the_reader_writes_them() -> None:
    day = date(2026, 11, 20)
    assert (JA.day(day), EN.day(day)) == ("2026年11月20日（金）", "Friday, 20 November 2026")
    assert (JA.day_of_week(day), EN.day_of_week(day)) == ("11月20日（金）", "Friday, 20 November")
    assert (JA.day_short(day), EN.day_short(day)) == ("11/20", "20 Nov")
    instant = datetime(2026, 11, 21, 6, 4, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert JA.instant(instant) == "2026年11月21日（土） 06:04"
