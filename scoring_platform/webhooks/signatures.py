"""How providers sign: schemes that say whether a body, with its headers, comes from whoever holds a key.

Belongs here: what is signed, how it is written, how old it may be. Does not belong here: which provider uses which
scheme (``providers``), HTTP answers (``receiver``). Pure: no clock, no environment.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from scoring_platform.errors import ConfigurationError

LEAST_SECRET = 16
"""Characters, or bytes of a coded secret, below which a secret can be guessed."""

STANDARD_PREFIX = "whsec_"

Headers = Mapping[str, str]
"""Headers of a request, by name in small letters."""

Algorithm = Literal["sha256", "sha1", "sha512"]
Encoding = Literal["hex", "base64"]

_DIGITS = re.compile(r"[0-9]{1,12}")
_PLACEHOLDER = re.compile(rb"\{(id|timestamp|body)\}")


@dataclass(frozen=True)
class Moment:
    """The time a signature is judged at, in Unix seconds, and how far a signed time may be from it."""

    now: float
    tolerance: float


class Scheme(Protocol):
    """A way of signing."""

    def key(self, secret: str) -> Any:
        """Turn a configured secret into a key.

        Raises:
            ConfigurationError: It is no secret of this scheme, or too short; the message does not show it.
        """
        ...

    def accepts(self, body: bytes, headers: Headers, *, keys: Sequence[Any], at: Moment) -> bool:
        """Whether one of ``keys`` signed ``body``, byte by byte, near enough to ``at``."""
        ...


@dataclass(frozen=True)
class Hmac:
    """A shared secret and a hash.

    Attributes:
        header: Header with the signature.
        algorithm: The hash.
        encoding: How the signature is written.
        prefix: What stands before it.
        timestamp_header: Header with the signed Unix seconds.
        id_header: Header with the signed id of the message.
        template: What is signed, in terms of {body}, {timestamp} and {id}.
    """

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    timestamp_header: str | None = None
    id_header: str | None = None
    template: str = "{body}"

    def key(self, secret: str) -> bytes:
        """Return the secret's bytes; see ``Scheme.key``."""
        return _long_enough(secret.encode())

    def accepts(self, body: bytes, headers: Headers, *, keys: Sequence[bytes], at: Moment) -> bool:
        """Whether one of ``keys`` signed the request; see ``Scheme.accepts``."""
        given, timestamp = _header(headers, self.header), _header(headers, self.timestamp_header)
        if not given.startswith(self.prefix) or (self.timestamp_header and not is_near(timestamp, at)):
            return False
        message = filled(self.template, body, timestamp=timestamp, message_id=_header(headers, self.id_header))
        written = given.removeprefix(self.prefix)
        written = written.lower() if self.encoding == "hex" else written
        return any(_same(written, hmac_text(key, message, self.algorithm, encoding=self.encoding)) for key in keys)


@dataclass(frozen=True)
class StandardWebhooks:
    """The Standard Webhooks specification, symmetric: several signatures, each ``v1,<base64>``."""

    def key(self, secret: str) -> bytes:
        """Return the bytes coded behind ``whsec_``; see ``Scheme.key``."""
        try:
            return _long_enough(base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True))
        except binascii.Error as error:
            msg = f"is not base64, with or without {STANDARD_PREFIX} before it"
            raise ConfigurationError(msg) from error

    def accepts(self, body: bytes, headers: Headers, *, keys: Sequence[bytes], at: Moment) -> bool:
        """Whether one of ``keys`` signed the request; see ``Scheme.accepts``."""
        message_id, timestamp = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
        if not message_id or not is_near(timestamp, at):
            return False
        message = filled("{id}.{timestamp}.{body}", body, timestamp=timestamp, message_id=message_id)
        expected = [f"v1,{hmac_text(key, message, 'sha256', encoding='base64')}" for key in keys]
        given = _header(headers, "webhook-signature").split(" ")
        return any(_same(one, other) for one in given for other in expected)


@dataclass(frozen=True)
class Ecdsa:
    """ECDSA on the curve P-256 with SHA-256 over the timestamp and the body, as SendGrid signs."""

    signature_header: str
    timestamp_header: str

    def key(self, secret: str) -> ec.EllipticCurvePublicKey:
        """Return the public key written as base64 of its DER form; see ``Scheme.key``."""
        try:
            key = load_der_public_key(base64.b64decode(secret, validate=True))
        except (ValueError, UnsupportedAlgorithm) as error:
            msg = "is not a public key in base64 as SendGrid shows it"
            raise ConfigurationError(msg) from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            msg = "is a public key, but not one of the curve P-256"
            raise ConfigurationError(msg)
        return key

    def accepts(self, body: bytes, headers: Headers, *, keys: Sequence[ec.EllipticCurvePublicKey], at: Moment) -> bool:
        """Whether one of ``keys`` verifies the request; see ``Scheme.accepts``."""
        timestamp = _header(headers, self.timestamp_header)
        if not is_near(timestamp, at):
            return False
        try:
            signature = base64.b64decode(_header(headers, self.signature_header), validate=True)
        except ValueError:
            return False
        return any(_verifies(key, signature, timestamp.encode() + body) for key in keys)


def hmac_text(key: bytes, message: bytes, algorithm: Algorithm, *, encoding: Encoding) -> str:
    """Return the HMAC of ``message`` as it stands in a header."""
    made = hmac.new(key, message, getattr(hashlib, algorithm))
    return made.hexdigest() if encoding == "hex" else base64.b64encode(made.digest()).decode()


def filled(template: str, body: bytes, *, timestamp: str = "", message_id: str = "") -> bytes:
    """Return what is signed; the body stays byte by byte as it came."""
    # Headers arrive as Latin-1 text: this gives their bytes back.
    values = {b"body": body, b"timestamp": timestamp.encode("latin-1"), b"id": message_id.encode("latin-1")}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template.encode())


def is_near(timestamp: str, at: Moment) -> bool:
    """Whether ``timestamp``, Unix seconds as text, is within the tolerance of now, before or after."""
    return _DIGITS.fullmatch(timestamp) is not None and abs(int(timestamp) - at.now) <= at.tolerance


def _header(headers: Headers, name: str | None) -> str:
    return headers.get(name.lower(), "") if name else ""


def _same(given: str, expected: str) -> bool:
    # Bytes: the comparison in constant time refuses text outside ASCII, which a stranger may send.
    return hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode())


def _verifies(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _long_enough(secret: bytes) -> bytes:
    if len(secret) < LEAST_SECRET:
        msg = f"is shorter than {LEAST_SECRET} characters and can be guessed; make one with: openssl rand -hex 32"
        raise ConfigurationError(msg)
    return secret
