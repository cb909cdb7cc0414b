"""A receiver on loopback with real senders: a website with a shared secret, and SendGrid with a key pair.

Belongs here: what the tests of this folder and of the source share. Does not belong here: expectations.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from starlette.applications import Starlette

from scoring_platform.ledger.inbox import Inbox
from scoring_platform.ledger.schema import DEAD_LETTERS, INBOX
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings, load_settings
from scoring_platform.webhooks import events
from scoring_platform.webhooks.providers import SENDGRID, Provider, open_providers
from scoring_platform.webhooks.receiver import build_app

SECRET = "a-secret-of-the-website"
OLD_SECRET = "the-secret-of-last-year"
WEBSITE = "/webhooks/events/website"
MAIL = "/webhooks/email/sendgrid"
WEBSITE_ONLY: dict[str, Any] = {"providers": {"website": {}}}
HEADER = "X-Twilio-Email-Event-Webhook-"


def configured(
    root: Path, section: Mapping[str, Any] | None = None, *, receiver: Mapping[str, Any] | None = None, **extra: str
) -> Settings:
    """Settings with the generic providers of ``section``; ``extra`` joins the environment."""
    path = root / "scoring.yaml"
    sources = {"webhooks": WEBSITE_ONLY if section is None else section}
    written = {"history_start": "2026-01-01", "sources": sources, "webhooks": receiver or {}}
    path.write_text(json.dumps(written), encoding="utf-8")
    return load_settings({"SCORING_WEBSITE_WEBHOOK_SECRET": SECRET, **extra}, home=root / "home", config_path=path)


def form(number: int = 1, /, **changes: Any) -> dict[str, Any]:
    """One event of the website's form."""
    event = {"id": f"f{number}", "kind": "form", "occurred_at": "2026-03-02T10:00:00+09:00", "email": "a@example.jp"}
    return {**event, **changes}


def signed(body: bytes, secret: str = SECRET, *, at: float | None = None) -> dict[str, str]:
    """The headers the website sends with ``body``."""
    timestamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Timestamp": timestamp, "X-Signature": digest}


@dataclass(frozen=True)
class Mailer:
    """SendGrid's side: a key pair."""

    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> str:
        der = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def signed(self, body: bytes, *, at: float | None = None) -> dict[str, str]:
        timestamp = str(int(time.time() if at is None else at))
        signature = self.private.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {f"{HEADER}Signature": base64.b64encode(signature).decode(), f"{HEADER}Timestamp": timestamp}
        return {"Content-Type": "application/json", **headers}

    def provider(self, **changes: Any) -> Provider:
        limits = {"max_body_bytes": 1_000_000, "tolerance_seconds": 300, "requests_per_minute": 1_000}
        keys = (SENDGRID.key(self.public_key),)
        made: dict[str, Any] = {"kind": "email", "name": "sendgrid", "source": "sendgrid", "scheme": SENDGRID}
        return Provider(**{**made, "keys": keys, "split": events.sendgrid, **limits, **changes})


@dataclass
class Desk:
    """A running receiver and what is in its ledger."""

    http: httpx.Client
    ledger: Ledger

    def post(self, event: Any, path: str = WEBSITE, *, secret: str = SECRET, at: float | None = None) -> httpx.Response:
        """Send ``event``, or bytes as they are, as the website does."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self.http.post(path, content=body, headers=signed(body, secret, at=at))

    @property
    def keys(self) -> list[str]:
        """Keys of the stored events, in the order they came."""
        return [row.key for row in self.stored()]

    def stored(self) -> Sequence[Any]:
        """Every stored event."""
        with self.ledger.reading() as connection:
            return connection.execute(select(INBOX).order_by(INBOX.c.id)).all()

    @property
    def reasons(self) -> list[str]:
        """Reasons of the dead letters."""
        return [row.reason for row in self.letters()]

    def letters(self) -> Sequence[Any]:
        """Every dead letter."""
        with self.ledger.reading() as connection:
            return connection.execute(select(DEAD_LETTERS).order_by(DEAD_LETTERS.c.id)).all()


@contextmanager
def receiving(settings: Settings, *more: Provider, **options: Any) -> Iterator[Desk]:
    """Run the receiver of ``settings``, with ``more`` providers, until the block ends."""
    with Ledger(settings.ledger_url) as ledger:
        app = build_app((*open_providers(settings), *more), Inbox(ledger), **options)
        with serving(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
            yield Desk(http, ledger)


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Run ``app`` on an ephemeral port of loopback."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="on"))
    started = threading.Event()
    startup = server.startup

    async def announced(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(timeout=10)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
