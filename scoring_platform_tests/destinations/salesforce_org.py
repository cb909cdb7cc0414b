"""The sandbox's Salesforce as a running organisation, and clients for it.

Belongs here: what the tests of records, of files and of fields share. Does not belong here: expectations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from scoring_platform.config.connections import SalesforceDestination
from scoring_platform.destinations.protocol import CrmReceipt, CrmWrite
from scoring_platform.destinations.salesforce import Salesforce
from scoring_platform.sandbox import salesforce as sandbox
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.faults import Fault, FaultMiddleware
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.salesforce_store import received
from scoring_platform_tests.destinations.running import Call, Running, company, serving
from scoring_platform_tests.http.loopback import Loopback, Seen, reply

DATA = "/salesforce/services/data/v66.0"
COLLECTIONS = f"{DATA}/composite/sobjects"
UPSERT = f"{COLLECTIONS}/Contact/Customer_Key__c"
JOBS = f"{DATA}/jobs/ingest"

Row = dict[str, Any]


@dataclass
class Org:
    """A running organisation."""

    company: Company
    running: Running
    sleeps: list[float] = field(default_factory=list)

    def client(self, **changes: Any) -> Salesforce:
        """A client; ``changes`` are keys of the section, ``timeout`` and ``credential``."""
        return client(self.running.url, sleep=self.sleeps.append, **changes)

    def fault(self, path: str, kind: str, **details: Any) -> None:
        """Let the next calls to ``path`` go wrong."""
        self.company.faults.add(Fault(path, kind, **details))

    @property
    def writes(self) -> list[Call]:
        """The calls that change something."""
        return [call for call in self.running.writes if not call.path.endswith("/token")]

    @property
    def queries(self) -> list[str]:
        """The queries asked."""
        return [call.query["q"] for call in self.running.calls if "q" in call.query]

    def contacts(self) -> list[Row]:
        """What was written to contacts."""
        return [one for one in received(self.company.state_dir) if one["type"] == "Contact"]

    def ours(self) -> dict[str, Row]:
        """The contacts with our key, by key."""
        found = [one for one in self.contacts() if one.get("Customer_Key__c")]
        assert len({one["Customer_Key__c"] for one in found}) == len(found)
        return {one["Customer_Key__c"]: one for one in found}

    def everyone(self) -> list[Row]:
        """All contacts, those of the sales people too."""
        fields = "Id, Email, LastName, OwnerId, AccountId, Lifecycle_Stage__c, Customer_Key__c, CreatedDate"
        session = self.client()._session
        found = [dict(one) for page in session.query(f"SELECT {fields} FROM Contact ORDER BY Id") for one in page]
        self.running.calls.clear()
        return found

    def ask(self, method: str, path: str, **details: Any) -> Any:
        """Do what a sales person does: one call of one's own."""
        answer = self.client()._session.request(method, path, **details).json
        self.running.calls.clear()
        return answer


@dataclass
class OrgStage:
    """A server that stands for one organisation after the other, since starting one takes longer than most tests."""

    running: Running = field(default_factory=Running)
    app: ASGIApp | None = None

    def open(self, folder: Path, **limits: Any) -> Org:
        """Stand for a new organisation from now on."""
        opened = company(folder, limits=Limits(**limits))
        # Some months of the company are enough, and quicker made than all that happened since.
        opened.clock.set(datetime(2026, 2, 1, tzinfo=UTC))
        self.app = FaultMiddleware(Router(sandbox.routes(opened)), faults=opened.faults)
        self.running.calls.clear()
        return Org(opened, self.running)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        assert self.app is not None
        await self.app(scope, receive, send)


@contextmanager
def staging() -> Iterator[OrgStage]:
    """Run the server until the block ends."""
    stage = OrgStage()
    with serving("/salesforce", [Mount("/", app=stage)]) as running:
        stage.running = running
        yield stage


def client(
    url: str,
    *,
    timeout: float = 5.0,
    credential: Callable[[str], str] = CREDENTIALS["salesforce"].__getitem__,
    sleep: Callable[[float], None] = lambda _: None,
    **section: Any,
) -> Salesforce:
    """A client of the organisation at ``url``."""
    settings = SalesforceDestination.model_validate({"endpoint": url, **section})
    return Salesforce.connect(settings, url, credential=credential, timeout=timeout, attempts=3, sleep=sleep)


def write(number: int, **changes: Any) -> CrmWrite:
    """New values for a customer."""
    given: dict[str, Any] = {
        "customer_id": f"c{number:05d}",
        "email": f"new{number:05d}@example.jp",
        "destination_id": None,
        "properties": {"Total_Score__c": number % 101, "Segment__c": "loyal", "Score_Date__c": "2026-11-20"},
    }
    return CrmWrite(**{**given, **changes})


def writes(count: int, start: int = 0) -> list[CrmWrite]:
    """New values for so many customers."""
    return [write(number) for number in range(start, start + count)]


def statuses(receipts: Sequence[CrmReceipt]) -> dict[str, int]:
    """How many receipts say what."""
    found = [receipt.status for receipt in receipts]
    return {status: found.count(status) for status in set(found)}


def token_or(scripted: Loopback, answer: Callable[[Seen], Any]) -> Callable[[Seen], Any]:
    """Give a token to who asks for one, and otherwise ``answer``."""
    given = {"access_token": "t", "instance_url": scripted.url, "token_type": "Bearer"}
    return lambda seen: reply(given) if seen.path.endswith("/token") else answer(seen)


def nobody() -> Response:
    """What a query says that finds no record."""
    return reply({"totalSize": 0, "done": True, "records": []})
