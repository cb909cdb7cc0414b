"""E-mail over SMTP: composing one message and handing it to a mail server.

Belongs here: MIME structure, transport security, and what a server's replies mean. Does not belong here: the content
(``reporting``), sending once (``delivery``).

SMTP has no idempotency: once the content was handed over without a clear answer, nothing here sends it again. The
``Message-ID`` comes from the delivery's key, so that a repeat can be recognised by the receiver.
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Any, Literal

from scoring_platform.errors import (
    ConfigurationError,
    CredentialError,
    OutcomeUnknownError,
    PermanentError,
    SourceError,
    TransientError,
)
from scoring_platform.http.verdict import fit_words

Security = Literal["starttls", "tls", "none"]
Refused = dict[str, str]
"""Recipients the server did not take, with its reason; the others got the mail."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_AUTHENTICATION = frozenset({530, 534, 535, 538})


@dataclass(frozen=True)
class Login:
    """User name and password of the mail server."""

    user: str
    password: str

    def __repr__(self) -> str:
        """Never show the password."""
        return "Login(…)"


class _Handover:
    """Notes the moment from which the content may have been taken."""

    handed_over = False

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.handed_over = True
        return super().data(msg)  # type: ignore[misc, no-any-return]


class _Plain(_Handover, smtplib.SMTP):
    pass


class _Tls(_Handover, smtplib.SMTP_SSL):
    pass


class Mailer:
    """A mail server to hand messages to.

    Args:
        host: Its name.
        port: Its port; 587 for STARTTLS, 465 for TLS.
        security: ``starttls``, ``tls``, or ``none`` on loopback only.
        login: Asked for with each connection; None when the server wants none.
        timeout: Seconds each step may take.
        tls: Trust settings; the system's by default.

    Raises:
        ConfigurationError: ``none`` was asked for a server that is not on loopback.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        security: Security,
        login: Callable[[], Login] | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if security == "none" and host not in _LOOPBACK:
            msg = f"destinations.email.security is none for {host}; use starttls or tls (none only on loopback)"
            raise ConfigurationError(msg)
        self._host, self._port, self._security = host, port, security
        self._login, self._timeout = login, timeout
        self._tls = tls

    def probe(self) -> str:
        """Connect, secure, log in, and say what answered."""
        with self._session() as session:
            code, _ = session.noop()
            return f"smtp at {self._host}:{self._port} answers {code}"

    def send(self, message: EmailMessage) -> Refused:
        """Hand ``message`` to the server and return the recipients it refused.

        Raises:
            OutcomeUnknownError: The content was handed over, the answer was lost.
            CredentialError: The login was refused.
            PermanentError: The server refuses the message or every recipient for good.
            TransientError: It was not taken; a later try may work.
        """
        with self._session() as session:
            try:
                refused = session.send_message(message)
            except smtplib.SMTPRecipientsRefused as error:
                raise self._all_refused(error) from error
        return {address: _reply(code, text) for address, (code, text) in refused.items()}

    @contextmanager
    def _session(self) -> Iterator[_Plain | _Tls]:
        session: _Plain | _Tls | None = None
        try:
            session = self._connected()
            yield session
        except (smtplib.SMTPException, OSError) as error:
            raise self._failure(error, handed_over=session is not None and session.handed_over) from error
        finally:
            if session is not None:
                # The message has been answered for by now; how the parting goes changes nothing.
                with suppress(smtplib.SMTPException, OSError):
                    session.quit()
                session.close()

    def _connected(self) -> _Plain | _Tls:
        tls = self._tls or ssl.create_default_context()
        # Looking up this machine's own name can take seconds where there is no name server.
        me = "localhost" if self._host in _LOOPBACK else None
        session: _Plain | _Tls
        if self._security == "tls":
            session = _Tls(self._host, self._port, me, timeout=self._timeout, context=tls)
        else:
            session = _Plain(self._host, self._port, me, timeout=self._timeout)
        try:
            if self._security == "starttls":
                session.starttls(context=tls)
            if self._login is not None:
                login = self._login()
                session.login(login.user, login.password)
        except BaseException:
            session.close()
            raise
        return session

    def _failure(self, error: Exception, *, handed_over: bool) -> SourceError:
        where = f"smtp at {self._host}:{self._port}"
        if isinstance(error, smtplib.SMTPResponseException):
            msg = f"{where} answered {_reply(error.smtp_code, error.smtp_error)}"
            if error.smtp_code in _AUTHENTICATION:
                return CredentialError(f"{msg}; set SCORING_EMAIL_USER and SCORING_EMAIL_PASSWORD to a valid login")
            return TransientError(msg) if 400 <= error.smtp_code < 500 else PermanentError(msg)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return PermanentError(f"{where} lacks what is needed: {fit_words(str(error))}")
        if isinstance(error, ssl.SSLCertVerificationError):
            return PermanentError(f"{where} shows a certificate that is not trusted: {error.verify_message}")
        msg = f"{where} broke off ({type(error).__name__})"
        if handed_over:
            return OutcomeUnknownError(f"{msg} after the message was handed over; it may have been taken")
        return TransientError(msg)

    def _all_refused(self, error: smtplib.SMTPRecipientsRefused) -> SourceError:
        replies = list(error.recipients.values())
        reasons = "; ".join(dict.fromkeys(_reply(code, text) for code, text in replies))
        msg = f"smtp at {self._host}:{self._port} refused all {len(replies)} recipient(s): {fit_words(reasons)}"
        return TransientError(msg) if all(400 <= code < 500 for code, _ in replies) else PermanentError(msg)


def compose(
    subject: str,
    html: str,
    *,
    text: str,
    images: Mapping[str, bytes],
    sender: str,
    recipients: Sequence[str],
    message_id: str,
    date: datetime,
) -> EmailMessage:
    """Return a mail with a text part and an HTML part whose pictures travel with it.

    Args:
        subject: Subject; line breaks become blanks.
        html: HTML that names pictures as ``cid:<name>``.
        text: The same for readers without HTML.
        images: PNG bytes per name.
        sender: From address.
        recipients: To addresses.
        message_id: See ``message_id_for``.
        date: When it was made.

    Raises:
        PermanentError: An address or a header value is not allowed in a mail.
    """
    message = EmailMessage(policy=SMTP_POLICY)
    try:
        message["Subject"] = " ".join(subject.split())
        message["From"] = sender
        message["To"] = ", ".join(recipients)
        message["Date"] = format_datetime(date)
        message["Message-ID"] = message_id
        # RFC 3834: asks holiday and other responders to stay silent.
        message["Auto-Submitted"] = "auto-generated"
    except ValueError as error:
        msg = f"the mail cannot be composed, a header value is not allowed: {fit_words(str(error))}"
        raise PermanentError(msg) from error
    # base64: no line of a text without line breaks can exceed the 998 octets SMTP allows.
    message.set_content(text, cte="base64")
    message.add_alternative(html, subtype="html", cte="base64")
    page = message.get_payload()[1]  # type: ignore[index]
    for name, png in images.items():
        page.add_related(png, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")  # type: ignore[union-attr]
    return message


def message_id_for(key: str, sender: str) -> str:
    """Return the ``Message-ID`` of the delivery ``key``: the same key gives the same id."""
    domain = sender.rpartition("@")[2].strip(" >") or "localhost"
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {fit_words(words)}".strip()
