"""Addresses in one spelling, and never two people's in the same one."""

from __future__ import annotations

import pytest

from scoring_platform.domain import normalise
from scoring_platform_tests.domain.tables import Database, frame


def spelled(db: Database, address: str) -> str | None:
    table = frame({"email": "string"}, [{"email": address}])
    found: str | None = db.one(table.select(spelled=normalise.email(table.email)))["spelled"]
    return found


@pytest.mark.parametrize(
    "address", ["Buyer@Example.JP", " buyer@example.jp ", "ＢＵＹＥＲ＠example．jp", "buyer@EXAMPLE.jp　"]
)
def test_letter_case_width_and_spaces_make_no_difference(db: Database, address: str) -> None:
    assert spelled(db, address) == "buyer@example.jp"


@pytest.mark.parametrize(
    ("address", "other"), [("İ@example.jp", "i@example.jp"), ("\u212aarl@example.jp", "karl@example.jp")]
)
def test_letters_that_only_look_alike_in_lower_case_stay_two_people(db: Database, address: str, other: str) -> None:
    assert spelled(db, address) not in {None, spelled(db, other)}


@pytest.mark.parametrize("address", ["", "@", "buyer", "buyer@example", "two words@example.jp", "a@b@example.jp"])
def test_what_is_no_address_is_nobodys(db: Database, address: str) -> None:
    assert spelled(db, address) is None
