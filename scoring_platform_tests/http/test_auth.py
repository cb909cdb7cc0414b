"""Tokens: asked for once, replaced before their end and once after a 401."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from scoring_platform.errors import ConfigurationError, CredentialError, PermanentError
from scoring_platform.http.auth import HeaderAuth, Token, TokenAuth, refused_grant, request_token, sign_assertion
from scoring_platform.http.client import ApiClient
from scoring_platform_tests.http.loopback import Loopback, Reply, Seen, reply


class Vendor:
    """Issues t1, t2, … and accepts only the newest."""

    def __init__(self, server: Loopback, *, expires_in: int | None = 3600) -> None:
        self.issued = 0
        self.calls: list[str] = []
        self.expires_in = expires_in
        self.url = server.url
        server.answer = self.answer

    def answer(self, seen: Seen) -> Reply:
        if seen.path == "/token":
            self.issued += 1
            return reply({"access_token": f"t{self.issued}", "expires_in": self.expires_in})
        self.calls.append(seen.headers["authorization"])
        return reply({}, 200 if seen.headers["authorization"] == f"Bearer t{self.issued}" else 401)

    def auth(self, clock: Any = lambda: 0.0) -> TokenAuth:
        def issue() -> Token:
            with ApiClient("acme", self.url, classify=refused_grant) as client:
                return request_token(client, "/token", {"grant_type": "client_credentials"})

        return TokenAuth(issue, clock=clock)


def test_a_token_is_asked_for_once_and_kept(server: Loopback) -> None:
    vendor = Vendor(server)
    with ApiClient("acme", server.url, auth=vendor.auth()) as client:
        client.request("GET", "/a")
        client.request("GET", "/b")
    assert vendor.issued == 1
    assert vendor.calls == ["Bearer t1", "Bearer t1"]


def test_a_token_is_replaced_a_minute_before_its_end(server: Loopback) -> None:
    vendor = Vendor(server, expires_in=3600)
    now = [0.0]
    with ApiClient("acme", server.url, auth=vendor.auth(lambda: now[0])) as client:
        for now[0] in (0.0, 3539.0, 3540.0):
            client.request("GET", "/a")
    assert vendor.calls == ["Bearer t1", "Bearer t1", "Bearer t2"]


def test_a_refused_token_is_replaced_once_and_the_call_replayed_with_its_body(server: Loopback) -> None:
    vendor = Vendor(server)
    with ApiClient("acme", server.url, auth=vendor.auth()) as client:
        client.request("GET", "/a")
        vendor.issued += 1  # the vendor has withdrawn t1
        client.request("POST", "/b", json={"x": 1}, idempotent=False)
    assert vendor.calls == ["Bearer t1", "Bearer t1", "Bearer t3"]
    assert server.seen[-1].json == {"x": 1}


def test_a_call_refused_with_a_new_token_too_is_a_credential_error(server: Loopback) -> None:
    server.answer = lambda seen: reply({"access_token": "t"}) if seen.path == "/token" else reply({}, 401)
    vendor_auth = TokenAuth(lambda: Token("t"))
    client = ApiClient("acme", server.url, auth=vendor_auth, secrets=("token",))
    with client, pytest.raises(CredentialError, match="SCORING_ACME_TOKEN"):
        client.request("GET", "/a")
    assert [seen.path for seen in server.seen] == ["/a", "/a"]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_grant_is_a_credential_error_that_quotes_only_the_code(server: Loopback, status: int) -> None:
    server.script([reply({"error": "invalid_client", "error_description": "secret s3cret unknown"}, status)])
    client = ApiClient("acme", server.url, classify=refused_grant, secrets=("client_id", "client_secret"))
    variables = "SCORING_ACME_CLIENT_ID and SCORING_ACME_CLIENT_SECRET"
    with client, pytest.raises(CredentialError, match=variables) as caught:
        request_token(client, "/token", {"client_secret": "s3cret"})
    assert "invalid_client" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_token_answer_without_a_token_is_permanent(server: Loopback) -> None:
    server.script([reply({"scope": "read"})])
    with ApiClient("acme", server.url) as client, pytest.raises(PermanentError, match="without an access_token"):
        request_token(client, "/token", {})


def test_a_fixed_secret_travels_in_its_header_and_is_asked_for_with_the_first_call(server: Loopback) -> None:
    asked: list[str] = []

    def value() -> str:
        asked.append("now")
        return "k1"

    with ApiClient("acme", server.url, auth=HeaderAuth(value, "x-api-key", scheme="")) as client:
        assert asked == []
        server.script([reply({})])
        client.request("GET", "/a")
    assert server.seen[0].headers["x-api-key"] == "k1"


def test_a_token_never_shows_itself() -> None:
    assert "s3cret" not in repr(Token("s3cret"))


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(key: rsa.RSAPrivateKey) -> str:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps(
        {"client_email": "a@example.com", "private_key": pem, "token_uri": "https://oauth2.example.com/token"}
    )


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_the_assertion_of_a_service_account_is_signed_and_names_issuer_scope_and_audience(
    key: rsa.RSAPrivateKey,
) -> None:
    header, claims, signature = sign_assertion(key_file(key), "read", now=1000.5, system="ga4").split(".")
    key.public_key().verify(decoded(signature), f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(decoded(header)) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(decoded(claims)) == {
        "iss": "a@example.com",
        "scope": "read",
        "aud": "https://oauth2.example.com/token",
        "iat": 1000,
        "exp": 4600,
    }


@pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"private_key": "s3cret"}'])
def test_a_broken_key_file_names_the_variable_and_not_the_key(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SCORING_GA4_SERVICE_ACCOUNT") as caught:
        sign_assertion(text, "read", now=0, system="ga4")
    assert "s3cret" not in str(caught.value)
