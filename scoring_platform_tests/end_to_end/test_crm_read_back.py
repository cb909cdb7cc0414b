"""What sales people keep in the CRM comes back: owners, deals, and opt-outs that nobody else heard of."""

from __future__ import annotations

from typing import Any

import pytest

from scoring_platform_tests.end_to_end.fixtures import DAY, DAY_BEFORE, Mornings


@pytest.fixture(scope="module")
def customers(mornings: Mornings) -> dict[str, str]:
    """Customer by contact of the CRM."""
    known = mornings.platform.rows("customer_identities", DAY)
    return {row["id_value"]: row["customer_id"] for row in known if row["id_kind"] == "crm_id"}


@pytest.fixture(scope="module")
def profiles(mornings: Mornings) -> dict[str, dict[str, Any]]:
    """Profiles of the second morning by customer."""
    return {row["customer_id"]: row for row in mornings.platform.rows("customer_profiles", DAY)}


def test_every_contact_of_the_crm_is_somebody(mornings: Mornings, customers: dict[str, str]) -> None:
    contacts = mornings.platform.rows("raw_crm_contacts", DAY)

    assert len(contacts) > 300, "those that were there before us, and those that the first morning made"
    assert {row["crm_id"] for row in contacts} == set(customers)


def test_an_opt_out_in_the_crm_alone_forbids_writing_to_the_customer(
    mornings: Mornings, customers: dict[str, str], profiles: dict[str, dict[str, Any]]
) -> None:
    rows = mornings.platform.rows("raw_crm_contacts", DAY)
    out = {customers[row["crm_id"]] for row in rows if row["opt_out"]}
    elsewhere = {
        row["subject"].strip().lower() for row in mornings.platform.rows("raw_consents") if row["status"] != "granted"
    } | {
        row["email"].strip().lower()
        for row in mornings.platform.rows("raw_email_events")
        if row["kind"] in ("unsubscribe", "complaint")
    }
    only_here = [customer for customer in out if (profiles[customer]["email"] or "").lower() not in elsewhere]

    assert only_here
    assert {profiles[customer]["consent_email_marketing"] for customer in out} == {"denied"}


def test_an_owner_in_the_crm_is_the_owner_of_the_profile(
    mornings: Mornings, customers: dict[str, str], profiles: dict[str, dict[str, Any]]
) -> None:
    owned = {customers[row["crm_id"]]: row["owner"] for row in mornings.platform.rows("raw_crm_contacts", DAY)}

    assert {"Aoi Tanaka", "Ren Mori", "owner.online@example.com"} <= set(owned.values())
    assert {customer: profiles[customer]["owner"] for customer in owned} == owned


def test_deals_belong_to_contacts_and_none_is_from_the_future(mornings: Mornings) -> None:
    contacts = {row["crm_id"] for row in mornings.platform.rows("raw_crm_contacts", DAY)}
    deals = mornings.platform.rows("raw_crm_deals", DAY)

    assert deals
    assert {deal["crm_id"] for deal in deals} <= contacts
    assert {deal["created_at"].date() <= DAY for deal in deals} == {True}
    assert len(mornings.platform.rows("raw_crm_deals", DAY_BEFORE)) <= len(deals)
