"""The world of the conformance suite: one company in this process, all its vendors, and a log of what is said.

Belongs here: what every test of the suite needs, and the few ways in which vendors differ. Does not belong here:
expectations.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import uvicorn
import yaml
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scoring_platform.config.base import SourceSection
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import service_account
from scoring_platform.sandbox.faults import Fault
from scoring_platform.sandbox.server import build_app
from scoring_platform.settings import load_settings
from scoring_platform.sources.files import Files
from scoring_platform.sources.opening import open_source
from scoring_platform.sources.protocol import Page, Window
from scoring_platform.sources.registry import SOURCES
from scoring_platform_tests.http.loopback import Seen

NOW = datetime(2025, 11, 10, 21, tzinfo=UTC)
"""06:00 on 2025-11-11 in Tokyo."""

OVERLAP = timedelta(hours=1)
"""What the ingest step reaches back by default."""

SETTINGS: dict[str, dict[str, Any]] = {
    "ga4": {"property_id": "100000001"},
    "formbricks": {"survey_id": "sandboxnps"},
    "matomo": {"site_id": 1},
    "webhooks": {"providers": {"website": {}}},
    "nps": {"providers": {"survey": {}}},
}
"""Keys a section must have beside the address."""

PAGE_SIZES = {
    "shopify": 20,
    "woocommerce": 80,
    "klaviyo": 60,
    "klaviyo.raw_email_events": 200,
    "mailchimp": 20,
    "mailchimp.raw_email_events": 100,
    "sendgrid": 1,
    "ga4": 400,
    "matomo": 300,
    "zendesk": 10,
    "intercom": 10,
    "intercom.raw_consents": 2,
    "formbricks": 2,
    "pipedrive": 20,
}
"""Rows per page by table or source, 5 by default: so small that a table has several pages, and no more."""

LONGER = {"sendgrid.raw_consents": timedelta(days=40), "intercom.raw_consents": timedelta(days=40)}
"""Windows of tables that have few rows."""

Row = dict[str, Any]


def section_of(name: str, endpoint: str) -> dict[str, Any]:
    """The section of a source, as written in the configuration."""
    addresses = {"endpoint": endpoint, "token_endpoint": f"{endpoint}/token"}
    known = SOURCES[name].section.model_fields
    sizes = {"page_size": PAGE_SIZES.get(name, 5)} if "page_size" in known else {}
    return {**{key: value for key, value in addresses.items() if key in known}, **sizes, **SETTINGS.get(name, {})}


def window_of(name: str) -> Window:
    """The window of ``source.table``."""
    return Window(NOW - LONGER.get(name, timedelta(days=10)), NOW)


def gives(name: str) -> list[str]:
    """The tables a source fills."""
    section: SourceSection = SOURCES[name].section.model_validate(section_of(name, "http://127.0.0.1:1"))
    return sorted(section.gives)


FROM_INBOX = frozenset(
    {"sendgrid.raw_email_events", "webhooks.raw_events", "webhooks.raw_consents", "nps.raw_nps_responses"}
)
"""Tables made of what vendors sent us: no call is made that could go wrong."""

TABLES = [key for name in SOURCES for table in gives(name) if (key := f"{name}.{table}") not in FROM_INBOX]
"""Every table that is read by calling its vendor, as ``source.table``."""

ONE_EACH = {key.partition(".")[0]: key for key in reversed(TABLES)}
"""Of every source that calls its vendor, one table."""


@dataclass(frozen=True)
class Exchange:
    """One request and its answer."""

    seen: Seen
    status: int
    body: bytes

    @property
    def is_token(self) -> bool:
        """Whether a token was asked for."""
        return "token" in self.seen.path

    @property
    def listing(self) -> tuple[str | None, ...]:
        """What is listed: the path and, at a vendor with one path for everything, the fields that choose."""
        form = self.seen.form if b"method=" in self.seen.body else {}
        return (self.seen.path, form.get("method"), form.get("date"))

    @property
    def json(self) -> Any:
        """The answer's body."""
        return json.loads(self.body)


@dataclass
class Recorder:
    """Notes every exchange between clients and the company."""

    app: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent, parts, status = b"", [], 0

        async def heard() -> Message:
            nonlocal sent
            message = await receive()
            sent += message.get("body", b"")
            return message

        async def said(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))
            await send(message)

        await self.app(scope, heard, said)
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen = Seen(scope["method"], scope["path"], query, headers, sent)
        self.exchanges.append(Exchange(seen, status, b"".join(parts)))


@dataclass(frozen=True)
class Reading:
    """A table read to its end: its pages, and the exchanges it took."""

    pages: list[list[Row]]
    exchanges: list[Exchange]

    @cached_property
    def rows(self) -> list[Row]:
        """All rows, in the order they came."""
        return [row for page in self.pages for row in page]

    @property
    def second_page(self) -> int | None:
        """Place of the first call that goes on with a listing; None when every listing is one page."""
        listed = [one.listing for one in self.exchanges]
        going_on = (n for n in range(1, len(listed)) if listed[n] == listed[n - 1] and not self.exchanges[n].is_token)
        return next(going_on, None)


@dataclass
class World:
    """The company, its address, and the platform's settings for it."""

    root: Path
    company: Company
    recorder: Recorder
    url: str
    readings: dict[str, Reading] = field(default_factory=dict)

    def environment(self, name: str, **changed: Any) -> dict[str, str]:
        """One source configured as in production: an address, and credentials in variables."""
        section = {**section_of(name, f"{self.url}/{name}"), **changed}
        written = {"time_zone": "Asia/Tokyo", "history_start": "2025-10-01", "sources": {name: section}}
        path = self.root / f"{name}.yaml"
        path.write_text(yaml.safe_dump(written), encoding="utf-8")
        home = {"SCORING_HOME": str(self.root / "home"), "SCORING_CONFIG": str(path)}
        return {**home, **self.variables}

    @cached_property
    def variables(self) -> dict[str, str]:
        """SCORING_<SYSTEM>_<NAME> of every credential."""
        known = {system: dict(names) for system, names in self.company.credentials.items()}
        known.setdefault("ga4", {})["service_account"] = service_account(self.company.state_dir)
        return {f"SCORING_{s}_{n}".upper(): value for s, names in known.items() for n, value in names.items()}

    def fetch(self, name: str, window: Window | None = None) -> Iterator[Page]:
        """Begin to read ``source.table`` with a fresh source, without a token."""
        system, _, table = name.partition(".")
        sizes = {"page_size": PAGE_SIZES[name]} if name in PAGE_SIZES else {}
        source = open_source(load_settings(self.environment(system, **sizes)), system)
        assert not isinstance(source, Files)
        return source.fetch(table, window or window_of(name))

    def read(self, name: str, window: Window | None = None) -> Reading:
        """Read ``source.table`` to its end."""
        start = len(self.recorder.exchanges)
        pages = [[dict(row) for row in page] for page in self.fetch(name, window)]
        return Reading(pages, self.recorder.exchanges[start:])

    def baseline(self, name: str) -> Reading:
        """The table as it is read when nothing goes wrong."""
        if name not in self.readings:
            self.readings[name] = self.read(name)
        return self.readings[name]

    def fault(self, name: str, kind: str, **details: Any) -> None:
        """Let calls to the vendor of ``name`` go wrong."""
        self.company.faults.add(Fault(f"/{name.partition('.')[0]}/", kind, **details))

    def calls(self) -> int:
        """Calls the company got since the counts were forgotten."""
        return sum(one["count"] for one in self.company.faults.requests())


def latest(name: str, rows: list[Row]) -> dict[tuple[str, ...], Row]:
    """What de-duplication leaves: by key, the row with the greatest version; the last one when there is none."""
    contract = contract_of(name.partition(".")[2])
    key = [column for column in contract.key if column != "source"]
    kept: dict[tuple[str, ...], Row] = {}
    for row in rows:
        place = tuple(str(row.get(column)) for column in key)
        version = contract.version_column
        if place in kept and version and str(row[version]) < str(kept[place][version]):
            continue
        kept[place] = row
    return kept


@contextmanager
def serving(root: Path) -> Iterator[World]:
    """Run the company in this process until the block ends."""
    company = Company.open(root / "home" / "sandbox")
    company.clock.set(NOW)
    recorder = Recorder(build_app(company))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(recorder, log_level="critical", lifespan="off"))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield World(root, company, recorder, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            server.force_exit = True
            thread.join(10)
