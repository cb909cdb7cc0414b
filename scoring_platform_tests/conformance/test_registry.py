"""Every connector of the registries keeps the same promises, whoever the vendor is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import stamina

from scoring_platform.config.connections import Destinations, Sources
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.destinations.preflight import fields_of
from scoring_platform.destinations.registry import open_crms, open_mailer, open_slack
from scoring_platform.sandbox.connection import Endpoint
from scoring_platform.sandbox.faults import writes
from scoring_platform.settings import PACKAGED_CONFIG, load_settings
from scoring_platform.sources.opening import open_source, open_sources
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.conformance.world import TABLES, World, gives
from scoring_platform_tests.end_to_end.platform import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    home: Path = tmp_path_factory.mktemp("conformance") / "home"
    made = Platform(home, PACKAGED_CONFIG)
    made.set_clock(date(2025, 11, 10))
    return made


@pytest.fixture(scope="module")
def _running(platform: Platform) -> Iterator[Endpoint]:
    with platform.company() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(_running: Endpoint) -> Iterator[Endpoint]:
    """The sandbox; faults and counts are forgotten after the test, and retries do not wait."""
    _running.forget_requests()
    with stamina.set_testing(True, attempts=2):
        yield _running
    _running.clear_faults()


def test_every_section_of_the_configuration_has_its_connector() -> None:
    assert {"files", *SOURCES} == set(Sources.model_fields)
    assert set(Destinations.model_fields) == {"hubspot", "salesforce", "pipedrive", "email", "slack"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_gives_the_raw_tables_its_section_promises(world: World, name: str) -> None:
    settings = load_settings(world.environment(name))

    assert settings.sources_in_use == {name: frozenset(gives(name))}
    assert all(contract_of(table).is_raw for table in gives(name))
    for table in gives(name):
        opened = open_sources(settings, table=table)
        assert [one.name for one in opened] == [name]
        assert opened[0].settings.whole <= opened[0].settings.gives


@pytest.mark.parametrize("name", TABLES)
def test_rows_have_only_columns_of_the_contract_and_its_key(world: World, name: str) -> None:
    contract = contract_of(name.partition(".")[2])

    for row in world.baseline(name).rows:
        assert row.keys() <= set(contract.given_columns)
        assert set(contract.key) - {"source"} <= row.keys()


@pytest.mark.parametrize("name", TABLES)
def test_a_source_only_reads(world: World, name: str) -> None:
    seen = [one.seen for one in world.baseline(name).exchanges]

    assert [(one.method, one.path) for one in seen if writes(one.method, one.path)] == []


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_says_in_one_line_what_answered(world: World, name: str) -> None:
    words = open_source(load_settings(world.environment(name)), name).probe()

    assert words.startswith(f"{name}: ")
    assert "\n" not in words
    assert "@" not in words


def test_every_destination_answers_and_its_fields_can_be_made(platform: Platform, endpoint: Endpoint) -> None:
    settings = platform.settings
    mailer, slack = open_mailer(settings), open_slack(settings)
    assert mailer is not None
    assert slack is not None
    with open_crms(settings) as crms:
        said = [mailer.probe(), slack.probe(), *(crm.probe() for crm in crms)]
        for crm in crms:
            created = crm.provision(fields_of(settings, crm))
            assert crm.preflight(fields_of(settings, crm)) == []
            assert created
            assert list(crm.provision(fields_of(settings, crm))) == []

    assert all(words and "\n" not in words for words in said)
