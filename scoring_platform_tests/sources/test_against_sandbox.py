"""Every source against the sandbox company: the same rows come through whatever goes wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scoring_platform.contracts.raw import RAW_TABLES
from scoring_platform.errors import CredentialError, PermanentError
from scoring_platform.sandbox.connection import Endpoint, ensure
from scoring_platform.sandbox.credentials import credential
from scoring_platform.sources.formbricks import Formbricks, FormbricksSource
from scoring_platform.sources.ga4 import Ga4, Ga4Source
from scoring_platform.sources.klaviyo import Klaviyo, KlaviyoSource
from scoring_platform.sources.protocol import Window
from scoring_platform.sources.shopify import Shopify, ShopifySource
from scoring_platform.sources.zendesk import Zendesk, ZendeskSource
from scoring_platform_tests.sources.scenario import TOKYO, rows

NOW = datetime(2026, 11, 20, 21, tzinfo=UTC)
WINDOW = Window(since=NOW - timedelta(days=3), until=NOW)
TABLES = [
    "shopify.raw_orders",
    "shopify.raw_order_items",
    "shopify.raw_customers",
    "shopify.raw_consents",
    "klaviyo.raw_email_events",
    "klaviyo.raw_consents",
    "ga4.raw_web_activity",
    "zendesk.raw_support_tickets",
    "formbricks.raw_nps_responses",
]

AnySource = Shopify | Klaviyo | Ga4 | Zendesk | Formbricks


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sandbox(home: Path) -> Iterator[Endpoint]:
    with ensure(home) as endpoint:
        endpoint.set_clock(NOW)
        yield endpoint


@pytest.fixture
def company(sandbox: Endpoint) -> Iterator[Endpoint]:
    """The sandbox with nothing going wrong yet."""
    yield sandbox
    sandbox.clear_faults()


def source(system: str, company: Endpoint, home: Path) -> AnySource:
    """A source with small pages, so that every table has several."""
    url, secret, size = company.url(system), partial(credential, home, system), {"endpoint": "sandbox", "page_size": 20}
    match system:
        case "shopify":
            return Shopify(ShopifySource.model_validate(size), url, secret, TOKYO)
        case "klaviyo":
            return Klaviyo(KlaviyoSource.model_validate(size), url, secret, TOKYO)
        case "ga4":
            settings = Ga4Source.model_validate({**size, "page_size": 400, "property_id": "1"})
            return Ga4(settings, url, secret, TOKYO)
        case "zendesk":
            return Zendesk(ZendeskSource.model_validate(size), url, secret, TOKYO)
        case _:
            return Formbricks(FormbricksSource.model_validate({**size, "survey_id": "sandboxnps"}), url, secret, TOKYO)


def read(name: str, company: Endpoint, home: Path) -> list[dict[str, Any]]:
    system, _, table = name.partition(".")
    return rows(source(system, company, home), table, WINDOW)


def distinct(found: list[dict[str, Any]]) -> set[str]:
    return {repr(sorted(row.items())) for row in found}


@pytest.mark.parametrize("name", TABLES)
def test_rows_have_the_columns_of_the_contract_and_differ_on_its_key(name: str, company: Endpoint, home: Path) -> None:
    contract = next(table for table in RAW_TABLES if table.name == name.partition(".")[2])
    found = read(name, company, home)
    assert found
    # An order's lines take its currency.
    wanted = set(contract.given_columns) - ({"currency"} if contract.day_from else set())
    assert all(row.keys() == wanted for row in found)
    by_key = {tuple(row[column] for column in contract.key if column != "source") for row in found}
    assert len(by_key) == len(distinct(found))


@pytest.mark.parametrize("kind", ["status", "html", "reset", "malformed", "throttle"])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("shopify.raw_orders", "/shopify/admin/api"),
        ("klaviyo.raw_email_events", "/klaviyo/api"),
        ("zendesk.raw_support_tickets", "/zendesk"),
        ("formbricks.raw_nps_responses", "/formbricks"),
    ],
)
def test_trouble_on_the_way_changes_no_row(name: str, path: str, kind: str, company: Endpoint, home: Path) -> None:
    expected = distinct(read(name, company, home))
    company.add_fault(path, kind, times=2, status=503)
    assert distinct(read(name, company, home)) == expected


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("shopify.raw_orders", "/shopify/admin/api"),
        ("shopify.raw_order_items", "/shopify/admin/api"),
        ("klaviyo.raw_email_events", "/klaviyo/api/events"),
        ("ga4.raw_web_activity", "/ga4/v1beta"),
        ("zendesk.raw_support_tickets", "/zendesk/api"),
    ],
)
def test_a_page_given_twice_is_noticed(name: str, path: str, company: Endpoint, home: Path) -> None:
    system, _, table = name.partition(".")
    pages = source(system, company, home).fetch(table, WINDOW)
    next(pages)
    company.add_fault(path, "repeat_page")
    with pytest.raises(PermanentError, match="twice"):
        list(pages)


@pytest.mark.parametrize("system", ["shopify", "klaviyo", "ga4", "zendesk", "formbricks"])
def test_the_probe_answers_and_a_wrong_credential_names_its_variable(
    system: str, company: Endpoint, home: Path, tmp_path: Path
) -> None:
    assert source(system, company, home).probe().startswith(f"{system}: ")

    def wrong(name: str) -> str:
        # Another home has another service account; elsewhere any other text will do.
        return credential(tmp_path, system, name) if system == "ga4" else "wrong"

    right = source(system, company, home)
    refused = type(right)(right.settings, right.endpoint, wrong, TOKYO)  # type: ignore[arg-type]
    with pytest.raises(CredentialError, match=f"SCORING_{system.upper()}_"):
        refused.probe()


def test_a_window_that_begins_where_another_ended_leaves_no_gap(company: Endpoint, home: Path) -> None:
    middle = WINDOW.since + timedelta(hours=31, microseconds=250)
    whole = source("shopify", company, home)
    halves = [Window(WINDOW.since, middle), Window(middle, WINDOW.until)]
    found = [row for half in halves for row in rows(whole, "raw_orders", half)]
    assert distinct(found) == distinct(rows(whole, "raw_orders", WINDOW))
