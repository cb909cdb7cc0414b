"""A sandbox CRM with a vendor's real limits, some way away, and a home with rows to write to it.

Belongs here: the server, which notes when calls come; the plan; one sync. Does not belong here: what is measured.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import ibis
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.apart import peak_memory
from benchmarks.generated import put
from benchmarks.home import opened, shop_of_files
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.destinations.preflight import require_fields
from scoring_platform.destinations.registry import open_crms
from scoring_platform.pipeline.crm_plan import PLAN
from scoring_platform.pipeline.crm_sync import apply_plan
from scoring_platform.pipeline.step import Step
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.server import build_app
from scoring_platform.sandbox.state import state_folder, write_atomically

DAY = date(2026, 11, 20)
_SEEN = "/_seen"
_NAMED = f"'c' || lpad(i::TEXT, 7, '0') AS customer_id, DATE '{DAY}' AS as_of"
_TABLES = ("raw_orders", "raw_customers")
"""The raw tables of the shop."""


@dataclass(frozen=True)
class Account:
    """A CRM as a customer of the vendor has it.

    Attributes:
        crm: Its name.
        section: Its configuration.
        fields: The field of a score and of an answer.
        value: What is written, in SQL.
        limits: What the vendor allows.
    """

    crm: str
    section: str
    fields: Mapping[str, str]
    value: str
    limits: Limits


@dataclass(frozen=True)
class Synced:
    """What one process did.

    Attributes:
        counts: Rows by status.
        stopped: Why not all was done.
        started: When it began, in seconds since 1970.
        ended: When it was done.
        peak: Largest resident memory, in bytes.
        records: Log records by level, those about a 429 by that word.
    """

    counts: dict[str, int]
    stopped: str
    started: float
    ended: float
    peak: int
    records: dict[str, int]


def plan(home: Path, account: Account, rows: Mapping[str, int]) -> None:
    """Publish that so many rows of each stream are to be written, about the same customers, and make the fields."""
    text = shop_of_files(DAY, *_TABLES, more=f"destinations:\n  {account.crm}: {account.section}\n")
    with opened(home, text, [DAY]) as step:
        _put(step, "customer_profiles", f"{_NAMED}, 'c' || i || '@example.com' AS email", [max(rows.values())])
        for_each = [
            f"{_NAMED}, '{account.crm}' AS crm, '{stream}' AS stream, 'contact' AS target, 'create' AS operation, "
            f"['{stream}'] AS changed_fields, '{{\"{account.fields[stream]}\": ' || {account.value} || '}}' AS payload"
            for stream in rows
        ]
        _put(step, PLAN, for_each, list(rows.values()))
        with open_crms(step.settings) as crms:
            require_fields(step.settings, crms)


def _put(step: Step, name: str, columns: str | Sequence[str], rows: Sequence[int]) -> None:
    parts = [columns] if isinstance(columns, str) else columns
    queries = [f"SELECT {one} FROM range({n}) AS numbers(i)" for one, n in zip(parts, rows, strict=True)]
    given = step.engine.ibis.sql(" UNION ALL BY NAME ".join(queries))
    rest = {one: ibis.null(kind) for one, kind in contract_of(name).schema.items() if one not in given.columns}
    put(step.engine, name, given.mutate(**rest), [DAY])


def sync(home: Path, stream: str) -> Synced:
    """Write what is planned for a stream, as its asset does."""
    watched = _Watched()
    logging.getLogger().addHandler(watched)
    with opened(home, "", [DAY]) as step, open_crms(step.settings) as crms:
        started = time.time()
        applied = apply_plan(step, crms, streams=[stream], released=["scores", "nps"])
        ended = time.time()
    return Synced(dict(applied.counts), applied.stopped, started, ended, peak_memory(), dict(watched.records))


class _Watched(logging.Handler):
    """Counts log records by level, and those about a 429."""

    def __init__(self) -> None:
        super().__init__()
        self.records: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.records[record.levelname] += 1
        if " 429 " in record.getMessage():
            self.records["429"] += 1


@contextmanager
def away(home: Path, limits: Limits) -> Iterator[Callable[[], list[tuple[float, int]]]]:
    """Run the sandbox of ``home`` with ``limits``; give what returns when each call came, and its answer's status."""
    fresh = multiprocessing.get_context("spawn")
    ours, theirs = fresh.Pipe()
    process = fresh.Process(target=_serve, args=(home, limits, theirs), daemon=True)
    process.start()
    try:
        address = ours.recv()
        yield lambda: [(at, status) for at, status in httpx.get(f"{address}{_SEEN}", trust_env=False).json()]
    finally:
        process.terminate()
        process.join()


def _serve(home: Path, limits: Limits, started: Connection) -> None:
    company = Company.open(state_folder(home), limits=limits)
    company.instant()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint = {"http": address, "smtp_port": 1, "pid": os.getpid()}
        write_atomically(company.state_dir / "endpoint.json", json.dumps(endpoint))
        listener.listen(128)
        started.send(address)
        config = uvicorn.Config(_Seen(build_app(company)), log_level="warning", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


class _Seen:
    """Notes when each call of a vendor came and what it was answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._calls: list[tuple[float, int]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, came = scope["path"], time.time()
        if path == _SEEN:
            await JSONResponse(self._calls)(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._calls.append((came, message["status"]))
            await send(message)

        counted = not path.startswith(("/_sandbox", "/healthz"))
        await self._app(scope, receive, noted if counted else send)
