"""The sandbox's SendGrid and Formbricks push to the receiver of this home, as the real ones do, while one runs.

Belongs here: when and where it pushes. Does not belong here: what it pushes and how it signs (``sandbox``), receiving
(``webhooks``), the commands (``services``).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import click
import httpx

from scoring_platform.config.base import SANDBOX
from scoring_platform.endpoints import running_sandbox
from scoring_platform.errors import TransientError
from scoring_platform.settings import Settings

EVERY = 60.0
"""Seconds between two pushes."""

_LOOK_EVERY = 0.5
_LOOK_SECONDS = 2.0
_END_SECONDS = 2.0
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Sender:
    """A vendor of the sandbox that pushes.

    Attributes:
        system: Its name in the configuration.
        path: Where it posts to.
        words: What it is called, and what it posts.
    """

    system: str
    path: str
    words: tuple[str, str]


SENDGRID = Sender("sendgrid", "/webhooks/email/sendgrid", ("SendGrid", "events"))
FORMBRICKS = Sender("formbricks", "/webhooks/nps/formbricks", ("Formbricks", "answers of the last day"))


def senders(settings: Settings) -> list[Sender]:
    """Return the vendors that are the sandbox, so that what they push has to be pushed by this machine."""
    sources = settings.config.sources
    found = [SENDGRID] if sources.sendgrid is not None and sources.sendgrid.endpoint == SANDBOX else []
    survey = sources.formbricks
    return found + ([FORMBRICKS] if survey is not None and survey.webhook and survey.endpoint == SANDBOX else [])


def listening_port(settings: Settings, port: int | None) -> int | None:
    """Return the port to listen on; where the sandbox has to know it, a free one is chosen beforehand."""
    chosen = settings.config.webhooks.port if port is None else port
    if chosen or not senders(settings):
        return port
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def pushed_mail(settings: Settings, *, host: str | None = None, port: int | None = None) -> Iterator[None]:
    """Let the sandbox push once the receiver answers, and every minute, until the block ends.

    Args:
        settings: The settings; without a vendor of the sandbox that pushes nothing happens.
        host: Where the receiver listens, instead of the configured address.
        port: Its port, instead of the configured one; see ``listening_port``.
    """
    given = host or settings.config.webhooks.host
    listens = "127.0.0.1" if given in _EVERYWHERE else given
    if not senders(settings):
        yield
        return
    if listens not in _LOOPBACK:
        what = " and ".join(
            {"sendgrid": "e-mail events", "formbricks": "answers"}[one.system] for one in senders(settings)
        )
        click.echo(f"The sandbox pushes on loopback only: no {what} come while the receiver listens on {given}")
        yield
        return
    name = f"[{listens}]" if ":" in listens else listens
    pusher = _Pusher(settings, f"http://{name}:{settings.config.webhooks.port if port is None else port}")
    thread = Thread(target=pusher.work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        pusher.ended.set()
        thread.join(_END_SECONDS)


@dataclass
class _Pusher:
    settings: Settings
    receiver: str
    ended: Event = field(default_factory=Event)

    def work(self) -> None:
        """Push until told to end; what could not be delivered is delivered the next time."""
        while not self._answers():
            if self.ended.wait(_LOOK_EVERY):
                return
        pushed = dict.fromkeys(senders(self.settings), 0)
        while True:
            for sender in pushed:
                pushed[sender] += self._push(sender, first=not pushed[sender])
            if self.ended.wait(EVERY):
                return

    def _push(self, sender: Sender, *, first: bool) -> int:
        name, what = sender.words
        try:
            fresh = running_sandbox(self.settings).deliver_webhooks(sender.system, f"{self.receiver}{sender.path}")
        except TransientError as error:
            if not self.ended.is_set():
                click.echo(f"The sandbox's {name} could not deliver: {error}", err=True)
            return 0
        if fresh and first:
            click.echo(f"The sandbox's {name} delivered {fresh:,} {what}; new ones follow every minute.")
        return fresh

    def _answers(self) -> bool:
        try:
            # A proxy of the environment must not stand between us and our own machine.
            return httpx.get(f"{self.receiver}/healthz", timeout=_LOOK_SECONDS, trust_env=False).is_success
        except httpx.HTTPError:
            return False
