"""The process of the receiver: its port, its start and its end.

Belongs here: from the settings to a server that listens. Does not belong here: what it answers (``receiver``).

Run as ``scoring-platform webhooks``, or as ``python -m scoring_platform.webhooks.server`` by ``up``.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import uvicorn
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette

from scoring_platform.errors import ConfigurationError, ScoringError
from scoring_platform.ledger.inbox import Inbox
from scoring_platform.ledger.store import Ledger
from scoring_platform.settings import Settings, load_settings
from scoring_platform.webhooks.health import Health
from scoring_platform.webhooks.patience import Patience
from scoring_platform.webhooks.providers import Provider, open_providers
from scoring_platform.webhooks.receiver import COMMIT_SECONDS, build_app

_MOST_CONNECTIONS = 500
_TICKS_PER_SECOND = 10
_HEAD_SECONDS = 10.0
_HEAD_BYTES = 65_536


def serve(
    settings: Settings,
    *,
    host: str | None = None,
    port: int | None = None,
    parent_pid: int | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Receive webhooks until told to stop.

    Args:
        settings: The settings.
        host: Instead of the configured address.
        port: Instead of the configured port; 0 takes a free one.
        parent_pid: Stop by itself when this process is gone.
        say: Where the addresses to configure at the vendors go.

    Raises:
        ConfigurationError: A provider has no secret, or the port is taken.
    """
    providers = open_providers(settings)
    receiver = settings.config.webhooks
    with (
        closing(Ledger(settings.ledger_url)) as ledger,
        _listening(host or receiver.host, receiver.port if port is None else port) as listener,
    ):
        inbox = Inbox(ledger)
        health = Health(inbox, providers, gives=settings.sources_in_use)
        server = _Server(_configured(build_app(providers, inbox, health=health)), parent_pid=parent_pid)
        for line in addresses(settings, providers, listener):
            say(line)
        _look_at(ledger, say)
        server.run(sockets=[listener])


def addresses(settings: Settings, providers: tuple[Provider, ...], listener: socket.socket) -> list[str]:
    """Return what a person needs to know once the receiver listens."""
    host, port = listener.getsockname()[:2]
    local = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    base = (settings.config.webhooks.public_url or local).rstrip("/")
    lines = [f"Webhook receiver: {local} (health: {local}/healthz)"]
    lines += [f"  {provider.kind} from {provider.name}: {base}{provider.path}" for provider in providers]
    return lines if providers else [*lines, "  no provider is configured; see docs/webhooks.md"]


def _look_at(ledger: Ledger, say: Callable[[str], object]) -> None:
    """A database that is down for a while must not keep the receiver from starting: senders are asked to come again."""
    try:
        ledger.open()
    except SQLAlchemyError as error:
        say(f"  the ledger cannot be opened ({type(error).__name__}); every request is answered 503 until it can")


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        msg = f"the webhook receiver cannot listen on {host}:{port}: {why}; choose another port"
        raise ConfigurationError(msg) from error


def _configured(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        # The parser that takes no more than so much before a request has begun; the other one takes any amount.
        http="h11",
        h11_max_incomplete_event_size=_HEAD_BYTES,
        ws="none",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=int(COMMIT_SECONDS),
    )


class _Server(uvicorn.Server):
    """Ends with its parent, if it was given one, and hangs up on who takes a place and sends no request."""

    def __init__(
        self, config: uvicorn.Config, *, parent_pid: int | None = None, head_seconds: float = _HEAD_SECONDS
    ) -> None:
        super().__init__(config)
        self._parent_pid = parent_pid
        self._patience = Patience(head_seconds)

    async def on_tick(self, counter: int) -> bool:
        each_second = counter % _TICKS_PER_SECOND == 0
        for connection in self._patience.overdue(self.server_state.connections) if each_second else ():
            connection.transport.close()
        gone = each_second and self._parent_pid not in (None, os.getppid())
        return gone or await super().on_tick(counter)


def main(arguments: list[str] | None = None) -> int:
    """Run the receiver from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scoring_platform.webhooks.server", description="The webhook receiver.")
    parser.add_argument("--host", default=None, help="address to listen on; default as configured")
    parser.add_argument("--port", type=int, default=None, help="port to listen on; default as configured")
    parser.add_argument("--parent-pid", type=int, default=None, help="stop when this process is gone")
    given: Any = parser.parse_args(arguments)
    try:
        serve(load_settings(), host=given.host, port=given.port, parent_pid=given.parent_pid, say=_say)
    except ScoringError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
