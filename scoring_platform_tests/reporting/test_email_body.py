"""The mail: whole in Gmail, its pictures inside, its text part worth reading."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from scoring_platform.reporting.data import Mover, SegmentRow
from scoring_platform.reporting.email_body import GMAIL_CLIP_BYTES, render_email
from scoring_platform_tests.reporting.page_reader import read
from scoring_platform_tests.reporting.scenario import (
    EDITIONS,
    NO_PICTURES,
    REPORT,
    no_sources,
    ordinary,
    pictures,
)


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_mail_is_whole_and_every_picture_is_attached(edition: str) -> None:
    mail = render_email(EDITIONS[edition], pictures(edition))
    page = read(mail.html)
    assert len(mail.html.encode()) < GMAIL_CLIP_BYTES
    assert {image["src"] for image in page.all("img")} == {f"cid:{cid}" for cid in mail.images}
    assert all(png.startswith(b"\x89PNG") for png in mail.images.values())
    assert not page.all("script")
    # Mail clients drop style sheets.
    assert not page.all("style")
    assert not [attributes for _, attributes in page.elements if "class" in attributes]


def test_a_mail_program_reads_back_what_was_written() -> None:
    mail = render_email(ordinary(), pictures("ordinary-ja"))
    message = EmailMessage()
    message["Subject"] = mail.subject
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    html_part = message.get_body(("html",))
    assert isinstance(html_part, EmailMessage)
    for cid, png in mail.images.items():
        html_part.add_related(png, "image", "png", cid=f"<{cid}>")
    back = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert back["Subject"] == "【Example Store】顧客スコアレポート 2026年11月20日（金）"
    assert {part["Content-ID"].strip("<>") for part in back.walk() if part["Content-ID"]} == set(mail.images)


def test_the_text_part_tells_the_same_story_with_the_link() -> None:
    text = render_email(ordinary("en"), NO_PICTURES).text
    assert "Revenue: ¥1,234,567 (vs. the day before +23.5%)" in text
    assert "- Act: 2 records could not be written to hubspot and need correcting." in text
    assert "- Failed for good | hubspot 2" in text
    assert "- VIP | Customers 120 | Change +2 | Spend, 365 days ¥120,000" in text
    assert f"Open the full report: {REPORT}" in text
    assert "&" not in text
    assert "\n\n\n" not in text


def test_labels_are_escaped_in_html_and_plain_in_text() -> None:
    data = ordinary()
    attack = "<script>1</script> & Co"
    attacked = replace(
        data,
        segments=(SegmentRow("vip", attack, 1, 1, Decimal(0), None),),
        risers=(Mover("c1", attack, 1.0, 2.0, "vip"),),
    )
    mail = render_email(attacked, NO_PICTURES)
    assert "<script" not in mail.html
    assert attack in read(mail.html).text
    assert attack in mail.text


def test_a_company_name_cannot_add_a_header() -> None:
    mail = render_email(replace(ordinary(), company="Example\r\nBcc: someone@example.com"), NO_PICTURES)
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject


def test_missing_sources_are_named_in_the_text() -> None:
    text = render_email(no_sources("en"), NO_PICTURES).text
    assert "Revenue: No source" in text
    assert text.count("No source is configured for this, so there is nothing to count.") == 2
    assert "No CRM is configured, so nothing is written." in text
