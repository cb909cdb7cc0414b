"""The sandbox company of these tests: one population, and its server on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread

import httpx
import pytest
import uvicorn

from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.population import Population
from scoring_platform.sandbox.server import build_app
from scoring_platform_tests.sandbox.client import Client

NOW = datetime(2026, 2, 10, 21, tzinfo=UTC)
"""06:00 on 2026-02-11 in Tokyo; the last whole business day is 2026-02-10."""


@pytest.fixture(scope="session")
def population() -> Population:
    """The company after thirteen months."""
    founded = Population()
    founded.reach_day(date(2026, 11, 1))
    return founded


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company behind the server."""
    opened = Company.open(tmp_path_factory.mktemp("home") / "sandbox")
    opened.clock.set(NOW)
    return opened


@pytest.fixture(scope="session")
def address(company: Company) -> Iterator[str]:
    """The address of the running server."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(build_app(company), log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def http(address: str) -> Iterator[httpx.Client]:
    """One connection pool for all tests."""
    with httpx.Client(base_url=address, trust_env=False, timeout=10) as opened:
        yield opened


@pytest.fixture(scope="session")
def signed_in(http: httpx.Client, company: Company) -> Client:
    """A client with every credential."""
    return Client(http, company.state_dir)


@pytest.fixture
def client(signed_in: Client, company: Company) -> Iterator[Client]:
    """The client; clock, faults and counts are put back after the test."""
    company.faults.forget_requests()
    yield signed_in
    company.clock.set(NOW)
    company.faults.clear()


def specs() -> Path:
    """The folder with the vendors' own descriptions, which is not part of the repository."""
    return Path(__file__).parents[3] / "shared" / "vendor-specs"
