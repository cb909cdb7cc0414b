"""The same company through other vendors, in the same daily job: what each gives, who is who, and the same numbers."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from scoring_platform.config.load import load_config
from scoring_platform.contracts.raw import RAW_TABLES
from scoring_platform.orchestration.build import build_definitions
from scoring_platform.orchestration.sensors import run_evaluations
from scoring_platform.sandbox.days import date_of, day_of
from scoring_platform.sandbox.mailings import BOUNCED, OPENED
from scoring_platform.sandbox.newsletters import is_newsletter
from scoring_platform.sandbox.population import Population
from scoring_platform_tests.end_to_end.fixtures import DAY, HISTORY_START, Mornings
from scoring_platform_tests.end_to_end.platform import Platform, morning_after
from scoring_platform_tests.end_to_end.second_stack import ASKED_ON, EXAMPLES, STRANGER, SecondStack, two_mornings

# Four mornings of a whole company, on a machine that may be busy.
pytestmark = pytest.mark.timeout(400)

VENDORS = {
    "raw_orders": {"woocommerce"},
    "raw_order_items": {"woocommerce"},
    "raw_customers": {"woocommerce"},
    "raw_email_events": {"mailchimp", "sendgrid"},
    "raw_web_activity": {"matomo"},
    "raw_support_tickets": {"intercom"},
    "raw_nps_responses": {"formbricks"},
    "raw_events": {"webhooks"},
    "raw_consents": {"woocommerce", "mailchimp", "sendgrid", "intercom", "webhooks"},
}
SAME_MEASURES = ("orders", "purchase_day", "revenue", "refunds", "tickets", "tickets_good", "tickets_bad")


@pytest.fixture(scope="module")
def population() -> Population:
    """The truth about the company."""
    founded = Population()
    founded.reach_day(DAY + timedelta(days=1))
    return founded


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, population: Population) -> SecondStack:
    """Two mornings of the second stack."""
    return two_mornings(tmp_path_factory.mktemp("second"), population)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: str(path.name))
def test_every_example_can_be_loaded_and_is_in_the_index(path: Any) -> None:
    assert load_config(path).config.history_start
    assert f"]({path.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_both_mornings_end_well(stack: SecondStack) -> None:
    assert (stack.first.code, stack.second.code) == (0, 0), stack.first.said + stack.second.said
    assert stack.first.err + stack.second.err == ""


def test_every_asset_has_its_day(stack: SecondStack) -> None:
    keys = build_definitions(stack.platform.settings).resolve_asset_graph().get_all_asset_keys()
    with stack.platform.instance() as instance:
        made = {key for key in keys if str(DAY) in instance.get_materialized_partitions(key)}

    assert made == keys
    assert {key.to_user_string() for key in made} > set(VENDORS)


def test_every_raw_table_has_rows_of_the_vendors_expected(stack: SecondStack) -> None:
    found = {table.name: {row["source"] for row in stack.rows(table.name)} for table in RAW_TABLES}

    assert {name: sources for name, sources in found.items() if sources} == VENDORS


def test_warnings_fail_exactly_for_what_is_wrong_on_purpose(stack: SecondStack, population: Population) -> None:
    with stack.platform.instance() as instance:
        evaluations = [one.evaluation for one in run_evaluations(instance, instance.get_runs(limit=1)[0].run_id)]
    failed = {(one.asset_key.to_user_string(), one.check_name): one.severity for one in evaluations if not one.passed}
    planted = population.planted(DAY)
    # An order dated ahead is wrong only while that time has not come, and it came long ago.
    wrong = {table for table, rows in planted.items() if any(row.kind != "future" for row in rows)}

    assert failed == {(table, "no_quarantined_rows"): dg.AssetCheckSeverity.WARN for table in {*wrong, "raw_events"}}
    assert len(evaluations) > 35


def test_a_customer_of_every_system_is_one_customer(stack: SecondStack) -> None:
    systems: dict[str, set[str]] = {}
    for row in stack.identities:
        systems.setdefault(row["customer_id"], set()).add(row["source"])
    everywhere = {"woocommerce", "mailchimp", "sendgrid", "matomo", "intercom", "formbricks"}
    whole = [who for who, found in systems.items() if everywhere <= found]

    assert len(whole) >= 5
    addresses = Counter(row["customer_id"] for row in _addresses(stack.platform))
    assert {addresses[who] for who in whole} == {1}, "all of them name one address"


def test_nobodys_identifiers_are_those_of_two_customers(stack: SecondStack, population: Population) -> None:
    known = [who for who in population.accounts(DAY) if who.twin_of is None]

    assert len(known) > 300
    assert {who.index for who in known if len(stack.customers(who)) != 1} == set()


def test_only_visits_with_consent_to_tracking_are_in_profiles(stack: SecondStack) -> None:
    agreed = {stack.customer(who): str(who.ref) for who in stack.website.agreed}
    counted = {(row["customer_id"], row["as_of"]): row["web_sessions"] for row in stack.rows("customer_activity")}
    visits = Counter[tuple[str, date]]()
    for row in stack.rows("raw_web_activity"):
        visits[row["customer_ref"], row["as_of"]] += row["sessions"]
    of_agreed = {
        (who, day): visits[ref, day]
        for who, ref in agreed.items()
        for _, day in counted
        if day >= ASKED_ON and visits[ref, day]
    }

    assert len(of_agreed) > 100
    assert {key: sessions for key, sessions in counted.items() if sessions} == of_agreed
    tracked = {row["customer_id"] for row in stack.rows("customer_profiles", DAY) if row["web_sessions_90d"]}
    assert tracked <= set(agreed)


def test_events_of_the_website_reach_whoever_they_name(stack: SecondStack) -> None:
    events = {row["customer_id"]: row["events"] for row in stack.rows("customer_activity", DAY) if row["events"]}
    (stranger,) = [row for row in stack.identities if row["id_value"] == STRANGER]
    site = stack.website

    assert events == {
        stack.customer(site.form): 1,
        stack.customer(site.download): 1,
        stack.customer(site.trial): 2,
        stranger["customer_id"]: 1,
    }
    assert [row for row in stack.rows("customer_profiles", DAY) if row["customer_id"] == stranger["customer_id"]]
    kinds = Counter(row["kind"] for row in stack.rows("raw_events"))
    assert kinds == {"form": 2, "document_download": 2, "trial_start": 1}


def test_what_comes_twice_counts_once_and_what_is_no_event_is_set_aside(stack: SecondStack) -> None:
    answers = {name: (answer.status_code, answer.json()) for name, answer in stack.answers.items()}
    taken = {"accepted": 0, "duplicates": 0, "rejected": 0}

    assert answers["consents"] == (200, {**taken, "accepted": len(stack.website.consents)})
    assert answers["events"] == (200, {**taken, "accepted": 5})
    assert answers["again"] == (200, {**taken, "duplicates": 1})
    assert answers["undated"] == (200, {**taken, "accepted": 1})
    assert answers["broken"][0] == 400
    assert "the body is not JSON" in stack.platform.command("webhooks", "--dead-letters").out
    aside = stack.platform.lake.version("quarantine/raw_events", DAY)
    assert aside is not None
    reasons = [row["reason"] for file in aside.files for row in pq.read_table(file).to_pylist()]
    assert reasons == ["occurred_at is not a time"]


def test_the_shops_orders_are_those_of_the_other_shop(stack: SecondStack, mornings: Mornings) -> None:
    """A trial order is marked in Shopify; WooCommerce has it in the trash, where it counts as cancelled."""
    ours, theirs = _orders(stack.platform), _orders(mornings.platform)
    trials = {number for number, row in theirs.items() if row["status"] == "test"}

    assert trials
    assert {ours[number]["status"] for number in trials} == {"cancelled"}
    for number in trials:
        ours[number] = {**ours[number], "status": "test"}
    assert ours == theirs


def test_daily_facts_are_those_of_the_first_stack_for_every_address(stack: SecondStack, mornings: Mornings) -> None:
    """Neither a trial nor a cancelled order is a purchase, so that even those leave no difference."""
    ours, theirs = (_facts(platform, SAME_MEASURES) for platform in (stack.platform, mornings.platform))

    assert len(ours) > 150
    assert ours == theirs


def test_what_was_done_with_mails_is_the_same(stack: SecondStack, mornings: Mornings) -> None:
    ours, theirs = (_facts(one, ("email_clicks", "email_unsubscribes")) for one in (stack.platform, mornings.platform))

    assert len(ours) > 30
    assert ours == theirs


def test_mails_differ_by_what_each_tool_cannot_tell(
    stack: SecondStack, mornings: Mornings, population: Population
) -> None:
    """Klaviyo counts no mail that bounced as received; Mailchimp tells no privacy proxy from its reader."""
    bounced, proxied = Counter[tuple[str, date]](), Counter[tuple[str, date]]()
    until = int(morning_after(DAY).timestamp())
    for event in (version.thing for version in population.books.mail.at(until)):
        on = date_of(day_of(event.at))
        if event.person >= 0 and HISTORY_START <= on <= DAY:
            key = (population.books.people[event.person].email or "", on)
            bounced[key] += event.metric == BOUNCED
            proxied[key] += event.metric == OPENED and event.machine and is_newsletter(event)

    for measure, difference in (("email_sent", bounced), ("email_opens", proxied)):
        ours, theirs = (_counts(one, measure) for one in (stack.platform, mornings.platform))
        assert difference.total() > 0
        assert ours - theirs == +difference, measure
        assert theirs - ours == Counter()


def test_both_tools_tell_of_the_same_visits(stack: SecondStack, mornings: Mornings) -> None:
    """Whose visits may be used differs: this shop asks for consent on the website, the other one keeps it itself."""
    names = ("sessions", "pageviews", "engaged_seconds", "conversions")
    ours, theirs = Counter[Any](), Counter[Any]()
    for counted, platform in ((ours, stack.platform), (theirs, mornings.platform)):
        for row in platform.rows("raw_web_activity"):
            counted.update({(row["customer_ref"], row["as_of"], name): row[name] for name in names})

    assert len(ours) > 1_000
    assert ours == theirs


def test_whom_the_stacks_know_differs_by_the_websites_stranger_only(stack: SecondStack, mornings: Mornings) -> None:
    ours, theirs = ({row["id_value"] for row in _addresses(one)} for one in (stack.platform, mornings.platform))

    assert ours - theirs == {STRANGER}
    assert theirs - ours == set()


def test_both_stacks_deliver_to_crm_mail_and_chat(stack: SecondStack) -> None:
    assert {row["status"] for row in stack.rows("crm_sync", DAY)} == {"acknowledged"}
    assert len(stack.platform.contacts()) > 200
    assert len(stack.platform.mails()) == 2
    assert len(stack.platform.messages("C0MARKETING")) == 2


def _orders(platform: Platform) -> dict[str, dict[str, Any]]:
    names = ("customer_ref", "email", "ordered_at", "status", "total_amount", "refunded_amount", "as_of")
    return {row["order_id"]: {name: row[name] for name in names} for row in platform.rows("raw_orders")}


def _addresses(platform: Platform) -> list[dict[str, Any]]:
    """Every address once."""
    rows = {row["id_value"]: row for row in platform.rows("customer_identities", DAY) if row["id_kind"] == "email"}
    return list(rows.values())


def _counts(platform: Platform, measure: str) -> Counter[tuple[str, date]]:
    return Counter({key: value for key, (value,) in _facts(platform, (measure,)).items()})


def _facts(platform: Platform, measures: tuple[str, ...]) -> dict[tuple[str, date], tuple[Any, ...]]:
    """What is not zero among the daily facts, by address and day."""
    addresses: dict[str, list[str]] = {}
    for row in _addresses(platform):
        addresses.setdefault(row["customer_id"], []).append(row["id_value"])
    found: dict[tuple[str, date], tuple[Any, ...]] = {}
    for row in platform.rows("customer_activity"):
        values = tuple(row[name] for name in measures)
        found |= {
            (address, row["active_on"]): values for address in addresses.get(row["customer_id"], ()) if any(values)
        }
    return found
