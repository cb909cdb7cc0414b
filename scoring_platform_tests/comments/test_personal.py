"""Personal data goes before a text leaves the company."""

from __future__ import annotations

import pytest

from scoring_platform.comments.personal import without_personal_data


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("連絡先は a.b@example.jp です", "連絡先は [email] です"),
        ("ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐまで", "[email]まで"),
        ("write to me (at) me(at)example.com", "write to me (at) [email]"),
        ("電話は090-1234-5678", "電話は[phone]"),
        ("０９０－１２３４－５６７８に電話", "[phone]に電話"),
        ("call +81 3 1234 5678 or (555) 123-4567", "call [phone] or [phone]"),
        ("09012345678まで", "[number]まで"),
        ("see https://example.com/a?b=c now", "see [url] now"),
        ("www.example.jp。以上", "[url]。以上"),
        ("注文番号 A-12345 の件", "注文番号 [number] の件"),
        ("order #4711 and order number AB12", "order [number] and order number [number]"),
        ("follow @coffee_fan", "follow [handle]"),
        ("〒150-0001", "[postcode]"),
        ("東京都渋谷区神南1-2-3に住む", "[address]に住む"),
        ("I live at 12 Green Hill Road", "I live at [address]"),
        ("田中さんが親切", "[name]が親切"),
        ("タナカ様へ", "[name]へ"),
        ("担当の佐藤が親切", "担当の佐藤が親切"),
        ("担当の佐藤さんが親切", "担当の[name]が親切"),
        ("Mr. Smith was rude", "[name] was rude"),
        ("Kudos to Daniel from the desk", "Kudos to [name] from the desk"),
        ("I spoke to Maria Lopez.", "I spoke to [name]."),
    ],
)
def test_what_names_a_person_goes(text: str, left: str) -> None:
    assert without_personal_data(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "お客様も皆様も店員さんも多様です",
        "2 items for $10, 5 years ago, 2026",
        "15,000円で買った。20分待った。",
        "It was delivered from the shop on 2026-11",
        "Thank you, the support team was great",
        "24時間365日",
        "",
    ],
)
def test_what_names_nobody_stays(text: str) -> None:
    assert without_personal_data(text) == text
