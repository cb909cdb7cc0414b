"""The sandbox mail server: takes every mail on loopback and delivers none.

Belongs here: receiving and keeping mails, and refusing addresses that begin with ``bounce@``. Does not belong here:
reading them (``outbox``).
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from scoring_platform.sandbox.outbox import MAIL

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

REFUSED_PREFIX = "bounce@"


class SmtpServer:
    """A running mail server; ``port`` says where."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.port: int = controller.port

    def stop(self) -> None:
        """Stop it; stopping twice does nothing."""
        if not self._controller.loop.is_closed():
            self._controller.stop(no_assert=True)


def start(company: Company, port: int = 0) -> SmtpServer:
    """Start the company's mail server on 127.0.0.1; port 0 takes a free one."""
    controller = _LoopbackController(_Mailbox(company.state_dir / MAIL), hostname="127.0.0.1", port=port)
    controller.start()
    return SmtpServer(controller)


class _LoopbackController(Controller):
    def _trigger_server(self) -> None:
        # The base class connects to the port it was given, which is 0 when the system chooses.
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


class _Mailbox:
    """Keeps each mail as one ``.eml`` file, numbered in order of arrival."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = Lock()

    async def handle_RCPT(  # noqa: N802 - the name aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept or refuse one recipient."""
        if address.lower().startswith(REFUSED_PREFIX):
            return "550 5.1.1 The mailbox does not exist"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the name aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the mail, then say so."""
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        with self._lock:
            number = len(list(self._folder.glob("*.eml"))) + 1
            aside = self._folder / f".{uuid.uuid4().hex}"
            aside.write_bytes(raw)
            os.replace(aside, self._folder / f"{number:06d}.eml")
        return f"250 2.0.0 Kept as {number:06d}"
