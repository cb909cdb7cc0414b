"""The commands a person types to look and to mend."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
import stamina

from scoring_platform.cli.main import cli
from scoring_platform_tests.end_to_end.fixtures import (
    DAY,
    DAY_BEFORE,
    SHOP_START,
    Mornings,
    OpenShop,
    orders_of,
    write_orders,
)
from scoring_platform_tests.end_to_end.platform import Platform, packaged, write_config

COMPANY_START = date(2025, 10, 20)
DAGSTER = str(Path(sys.executable).parent / "dagster")


def levels(command: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from levels(inner, (*path, name))


@pytest.mark.parametrize("path", list(levels()), ids=" ".join)
def test_every_level_has_help_and_needs_no_configuration_for_it(open_shop: OpenShop, path: tuple[str, ...]) -> None:
    done = open_shop().command(*path, "--help")

    assert done.code == 0
    assert done.out.startswith(f"Usage: scoring-platform{''.join(f' {name}' for name in path)}")
    assert "..." not in done.out.replace("[ARGS]...", ""), "a summary that is cut off says nothing"


def test_an_unknown_command_is_refused(open_shop: OpenShop) -> None:
    done = open_shop().command("scores")

    assert done.code == 2
    assert "No such command 'scores'" in done.err


# explain


@pytest.fixture(scope="module")
def somebody(mornings: Mornings) -> dict[str, Any]:
    """A loyal customer with an address."""
    profiles = [
        row for row in mornings.platform.rows("customer_profiles", DAY) if row["email"] and row["order_days"] > 1
    ]
    return profiles[0]


def test_a_customer_is_explained_by_address_and_by_id_in_japanese(mornings: Mornings, somebody: dict[str, Any]) -> None:
    by_address = mornings.platform.command("explain", somebody["email"])
    by_id = mornings.platform.command("explain", somebody["customer_id"])

    assert by_address.code == 0, by_address.said
    assert by_address.out == by_id.out
    assert "総合スコア" in by_address.out
    assert somebody["email"] not in by_address.out
    parts = [float(points) for points in re.findall(r"^ +(\d+\.\d\d) ", by_address.out, flags=re.MULTILINE)]
    total = re.search(r"総合スコア: ([\d.]+) / 100", by_address.out)
    assert total is not None
    assert round(sum(parts), 2) == float(total[1])
    assert len(parts) == 7


def test_a_customer_is_explained_in_english_where_the_report_is_english(
    mornings: Mornings, somebody: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = tmp_path_factory.mktemp("english") / "scoring.yaml"
    english = mornings.platform.with_config(config, report={**packaged()["report"], "language": "en"})

    done = english.command("explain", somebody["email"].upper(), "--date", str(DAY_BEFORE))

    assert done.code == 0, done.said
    assert "Total score" in done.out
    assert str(DAY_BEFORE) in done.out
    assert not re.search(r"[ぁ-んァ-ン一-龥]", done.out), "no word of the other language"


def test_an_explanation_as_json_adds_up(mornings: Mornings, somebody: dict[str, Any]) -> None:
    done = mornings.platform.command("explain", somebody["customer_id"], "--json")
    found = json.loads(done.out)

    assert sum(found["parts"].values()) == round(float(found["total_score"]) * 100)
    assert found["customer_id"] == somebody["customer_id"]
    assert found["day"] == str(DAY)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody@example.jp",), "nobody is known by that customer id, e-mail address, account number"),
        (("nobody@example.jp", "--date", "2025-01-01"), "no scores are published for 2025-01-01"),
    ],
)
def test_who_or_what_is_not_known_is_said_without_the_address(
    mornings: Mornings, arguments: tuple[str, ...], words: str
) -> None:
    done = mornings.platform.command("explain", *arguments)

    assert done.code == 1
    assert words in done.err
    assert "nobody@example.jp" not in done.said


# doctor


def test_the_doctor_finds_every_system_well(module_mornings: Platform) -> None:
    with module_mornings.company():
        done = module_mornings.command("doctor")
        as_json = module_mornings.command("doctor", "--json")

    assert done.code == 0, done.said
    examined = {line.split()[1] for line in done.out.splitlines() if line.startswith("ok")}
    assert examined == {
        "configuration", "home", "shopify", "klaviyo", "ga4", "zendesk", "formbricks", "nps", "hubspot",
        "receiver", "crm", "email", "slack",
    }  # fmt: skip
    assert {result["system"] for result in json.loads(as_json.out)} == examined


def test_the_doctor_names_what_is_down_and_what_refuses_us_and_finds_the_rest_well(module_mornings: Platform) -> None:
    with module_mornings.company() as endpoint, stamina.set_testing(True, attempts=2):
        endpoint.add_fault("/klaviyo", "status", status=401, times=20)
        endpoint.add_fault("/zendesk", "status", status=503, times=20)
        done = module_mornings.command("doctor")

    failed = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert done.code == 1
    assert [line.split()[1] for line in failed] == ["klaviyo", "zendesk"]
    assert "SCORING_KLAVIYO_API_KEY" in failed[0] or "credential" in failed[0] or "401" in failed[0]
    assert "503" in failed[1]
    assert done.out.count("ok ") == 11


def test_the_doctor_names_the_credential_that_is_missing(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("real")
    written = {**packaged(), "sources": {"zendesk": {"endpoint": "https://coffee.zendesk.example"}}}
    written["destinations"] = {"hubspot": {}, "slack": {"channel": "C0MARKETING"}}
    platform = Platform(root / "home", write_config(root / "scoring.yaml", written))

    done = platform.command("doctor")

    assert done.code == 1
    for variable in ("SCORING_ZENDESK_CLIENT_ID", "SCORING_HUBSPOT_TOKEN", "SCORING_SLACK_TOKEN"):
        assert f"set {variable}" in done.out
    assert not (platform.root / "sandbox").exists()


# lake, crm, backfill


def test_a_replaced_day_is_put_back(open_shop: OpenShop) -> None:
    platform = open_shop()
    write_orders(platform, orders_of(SHOP_START, 1))
    assert platform.make([SHOP_START], "raw_orders").success
    first = platform.lake.version_id("raw_orders", SHOP_START)
    nothing = platform.command("lake", "restore", "raw_orders", "--date", str(SHOP_START))
    write_orders(platform, orders_of(SHOP_START, 1, per_day=7))
    assert platform.make([SHOP_START], "raw_orders").success
    assert platform.lake.version_id("raw_orders", SHOP_START) != first

    done = platform.command("lake", "restore", "raw_orders", "--date", str(SHOP_START))
    unknown = platform.command("lake", "restore", "raw_sales", "--date", str(SHOP_START))

    assert done.code == 0, done.said
    assert "with 6 rows is published again" in done.out
    assert platform.lake.version_id("raw_orders", SHOP_START) == first
    assert nothing.code == unknown.code == 1
    assert "no replaced version is kept" in nothing.err
    assert "there is no table 'raw_sales'" in unknown.err


def test_missing_crm_fields_are_made_once(module_mornings: Platform) -> None:
    with module_mornings.company():
        assert module_mornings.command("crm", "provision").out == "hubspot: nothing was missing\n"


# several at once


def test_a_running_sandbox_is_used_and_not_started_again(module_mornings: Platform) -> None:
    with module_mornings.company() as endpoint:
        done = module_mornings.command("doctor")
        assert "Starting the sandbox company" not in done.said
        assert endpoint.answers(), "and it is not stopped by the command that found it"

    assert "Starting the sandbox company" in module_mornings.command("doctor").err


def small_company(tmp_path_factory: pytest.TempPathFactory, name: str) -> Platform:
    root, written = tmp_path_factory.mktemp(name), packaged()
    written["sources"] = {"shopify": {"endpoint": "sandbox"}}
    platform = Platform(root / "home", write_config(root / "scoring.yaml", written, history_start=COMPANY_START))
    platform.set_clock(COMPANY_START + timedelta(days=1))
    return platform


@pytest.mark.drill
def test_two_homes_and_two_runs_of_one_home_do_not_disturb_each_other(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    one, other = (small_company(tmp_path_factory, name) for name in ("one", "other"))
    day = str(COMPANY_START + timedelta(days=1))
    with one.company():
        processes = [
            one.start("run", "--date", day),
            one.start("run", "--date", day),
            other.start("run", "--date", day),
        ]
        ended = [(process.communicate(), process.returncode) for process in processes]

    assert [code for _, code in ended] == [0, 0, 0], ended
    assert one.versions("customer_scores") == other.versions("customer_scores")
    assert one.contacts() == other.contacts()
    assert len(one.mails()) == len(other.mails()) == 1
    titles = [message["text"] for message in one.messages("C0MARKETING")]
    assert len(titles) == 1, "two runs, one summary"


def test_dagsters_own_command_runs_a_range_of_a_selection(open_shop: OpenShop) -> None:
    platform = open_shop()
    write_orders(platform, orders_of(SHOP_START, 4))
    last = SHOP_START + timedelta(days=3)
    command = [
        DAGSTER, "asset", "materialize", "--select", "raw_orders", "--partition-range", f"{SHOP_START}...{last}",
        "-m", "scoring_platform.definitions",
    ]  # fmt: skip
    platform.root.mkdir(parents=True)
    (platform.root / "dagster").mkdir()
    environment = {"PATH": "", "HOME": str(platform.root), **platform.environment}
    done = subprocess.run(command, cwd=platform.root, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert platform.lake.days("raw_orders") == [SHOP_START + timedelta(days=offset) for offset in range(4)]
    with platform.instance() as instance:
        assert len(instance.get_runs()) == 1, "one run for the range"
