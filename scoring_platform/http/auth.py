"""How calls are authenticated: fixed headers, and tokens that expire.

Belongs here: ``httpx.Auth`` classes and the token grants vendors share. Does not belong here: where a secret comes
from.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scoring_platform.errors import ConfigurationError, PermanentError
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.verdict import Verdict, body_of

EARLY = 60.0
"""Seconds before its end at which a token is replaced."""

JWT_LIFETIME = 3600
"""Seconds a signed assertion is valid; the longest Google accepts."""

_REFUSED = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})


@dataclass(frozen=True)
class Token:
    """An access token, the seconds it lives and what it allows; None where the vendor does not say."""

    value: str
    expires_in: float | None = None
    scope: str | None = None

    def __repr__(self) -> str:
        """Never show the token itself."""
        return f"Token(value='…', expires_in={self.expires_in}, scope={self.scope!r})"


class HeaderAuth(httpx.Auth):
    """A fixed secret in a header, such as ``Authorization: Bearer …`` or ``x-api-key: …``.

    Args:
        value: Asked for with the first call, so that building a client needs no credential.
        header: Name of the header.
        scheme: What stands before the secret, with its blank.
    """

    def __init__(self, value: Callable[[], str], header: str = "Authorization", *, scheme: str = "Bearer ") -> None:
        self._value = value
        self._header = header
        self._scheme = scheme

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        request.headers[self._header] = f"{self._scheme}{self._value()}"
        yield request


class TokenAuth(httpx.Auth):
    """A token that is asked for when needed, replaced before it expires and once after a 401.

    Args:
        issue: Asks the vendor for a new token.
        header: Name of the header.
        scheme: What stands before the token, with its blank.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        issue: Callable[[], Token],
        header: str = "Authorization",
        *,
        scheme: str = "Bearer ",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issue = issue
        self._header = header
        self._scheme = scheme
        self._clock = clock
        self._token: Token | None = None
        self._good_until = 0.0
        self._lock = Lock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send with the token; after a 401 send once more with a new one."""
        token = self._current()
        request.headers[self._header] = self._scheme + token.value
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            # A refused call was not carried out: repeating it is safe, whatever it does.
            request.headers[self._header] = self._scheme + self._current(stale=token).value
            yield request

    def _current(self, stale: Token | None = None) -> Token:
        with self._lock:
            token = self._token
            if token is None or token is stale or self._clock() >= self._good_until:
                token = self._issue()
                self._token = token
                life = float("inf") if token.expires_in is None else token.expires_in
                # Half the life of a very short token: replacing it at once for ever would be worse.
                self._good_until = self._clock() + max(life - EARLY, life / 2)
            return token


def request_token(client: ApiClient, path: str, grant: Mapping[str, str], *, as_json: bool = False) -> Token:
    """Ask for a token with ``grant``; build the client with ``classify=refused_grant``.

    Raises:
        CredentialError: The grant was refused.
        PermanentError: The answer holds no token.
    """
    if as_json:
        return _token(client.request("POST", path, json=dict(grant)), client.system)
    return _token(client.request("POST", path, data=grant), client.system)


def assertion_grant(key_json: str, scope: str, *, system: str) -> dict[str, str]:
    """Return the grant that trades a signed assertion of a Google service account for a token (RFC 7523)."""
    assertion = sign_assertion(key_json, scope, now=time.time(), system=system)
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


def refused_grant(response: httpx.Response) -> Verdict | None:
    """Judge the answers of token endpoints: they say 400 where others say 401."""
    if response.status_code not in _REFUSED:
        return None
    body = body_of(response)
    code = body.get("error") if isinstance(body, dict) else None
    # Only the code: descriptions are known to repeat what was sent.
    return Verdict("credential", words=code if isinstance(code, str) else "the credential was refused")


def sign_assertion(key_json: str, scope: str, *, now: float, system: str) -> str:
    """Return the RS256 JWT that a Google service account key signs for ``scope``.

    Raises:
        ConfigurationError: ``key_json`` is not such a key.
    """
    key, issuer, audience = _service_account_key(key_json, system)
    claims = {"iss": issuer, "scope": scope, "aud": audience, "iat": int(now), "exp": int(now) + JWT_LIFETIME}
    return signed_jwt(key, claims)


def signed_jwt(key: rsa.RSAPrivateKey, claims: Mapping[str, Any]) -> str:
    """Return ``claims`` as a JWT signed with RS256."""
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_base64url(signature)}"


def _service_account_key(key_json: str, system: str) -> tuple[rsa.RSAPrivateKey, str, str]:
    msg = (
        f"SCORING_{system}_SERVICE_ACCOUNT".upper() + " must hold the JSON key file of a service account "
        "(client_email, private_key, token_uri)"
    )
    try:
        document = json.loads(key_json)
        key = load_pem_private_key(document["private_key"].encode(), password=None)
        issuer, audience = document["client_email"], document["token_uri"]
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not chained: the parser's message quotes the key.
        raise ConfigurationError(msg) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError(msg)
    return key, issuer, audience


def _token(answer: Answer, system: str) -> Token:
    body = answer.json
    value = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(value, str) or not value:
        msg = f"{system} answered a token request without an access_token"
        raise PermanentError(msg)
    expires_in, scope = body.get("expires_in"), body.get("scope")
    life = float(expires_in) if isinstance(expires_in, int | float) else None
    return Token(value, life, scope if isinstance(scope, str) else None)


def _part(document: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(document, separators=(",", ":")).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
