"""A home of the second stack of docs/examples: its receiver, what happens on its website, and two mornings of it.

Belongs here: making the home. Does not belong here: expectations.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Population
from scoring_platform_tests.end_to_end.fixtures import DAY, DAY_BEFORE, HISTORY_START
from scoring_platform_tests.end_to_end.platform import REPOSITORY, Done, Platform, morning_after, write_config
from scoring_platform_tests.webhooks.scenario import MAIL, SECRET, WEBSITE, signed

EXAMPLES = REPOSITORY / "docs" / "examples"
EXAMPLE = EXAMPLES / "second_stack.yaml"
ASKED_ON = HISTORY_START + timedelta(days=1)
"""The day on which the consent banner was answered."""

STRANGER = "stranger@example.com"
DEVICE = "device-of-a-visitor"


@dataclass(frozen=True)
class Website:
    """Who did what on the website; known customers are those of the company's first three weeks.

    Attributes:
        agreed: Those who agreed to tracking when they were asked.
        refused: One who said no.
        form: Filled in a form.
        download: Downloaded a document, named by the customer number only.
        trial: Began a trial on a device, and downloaded something later on the same device without signing in.
    """

    agreed: tuple[Person, ...]
    refused: Person
    form: Person
    download: Person
    trial: Person

    @classmethod
    def of(cls, population: Population) -> Website:
        known = [
            who
            for who in population.accounts(HISTORY_START - timedelta(days=5))
            if who.email and who.twin_of is None and who.index % 97 != 13  # whose second account comes later
        ]
        willing = tuple(who for who in known if who.tracking)[:60]
        refused = next(who for who in known if not who.tracking)
        return cls(willing, refused, *[who for who in known if who not in willing and who is not refused][:3])

    @property
    def consents(self) -> list[dict[str, Any]]:
        decided = [(who, "granted") for who in self.agreed] + [(self.refused, "denied")]
        at = f"{ASKED_ON}T09:00:00+09:00"
        about = {"kind": "consent", "channel": "web", "purpose": "tracking", "occurred_at": at}
        return [{**about, "id": f"banner-{who.index}", "email": who.email, "status": status} for who, status in decided]

    @property
    def events(self) -> list[dict[str, Any]]:
        at = f"{DAY}T12:00:00+09:00"
        return [
            {"id": "form-1", "kind": "form", "occurred_at": at, "email": self.form.email, "page": "/wholesale"},
            {"id": "doc-1", "kind": "document_download", "occurred_at": at, "customer_ref": str(self.download.ref)},
            {"id": "trial-1", "kind": "trial_start", "occurred_at": at, "email": self.trial.email, "client_id": DEVICE},
            {"id": "doc-2", "kind": "document_download", "occurred_at": at, "client_id": DEVICE},
            {"id": "form-2", "kind": "form", "occurred_at": at, "email": STRANGER},
        ]


@dataclass(frozen=True)
class SecondStack:
    """A home after two mornings of the second stack; read it, never change it.

    Attributes:
        platform: The home.
        website: Who did what on the website.
        first: How the first morning ended.
        second: How the second morning ended.
        answers: What the receiver said to each post of the website.
    """

    platform: Platform
    website: Website
    first: Done
    second: Done
    answers: Mapping[str, httpx.Response]

    def rows(self, table: str, *days: date) -> list[dict[str, Any]]:
        return self.platform.rows(table, *days)

    @cached_property
    def identities(self) -> list[dict[str, Any]]:
        return self.rows("customer_identities", DAY)

    def customers(self, who: Person) -> set[str]:
        """Whose the identifiers of a person are: of one customer, if all is well."""
        meant = {str(who.ref), who.email}
        return {row["customer_id"] for row in self.identities if row["id_value"] in meant}

    def customer(self, who: Person) -> str:
        (found,) = self.customers(who)
        return found


@contextmanager
def receiver(platform: Platform) -> Iterator[str]:
    """The address of a receiver in a process of its own."""
    running = platform.start("webhooks", "--port", "0")
    assert running.stdout is not None
    try:
        line = running.stdout.readline()
        assert line.startswith("Webhook receiver: "), line or running.communicate()[1]
        yield line.split()[2]
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
    finally:
        running.kill()
        running.wait()


def two_mornings(root: Path, population: Population) -> SecondStack:
    """Run two mornings of the example below ``root``: the first run with its history, then the day after."""
    website = Website.of(population)
    written = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    config = write_config(root / "scoring.yaml", written, history_start=HISTORY_START)
    platform = Platform(root / "home", config, {"SCORING_WEBSITE_WEBHOOK_SECRET": SECRET})
    platform.set_clock(DAY_BEFORE)
    with platform.company() as company, receiver(platform) as url:

        def post(sent: Any) -> httpx.Response:
            body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
            return httpx.post(f"{url}{WEBSITE}", content=body, headers=signed(body), trust_env=False)

        company.deliver_webhooks("sendgrid", f"{url}{MAIL}")
        answers = {"consents": post(website.consents)}
        first = platform.command("run", "--date", str(DAY_BEFORE))
        company.set_clock(morning_after(DAY))
        company.deliver_webhooks("sendgrid", f"{url}{MAIL}")
        answers |= {"events": post(website.events), "again": post(website.events[0])}
        answers |= {"broken": post(b'{"id": "broken"')}
        answers |= {"undated": post({"id": "undated-1", "kind": "form", "occurred_at": "the day before"})}
        second = platform.command("run", "--date", str(DAY))
    return SecondStack(platform, website, first, second, answers)
