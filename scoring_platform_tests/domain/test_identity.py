"""Who is who: which records make one customer and which do not."""

from __future__ import annotations

import json

import pytest

from scoring_platform.config.scoring import EmailProvider
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.contracts.rules import row_rules
from scoring_platform.domain import identity, normalise
from scoring_platform_tests.domain.identities import customers, order, resolve
from scoring_platform_tests.domain.tables import SCOPES, Database, before, frame, table


@pytest.mark.parametrize(
    "written", ["A@Example.JP", "  a@example.jp ", "ａ＠ｅｘａｍｐｌｅ．ｊｐ", "\u3000a@example.jp", "a@example.jp\n"]
)
def test_an_address_is_the_same_in_other_case_width_and_spacing(db: Database, written: str) -> None:
    found = resolve(db, orders=[order("r1", "a@example.jp"), order("r2", written)])

    assert customers(found)["r1"] == customers(found)["r2"]


def test_an_address_with_a_wide_sign_is_taken_by_every_raw_table_and_is_the_same_customer(db: Database) -> None:
    wide, broken = "taro＠example.jp", "taro＠＠example.jp"
    for name in ("raw_email_events", "raw_support_tickets"):
        given = table(name, {"email": wide}, {"email": broken}, {"email": "taro@＠example.jp"})
        (rule,) = (rule for rule in row_rules(contract_of(name), given) if rule.name == "email_str_matches")
        assert db.rows(given.filter(~rule.violated), "email") == [(wide,)], name

    found = resolve(
        db, orders=[order("r1", "taro@example.jp")], tickets=[{"email": wide}], email_events=[{"email": wide}]
    )
    assert {row["id_value"] for row in found} == {"r1", "taro@example.jp"}
    assert len({row["customer_id"] for row in found}) == 1


@pytest.mark.parametrize("written", ["", "n/a", "a@", "@example.jp", "a@b", "a b@example.jp", "a@@example.jp"])
def test_what_is_no_address_is_nobodys_address(db: Database, written: str) -> None:
    given_as = frame({"email": "string"}, [{"email": written}])

    assert db.one(given_as.select(found=normalise.email(given_as.email)))["found"] is None


def test_guests_are_known_by_their_address(db: Database) -> None:
    found = customers(resolve(db, orders=[order(None, "g@example.jp"), order(None, "h@example.jp")]))

    assert len(set(found.values())) == 2


def test_an_order_without_customer_and_address_is_nobodys(db: Database) -> None:
    assert resolve(db, orders=[order(None, None), order(" ", "")]) == []


def test_accounts_of_two_shops_with_one_number_are_two_customers(db: Database) -> None:
    found = resolve(db, orders=[order("r1", None), order("r1", None, source="files")])

    assert len({row["customer_id"] for row in found}) == 2


def test_a_number_in_another_system_is_that_of_the_first_shop_and_a_shops_own_of_that_shop(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", None), order("r1", None, source="files")],
        events=[{"customer_ref": "r1", "source": "crm"}, {"customer_ref": "r1", "source": "files"}],
    )
    of = {(row["source"], row["id_value"]): row["customer_id"] for row in found}

    assert of["crm", "r1"] == of["shop", "r1"] != of["files", "r1"]
    assert len(found) == 3


def test_a_device_alone_is_nobody_until_it_belongs_to_someone(db: Database) -> None:
    visit = {"client_id": "d1", "as_of": before(9)}

    assert resolve(db, web_activity=[visit]) == []
    assert resolve(db, web_activity=[visit, {"client_id": "d1", "customer_ref": "r1"}]) == [], "consent is not known"
    found = resolve(db, web_activity=[visit, {"client_id": "d1", "customer_ref": "r1"}], orders=[order("r1", None)])
    assert {row["id_value"] for row in found} == {"d1", "r1"}
    assert len({row["customer_id"] for row in found}) == 1


def test_identifiers_of_every_table_are_known(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", "1@example.jp")],
        customers=[
            {"customer_ref": "r2", "email": "2@example.jp", "attributes": '{"account_number": "N2", "tier": ["x"]}'}
        ],
        email_events=[{"email": "3@example.jp"}],
        web_activity=[{"customer_ref": "r4"}],
        tickets=[{"email": "5@example.jp"}],
        events=[{"customer_ref": "r6", "email": "6@example.jp"}],
        contacts=[{"crm_id": "k7", "email": "7@example.jp", "source": "hubspot"}],
        responses=[
            {"identity_kind": "email", "identity_key": "8@example.jp"},
            {"identity_kind": "customer_id", "identity_key": "r9"},
            {"identity_kind": "account_number", "identity_key": "N9"},
            {"identity_kind": "crm_id", "identity_key": "k9"},
        ],
    )

    # The site's visitors and who answers surveys are matched, not made.
    assert {row["id_value"] for row in found} == {
        *("r1", "r2", "N2", "r6", "k7"),
        *(f"{n}@example.jp" for n in (1, 2, 3, 5, 6, 7)),
    }
    assert len({row["customer_id"] for row in found}) == 6


def test_visits_and_answers_do_not_make_a_customer_known_earlier(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", "a@example.jp", before(2))],
        web_activity=[{"customer_ref": "r1", "source": "ga4", "as_of": before(9)}],
        responses=[{"identity_kind": "email", "identity_key": "a@example.jp", "source": "forms", "as_of": before(7)}],
    )

    assert len({row["customer_id"] for row in found}) == 1
    assert {row["first_seen_on"] for row in found} == {before(2)}


def test_an_account_number_and_a_crm_record_lead_to_the_same_customer(db: Database) -> None:
    found = resolve(
        db,
        customers=[{"customer_ref": "r1", "email": "a@example.jp", "attributes": json.dumps({"account_number": 77})}],
        contacts=[{"crm_id": "k1", "email": "A@example.jp", "source": "hubspot"}],
        responses=[
            {"identity_kind": "account_number", "identity_key": " 77 ", "source": "forms"},
            {"identity_kind": "crm_id", "identity_key": "k1", "source": "forms"},
        ],
    )

    assert set(customers(found)) == {"r1", "a@example.jp", "77", "k1"}
    assert len(set(customers(found).values())) == 1


NOT_NUMBERS = ("null", '""', "1e30", "2.5", "1E400", "true", "[7001]", '{"n": 7001}', "1234567890123456.0")


def test_attributes_without_an_account_number_link_nobody(db: Database) -> None:
    written = ["{}", "[]", "3", '"x"', *(f'{{"account_number": {value}}}' for value in NOT_NUMBERS)]
    accounts = [
        {"customer_ref": f"r{n}-{place}", "attributes": text} for n, text in enumerate(written) for place in range(2)
    ]
    found = resolve(db, customers=accounts)

    assert len({row["customer_id"] for row in found}) == len(found) == len(accounts)


def test_an_account_number_is_read_by_its_digits_however_many_there_are(db: Database) -> None:
    written = {
        "7001": "7001", "7001.0": "7001", "9223372036854775808": "9223372036854775808", "-5": "-5",
        "123456789012345678901234567890": "123456789012345678901234567890",
        "123456789012345678901234567891": "123456789012345678901234567891", '"007"': "007", '"70.0"': "70.0",
    }  # fmt: skip
    accounts = [
        {"customer_ref": f"r{n}", "attributes": f'{{"account_number": {value}}}'} for n, value in enumerate(written)
    ]
    found = resolve(db, customers=accounts)

    assert {row["id_value"] for row in found if row["id_kind"] == "account_number"} == set(written.values())
    assert len({row["customer_id"] for row in found}) == len(written) - 1, "7001 is written in two ways"


def test_spellings_of_one_mailbox_are_one_customer_only_where_its_provider_is_configured(db: Database) -> None:
    spellings = ["a.b@example.com", "AB+shop@example.com", "ab@mail.example.com", "a.b@example.jp"]
    orders = [order(None, spelling) for spelling in spellings]
    rules = {"example.com": EmailProvider(ignore_dots=True, ignore_plus=True, also=("mail.example.com",))}
    plain = customers(resolve(db, orders=orders))
    known = resolve(db, rules=identity.Rules(SCOPES, providers=rules), orders=orders)

    assert len(set(plain.values())) == 4
    assert len(set(customers(known).values())) == 2
    assert customers(known)["a.b@example.jp"] not in {customers(known)[name.lower()] for name in spellings[:3]}
    assert {row["rule"] for row in known if row["id_value"] != "a.b@example.jp"} == {"email_provider"}


def test_every_identifier_says_by_which_rule_it_belongs_to_its_customer(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", "a@example.jp"), order("r2", None)],
        events=[{"customer_ref": "r1", "client_id": "d1"}],
    )

    assert {row["id_value"]: row["rule"] for row in found} == {
        "r1": "same_record", "a@example.jp": "same_record", "d1": "device", "r2": "single",
    }  # fmt: skip


def test_the_first_fact_of_an_identifier_may_be_older_than_its_customer(db: Database) -> None:
    found = resolve(
        db,
        orders=[order("r1", "a@example.jp", before(2))],
        web_activity=[{"customer_ref": "r1", "as_of": before(9)}],
    )
    of = {row["id_value"]: (row["first_seen_on"], row["first_fact_on"]) for row in found}

    assert of == {"r1": (before(2), before(9)), "a@example.jp": (before(2), before(2))}
