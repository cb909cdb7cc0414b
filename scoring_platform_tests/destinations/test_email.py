"""E-mail: what is composed comes back whole, and every reply of a server has its consequence."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scoring_platform.destinations.email import Login, Mailer, compose, message_id_for
from scoring_platform.errors import (
    ConfigurationError,
    CredentialError,
    OutcomeUnknownError,
    PermanentError,
    TransientError,
)
from scoring_platform.sandbox import smtp as sandbox
from scoring_platform.sandbox.outbox import mails
from scoring_platform_tests.destinations.running import company

SENT_AT = datetime(2026, 11, 21, 6, 5, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(300)


@pytest.fixture
def mail_server(tmp_path: Path) -> Iterator[sandbox.SmtpServer]:
    server = sandbox.start(company(tmp_path))
    yield server
    server.stop()


def message(*recipients: str, **changes: Any) -> EmailMessage:
    given: dict[str, Any] = {
        "text": "本日のスコア\n" + "あ" * 3_000,
        "images": {"segments": PNG, "trend": PNG + b"2"},
        "sender": "Scoring <scoring@example.jp>",
        "recipients": recipients or ("team@example.jp",),
        "message_id": message_id_for("report:2026-11-20:email", "Scoring <scoring@example.jp>"),
        "date": SENT_AT,
    }
    html = '<p>スコア</p><img src="cid:segments">' + "<td>長い行</td>" * 500
    return compose(
        changes.pop("subject", "顧客スコアレポート 2026年11月20日（前日比＋12）"), html, **{**given, **changes}
    )


def plain(port: int) -> Mailer:
    return Mailer("127.0.0.1", port, security="none", timeout=5)


def test_a_mail_comes_back_with_all_its_parts(mail_server: sandbox.SmtpServer, tmp_path: Path) -> None:
    assert plain(mail_server.port).send(message("team@example.jp", "lead@example.jp")) == {}
    [mail] = mails(tmp_path)
    assert mail["Subject"] == "顧客スコアレポート 2026年11月20日（前日比＋12）"
    assert mail["To"] == "team@example.jp, lead@example.jp"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == message_id_for("report:2026-11-20:email", "scoring@example.jp")
    assert mail["Date"].datetime == SENT_AT
    assert mail.get_content_type() == "multipart/alternative"
    text, page = mail.iter_parts()
    assert text.get_content().replace("\r\n", "\n").startswith("本日のスコア\nあああ")
    assert page.get_content_type() == "multipart/related"
    html, *pictures = page.iter_parts()
    assert 'src="cid:segments"' in html.get_content()
    assert [one["Content-ID"] for one in pictures] == ["<segments>", "<trend>"]
    assert pictures[0].get_content() == PNG
    assert pictures[0].get_content_disposition() == "inline"


def test_no_line_of_a_mail_is_longer_than_smtp_allows() -> None:
    assert max(len(line) for line in message().as_bytes().split(b"\r\n")) <= 998


def test_a_line_break_in_the_subject_starts_no_new_header() -> None:
    assert message(subject="Scores\r\nBcc: all@example.com")["Subject"] == "Scores Bcc: all@example.com"
    with pytest.raises(PermanentError):
        message(sender="a@example.jp\r\nBcc: all@example.com")


def test_the_message_id_follows_the_key() -> None:
    first = message_id_for("report:2026-11-20", "a@example.jp")
    assert first == message_id_for("report:2026-11-20", "Name <a@example.jp>")
    assert first != message_id_for("report:2026-11-21", "a@example.jp")
    assert first.endswith("@example.jp>")


def test_a_refused_recipient_is_reported_and_the_others_get_the_mail(
    mail_server: sandbox.SmtpServer, tmp_path: Path
) -> None:
    refused = plain(mail_server.port).send(message("bounce@example.jp", "team@example.jp"))
    assert list(refused) == ["bounce@example.jp"]
    assert refused["bounce@example.jp"].startswith("550")
    assert len(mails(tmp_path)) == 1


def test_a_mail_nobody_takes_is_permanent_and_names_nobody(mail_server: sandbox.SmtpServer, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="all 1 recipient") as caught:
        plain(mail_server.port).send(message("bounce@example.jp"))
    assert "bounce@" not in str(caught.value)
    assert mails(tmp_path) == []


class Replying:
    """A mail server that answers DATA with one line."""

    def __init__(self, reply: str) -> None:
        self.reply = reply

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802 - the name aiosmtpd calls
        return self.reply


class _Controller(Controller):
    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def serving(handler: object, **options: Any) -> Iterator[int]:
    controller = _Controller(handler, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.mark.parametrize(
    ("reply", "error"), [("451 4.3.0 try later", TransientError), ("554 5.7.1 looks like spam", PermanentError)]
)
def test_a_refused_content_is_sorted_by_its_code(reply: str, error: type[Exception]) -> None:
    with serving(Replying(reply)) as port, pytest.raises(error, match=reply[:3]) as caught:
        plain(port).send(message())
    assert not isinstance(caught.value, OutcomeUnknownError)


@contextmanager
def speaking(replies: dict[bytes, bytes]) -> Iterator[int]:
    """A server that answers by the first four letters of a line and hangs up where it has no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 ready\r\n")
                for line in lines:
                    if line[:4].upper() not in replies:
                        return
                    connection.sendall(replies[line[:4].upper()])

        thread = threading.Thread(target=talk)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(timeout=5)


UP_TO_DATA = {b"EHLO": b"250 ok\r\n", b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n"}


def test_a_connection_lost_after_the_content_leaves_the_outcome_unknown() -> None:
    with speaking({**UP_TO_DATA, b"DATA": b"354 go on\r\n"}) as port, pytest.raises(OutcomeUnknownError):
        plain(port).send(message())


def test_a_connection_lost_before_the_content_is_certain_not_to_have_sent() -> None:
    with speaking({b"EHLO": b"250 ok\r\n"}) as port, pytest.raises(TransientError) as caught:
        plain(port).send(message())
    assert not isinstance(caught.value, OutcomeUnknownError)


def test_a_server_that_is_down_is_transient() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(TransientError, match="ConnectionRefusedError"):
            plain(unused.getsockname()[1]).send(message())


def test_mail_without_encryption_stays_on_this_machine() -> None:
    with pytest.raises(ConfigurationError, match="only on loopback"):
        Mailer("smtp.example.com", 25, security="none")


def test_a_server_without_starttls_gets_no_mail(mail_server: sandbox.SmtpServer, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="STARTTLS"):
        Mailer("127.0.0.1", mail_server.port, security="starttls").send(message())
    assert mails(tmp_path) == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that only its own file vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    return folder / "cert.pem", folder / "key.pem"


def _server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def _authenticator(*_: object) -> AuthResult:
    login: Any = _[-1]
    return AuthResult(success=login.password == b"right", handled=False)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # aiosmtpd counts implicit TLS as none
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_mail_arrives_with_a_login_and_needs_a_trusted_certificate(
    certificate: tuple[Path, Path], security: Any
) -> None:
    tls = _server_tls(certificate)
    options: dict[str, Any] = {"tls_context": tls, "require_starttls": True}
    if security == "tls":
        options = {"ssl_context": tls, "auth_require_tls": False}
    trusted = ssl.create_default_context(cafile=str(certificate[0]))

    def mailer(password: str, context: ssl.SSLContext | None = trusted) -> Callable[[EmailMessage], object]:
        login = Login("scoring", password)
        return Mailer("localhost", port, security=security, login=lambda: login, tls=context, timeout=5).send

    with serving(Replying("250 ok"), authenticator=_authenticator, auth_required=True, **options) as port:
        assert mailer("right")(message()) == {}
        with pytest.raises(CredentialError, match="SCORING_EMAIL_PASSWORD") as caught:
            mailer("wrong")(message())
        assert "wrong" not in str(caught.value)
        with pytest.raises(PermanentError, match="not trusted"):
            mailer("right", None)(message())
