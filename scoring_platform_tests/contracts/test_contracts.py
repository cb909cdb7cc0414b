"""Contracts name everything once, and what they call personal is masked."""

from __future__ import annotations

import pytest

from scoring_platform.contracts.catalog import CATALOG, table
from scoring_platform.contracts.masking import mask_email, mask_row, mask_text
from scoring_platform.contracts.raw import RAW_TABLES
from scoring_platform.contracts.table import Table
from scoring_platform.errors import ConfigurationError


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_table_is_described_down_to_its_columns(name: str) -> None:
    contract = table(name)
    assert contract.name == name
    assert contract.description
    assert set(contract.key) <= set(contract.columns)
    assert [column for column, definition in contract.columns.items() if not definition.description] == []
    assert contract.contract.strict


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_columns_that_hold_addresses_or_free_text_are_personal(name: str) -> None:
    contract = table(name)
    personal = {"email", "raw_text", "identity_key", "subject", "attributes", "properties", "payload"}
    assert personal & set(contract.columns) <= contract.personal_columns


@pytest.mark.parametrize("contract", RAW_TABLES, ids=lambda contract: contract.name)
def test_every_raw_table_says_where_its_day_comes_from(contract: Table) -> None:
    assert (contract.day_column is None) != (contract.day_from is None)
    assert contract.key[0] == "source"
    assert "source" not in contract.given_columns
    assert not [name for name in contract.given_columns if name.endswith("_reporting")]


def test_an_unknown_table_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no table 'orders'; known tables: .*raw_orders"):
        table("orders")


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("taro@example.jp", "t***@***.jp"),
        ("taro＠example.co.jp", "t***@***.jp"),
        ("t@localhost", "t***@***"),
        ("t@10.0.0.1", "t***@***"),
    ],
)
def test_an_address_keeps_its_first_letter_and_its_ending(address: str, masked: str) -> None:
    assert mask_email(address) == masked


def test_addresses_inside_text_are_masked_and_the_rest_stays() -> None:
    text = 'unknown <taro@example.jp>, "hanako＠example.com": no such customer'
    assert mask_text(text) == 'unknown <t***@***.jp>, "h***@***.com": no such customer'


def test_personal_columns_that_are_no_address_are_hidden_wholly() -> None:
    row = {
        "email": "taro@example.jp",
        "properties": '{"mail": "taro@example.jp", "name": "Taro. Yamada"}',
        "client_id": "ga.12.34",
        "kind": "form",
        "customer_ref": None,
    }
    assert mask_row(table("raw_events"), row) == {
        "email": "t***@***.jp",
        "properties": "***",
        "client_id": "***",
        "kind": "form",
        "customer_ref": None,
    }
    assert mask_row(table("raw_events"), {"email": None}) == {"email": None}
    assert mask_row(table("raw_events"), {"email": "write to taro@example.jp. Yamada"}) == {"email": "***"}
