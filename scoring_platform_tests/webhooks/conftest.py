"""One running receiver for the folder, empty at the start of each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import delete

from scoring_platform.ledger.schema import DEAD_LETTERS, INBOX
from scoring_platform_tests.webhooks.scenario import Desk, Mailer, configured, receiving


@pytest.fixture(scope="session")
def mailer() -> Mailer:
    """SendGrid's side."""
    return Mailer()


@pytest.fixture(scope="package")
def _desk(tmp_path_factory: pytest.TempPathFactory, mailer: Mailer) -> Iterator[Desk]:
    generous = {"requests_per_minute": 100_000}
    settings = configured(tmp_path_factory.mktemp("receiver"), receiver=generous)
    with receiving(settings, mailer.provider()) as opened:
        yield opened


@pytest.fixture
def desk(_desk: Desk) -> Desk:
    """A receiver of the website's and SendGrid's events."""
    with _desk.ledger.writing() as connection:
        connection.execute(delete(INBOX))
        connection.execute(delete(DEAD_LETTERS))
    return _desk
