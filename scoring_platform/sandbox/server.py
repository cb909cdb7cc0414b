"""The sandbox server: every vendor on loopback in one process.

Belongs here: putting the vendors' routes together, the control endpoints, starting and stopping. Does not belong here:
any vendor's protocol, and the platform's side of finding the server (``connection``).

Run as ``python -m scoring_platform.sandbox.server --home DIR [--port N] [--parent-pid P] [--orders N]``.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from scoring_platform.sandbox import (
    control,
    formbricks,
    ga4,
    hubspot,
    intercom,
    klaviyo,
    mailchimp,
    matomo,
    pipedrive,
    salesforce,
    sendgrid,
    shopify,
    slack,
    smtp,
    woocommerce,
    zendesk,
)
from scoring_platform.sandbox.company import Company
from scoring_platform.sandbox.connection import ALREADY_RUNNING
from scoring_platform.sandbox.distance import Distance
from scoring_platform.sandbox.faults import FaultMiddleware
from scoring_platform.sandbox.state import state_folder, write_atomically

ENDPOINT_FILE = "endpoint.json"
LOCK_FILE = "server.lock"
_HOST = "127.0.0.1"
_TICKS_PER_SECOND = 10
_VENDORS = {
    "shopify": shopify.routes,
    "woocommerce": woocommerce.routes,
    "klaviyo": klaviyo.routes,
    "mailchimp": mailchimp.routes,
    "sendgrid": sendgrid.routes,
    "ga4": ga4.routes,
    "matomo": matomo.routes,
    "zendesk": zendesk.routes,
    "intercom": intercom.routes,
    "formbricks": formbricks.routes,
    "hubspot": hubspot.routes,
    "salesforce": salesforce.routes,
    "pipedrive": pipedrive.routes,
    "slack": slack.routes,
}


def build_app(company: Company) -> Starlette:
    """Return the application that speaks for all vendors of ``company``."""
    mounts = [Mount(f"/{name}", routes=routes(company)) for name, routes in _VENDORS.items()]
    return Starlette(
        routes=[*mounts, *control.routes(company)],
        middleware=[
            Middleware(Distance, seconds=company.limits.seconds_away),
            Middleware(FaultMiddleware, faults=company.faults),
        ],
    )


def serve(home: Path, *, port: int = 0, parent_pid: int | None = None, orders: int = 0) -> int:
    """Serve the sandbox of ``home`` until told to stop; return the exit code.

    Args:
        home: SCORING_HOME; state goes to ``home/sandbox``.
        port: Port on loopback; 0 takes a free one.
        parent_pid: Stop by itself when this process is gone.
        orders: How many orders the shop has beside the company's own.
    """
    folder = state_folder(home)
    with _only_server(folder / LOCK_FILE) as only:
        if not only:
            return ALREADY_RUNNING
        company = Company.open(folder, wholesale=orders)
        mail = smtp.start(company, port=0)
        try:
            _run(company, port=port, smtp_port=mail.port, parent_pid=parent_pid)
        finally:
            mail.stop()
    return 0


def _run(company: Company, *, port: int, smtp_port: int, parent_pid: int | None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        address = f"http://{_HOST}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            build_app(company), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2
        )
        endpoint = {"http": address, "smtp_port": smtp_port, "pid": os.getpid()}
        server = _Server(config, company.state_dir / ENDPOINT_FILE, endpoint=endpoint, parent_pid=parent_pid)
        # The first request would otherwise wait for the company's whole past.
        Thread(target=company.instant, daemon=True).start()
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Announces itself once it answers, withdraws that when it stops, and ends with its parent."""

    def __init__(
        self, config: uvicorn.Config, file: Path, *, endpoint: dict[str, object], parent_pid: int | None
    ) -> None:
        super().__init__(config)
        self._file = file
        self._endpoint = endpoint
        self._parent_pid = parent_pid
        self._is_child = parent_pid is not None and os.getppid() == parent_pid

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        write_atomically(self._file, json.dumps(self._endpoint))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn raises the signal again once it has stopped: nothing after this is sure to run.
        self._file.unlink(missing_ok=True)
        await super().shutdown(sockets=sockets)

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_SECOND == 0 and self._parent_gone():
            return True
        return await super().on_tick(counter)

    def _parent_gone(self) -> bool:
        if self._parent_pid is None:
            return False
        if self._is_child:
            return os.getppid() != self._parent_pid
        try:
            os.kill(self._parent_pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


@contextmanager
def _only_server(path: Path) -> Iterator[bool]:
    """Hold the home's server lock; False when another server holds it. The kernel frees it at death."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def main(arguments: list[str] | None = None) -> int:
    """Run the server from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="scoring_platform.sandbox.server", description="The sandbox company.")
    parser.add_argument("--home", type=Path, required=True, help="SCORING_HOME; state goes to HOME/sandbox")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; default a free one")
    parser.add_argument("--parent-pid", type=int, default=None, help="stop when this process is gone")
    parser.add_argument("--orders", type=int, default=0, help="orders beside the company's own, a million at need")
    given = parser.parse_args(arguments)
    try:
        return serve(given.home.resolve(), port=given.port, parent_pid=given.parent_pid, orders=given.orders)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
