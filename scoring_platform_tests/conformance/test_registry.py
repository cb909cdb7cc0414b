"""Every connector of the registries keeps the same promises, whoever the vendor is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scoring_platform.config.connections import Destinations, Sources
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.destinations.preflight import fields_of
from scoring_platform.destinations.registry import open_crms, open_mailer, open_slack
from scoring_platform.errors import CredentialError, SourceError
from scoring_platform.sandbox.connection import Endpoint
from scoring_platform.sources.files import Files
from scoring_platform.sources.opening import open_source, open_sources
from scoring_platform.sources.protocol import Source, Window
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.end_to_end.platform import Platform, writing_requests

END = datetime(2025, 11, 10, 21, tzinfo=UTC)
WINDOW = Window(END - timedelta(days=2), END)
NAMES = sorted(SOURCES)


def source_of(platform: Platform, name: str) -> Source:
    source = open_source(platform.settings, name)
    assert not isinstance(source, Files)
    return source


def test_every_section_of_the_configuration_has_its_connector() -> None:
    assert {"files", *SOURCES} == set(Sources.model_fields)
    assert set(Destinations.model_fields) == {"hubspot", "email", "slack"}


@pytest.mark.parametrize("name", NAMES)
def test_a_source_gives_the_tables_its_section_promises(platform: Platform, endpoint: Endpoint, name: str) -> None:
    source = source_of(platform, name)

    assert source.name == name
    assert source.settings.gives == platform.settings.sources_in_use[name]
    assert all(contract_of(table).is_raw for table in source.settings.gives)
    for table in source.settings.gives:
        assert name in [one.name for one in open_sources(platform.settings, table=table)]


@pytest.mark.parametrize("name", NAMES)
def test_a_source_gives_only_columns_of_the_contract_and_the_same_rows_again(
    platform: Platform, endpoint: Endpoint, name: str
) -> None:
    for table in sorted(source_of(platform, name).settings.gives):
        once, again = (
            [dict(row) for page in source_of(platform, name).fetch(table, WINDOW) for row in page] for _ in range(2)
        )

        assert once, (name, table)
        assert once == again
        assert {column for row in once for column in row} <= set(contract_of(table).given_columns)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_only_reads(platform: Platform, endpoint: Endpoint, name: str) -> None:
    for table in source_of(platform, name).settings.gives:
        for _ in source_of(platform, name).fetch(table, WINDOW):
            pass

    assert writing_requests(endpoint.requests()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_source_says_in_one_line_what_answered(platform: Platform, endpoint: Endpoint, name: str) -> None:
    words = source_of(platform, name).probe()

    assert words
    assert "\n" not in words


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("status", "kind"), [(401, CredentialError), (503, SourceError)])
def test_trouble_is_named_after_the_source_and_shows_no_secret(
    platform: Platform, endpoint: Endpoint, name: str, status: int, kind: type[Exception]
) -> None:
    endpoint.add_fault(f"/{name}", "status", status=status, times=100)

    with pytest.raises(kind) as caught:
        list(source_of(platform, name).fetch(min(source_of(platform, name).settings.gives), WINDOW))

    words = str(caught.value)
    assert name in words.lower()
    assert "sandbox-" not in words
    assert "secret" not in words.replace("client_secret", "").replace("CLIENT_SECRET", "").lower()


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
