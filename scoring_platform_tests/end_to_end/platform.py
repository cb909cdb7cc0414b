"""A whole home to run the platform in: configuration, environment, commands, and what they left behind.

Belongs here: what end-to-end, orchestration and command-line tests share. Does not belong here: expectations.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb
import yaml
from dagster._core.storage.defs_state.base import set_defs_state_storage

from scoring_platform.cli import main as command_line
from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform.lake.engine import DuckDBEngine
from scoring_platform.lake.tree import Lake
from scoring_platform.ledger.store import Ledger
from scoring_platform.orchestration.runs import Runner, RunOutcome
from scoring_platform.sandbox import connection as sandbox
from scoring_platform.sandbox import outbox
from scoring_platform.sandbox.state import state_folder
from scoring_platform.settings import PACKAGED_CONFIG, Settings, load_settings

REPOSITORY = Path(__file__).resolve().parents[2]
TOKYO = ZoneInfo("Asia/Tokyo")
COMMAND = "import sys; from scoring_platform.cli.main import main; sys.argv[0] = 'scoring-platform'; main()"
Versions = dict[tuple[str, date], str | None]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything a person saw."""
        return self.out + self.err


@dataclass(frozen=True)
class Platform:
    """One home with its configuration."""

    root: Path
    config: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a shell would set; everything else follows from it."""
        return {
            "SCORING_HOME": str(self.root),
            "SCORING_CONFIG": str(self.config),
            "SCORING_DAGSTER_STORAGE": str(self.root / "dagster"),
            "DAGSTER_HOME": str(REPOSITORY),
            **self.extra,
        }

    @property
    def settings(self) -> Settings:
        """The settings as the configuration stands now."""
        return load_settings(self.environment)

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.root / "lake")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Stand in this home's environment, and leave it as it was."""
        (self.root / "dagster").mkdir(parents=True, exist_ok=True)
        with patch.dict(os.environ, self.environment):
            yield

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The Dagster instance of the repository's dagster.yaml, with its storage in this home."""
        # An instance that is entered twice, as execute_in_process does, leaves itself behind as a context variable.
        with self.entered(), set_defs_state_storage(None), dg.DagsterInstance.from_config(str(REPOSITORY)) as opened:
            yield opened

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger."""
        with Ledger(self.settings.ledger_url) as opened:
            yield opened

    def command(self, *arguments: str) -> Done:
        """Run ``scoring-platform`` in this process, errors worded as for a person."""
        out, err = io.StringIO(), io.StringIO()
        code: Any = 0
        with (
            self.entered(),
            set_defs_state_storage(None),
            patch.object(sys, "argv", ["scoring-platform", *arguments]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                command_line.main()
            except SystemExit as end:
                code = end.code or 0
        return Done(int(code), out.getvalue(), err.getvalue())

    def make(self, days: Sequence[date], *tables: str) -> RunOutcome:
        """Run only these assets for a day or a range."""
        with self.instance() as instance:
            return Runner(self.settings, instance, say=_silently).run(days, tables=tables)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a process of its own, and of its own group."""
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "HOME": str(self.config.parent), **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def process(self, *arguments: str) -> Done:
        """Run a command in a process of its own to its end."""
        started = self.start(*arguments)
        out, err = started.communicate()
        return Done(started.returncode, out, err)

    def set_clock(self, day: date) -> None:
        """Let the sandbox company live on the morning after ``day``; the server must not be running."""
        (state_folder(self.root) / "clock.json").write_text(json.dumps({"now": morning_after(day).isoformat()}))

    @contextmanager
    def company(self) -> Iterator[sandbox.Endpoint]:
        """The running sandbox of this home."""
        with sandbox.ensure(self.root) as endpoint:
            yield endpoint

    def copy(self, root: Path) -> Platform:
        """A copy of the whole home, links and all."""
        shutil.copytree(self.root, root, symlinks=True)
        (root / "sandbox" / "endpoint.json").unlink(missing_ok=True)
        return Platform(root, self.config, self.extra)

    def with_config(self, path: Path, **changes: Any) -> Platform:
        """The same home under a changed configuration, written to ``path``."""
        written = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        return Platform(self.root, write_config(path, written, **changes), self.extra)

    def with_text(self, text: str) -> Platform:
        """The same home with this text as its configuration."""
        self.config.write_text(text, encoding="utf-8")
        return self

    def versions(self, *tables: str) -> Versions:
        """The published version of every day of every table."""
        names = tables or (*self.lake.tables(), *quarantines(self.lake))
        return {(name, day): self.lake.version_id(name, day) for name in names for day in self.lake.days(name)}

    def rows(self, table: str, *days: date) -> list[dict[str, Any]]:
        """Published rows in the order of their key; of all days without ``days``."""
        contract = contract_of(table)
        with duckdb.connect(config={"threads": 1}) as connection:
            engine = DuckDBEngine(connection, self.lake)
            found = engine.read(contract, days or self.lake.days(table)).to_pyarrow().to_pylist()
        return sorted(found, key=lambda row: (row["as_of"], *(str(row[name]) for name in contract.key)))

    def mails(self) -> list[Any]:
        """Mails the sandbox received."""
        return outbox.mails(self.root / "sandbox")

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        """Slack messages the sandbox received."""
        found = outbox.messages(self.root / "sandbox")
        return [one for one in found if channel in (None, one["channel"])]

    def contacts(self) -> list[dict[str, str]]:
        """Contacts of the sandbox CRM that this platform wrote, without what the CRM adds by itself."""
        kept = [one for one in outbox.contacts(self.root / "sandbox") if one.get("customer_key")]
        own = {"id", "createdAt", "updatedAt", "hs_object_id", "createdate", "lastmodifieddate"}
        plain = [{name: value for name, value in one.items() if name not in own} for one in kept]
        return sorted(plain, key=lambda one: one["customer_key"])


def _silently(words: str) -> None:
    """Say nothing."""


def quarantines(lake: Lake) -> list[str]:
    """The quarantine tables that exist."""
    folder = lake.root / "quarantine"
    return sorted(f"quarantine/{path.name}" for path in folder.iterdir()) if folder.is_dir() else []


def morning_after(day: date) -> datetime:
    """06:00 in Tokyo on the day after ``day``."""
    return datetime.combine(day + timedelta(days=1), time(6), tzinfo=TOKYO)


def packaged() -> dict[str, Any]:
    """The packaged configuration as plain data."""
    written: dict[str, Any] = yaml.safe_load(PACKAGED_CONFIG.read_text(encoding="utf-8"))
    return written


def write_config(path: Path, written: Mapping[str, Any], **changes: Any) -> Path:
    """Write a configuration with top-level keys replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**written, **changes}, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def writing_requests(counted: Iterable[Mapping[str, Any]]) -> list[str]:
    """Requests among ``counted`` that changed something at a vendor."""
    return [f"{one['method']} {one['path']} ×{one['count']}" for one in counted if one["writes"]]
