"""Signatures: published vectors, the bytes as they came, the time, and what a stranger may send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from scoring_platform.errors import ConfigurationError
from scoring_platform.webhooks.providers import SENDGRID, SURVEYMONKEY, TYPEFORM
from scoring_platform.webhooks.signatures import Hmac, Moment, Scheme, StandardWebhooks, hmac_text
from scoring_platform_tests.webhooks.scenario import Mailer

NOW = 1_790_000_000
AT = Moment(NOW, 300)
SECRET = "a-secret-of-the-website"
BODY = b'{"id": "1",  "kind":"form"}\n'
STAMPED = Hmac("X-Signature", timestamp_header="X-Timestamp", template="{timestamp}.{body}")

# The example of the Standard Webhooks specification's libraries.
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_AT = Moment(1_614_265_330, 300)
STANDARD_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}

# The example of SendGrid's own library.
SENDGRID_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eN"
    "Ec6wEA3F+g=="
)
SENDGRID_HEADERS = {
    "x-twilio-email-event-webhook-signature": (
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    ),
    "x-twilio-email-event-webhook-timestamp": "1600112502",
}
SENDGRID_BODY = (
    json.dumps(
        [
            {
                "email": "hello@world.com",
                "event": "dropped",
                "reason": "Bounced Address",
                "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
                "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
                "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
                "timestamp": 1600112492,
            }
        ],
        sort_keys=True,
        separators=(",", ":"),
    )
    + "\r\n"
).encode()
SENDGRID_AT = Moment(1_600_112_502, 300)


def accepts(scheme: Scheme, secret: str, headers: dict[str, str], body: bytes = BODY, at: Moment = AT) -> bool:
    return scheme.accepts(body, headers, keys=[scheme.key(secret)], at=at)


def stamped(secret: str = SECRET, body: bytes = BODY, at: int = NOW) -> dict[str, str]:
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x-signature": digest, "x-timestamp": str(at)}


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [  # RFC 2202 and RFC 4231, "what do ya want for nothing?"
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha512",
            (
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
            ),
        ),
    ],
)
def test_each_hash_gives_the_published_answer(algorithm: Any, expected: str) -> None:
    message = b"what do ya want for nothing?"

    assert hmac_text(b"Jefe", message, algorithm, encoding="hex") == expected
    coded = hmac_text(b"Jefe", message, algorithm, encoding="base64")
    assert base64.b64decode(coded).hex() == expected


def test_a_prefixed_hex_signature_of_the_body_alone_is_known_as_github_documents_it() -> None:
    scheme = Hmac("X-Hub-Signature-256", prefix="sha256=")
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    for written in (f"sha256={digest}", f"sha256={digest.upper()}"):
        headers = {"x-hub-signature-256": written}
        assert accepts(scheme, "It's a Secret to Everybody", headers, b"Hello, World!")
    assert not accepts(scheme, "It's a Secret to Everybody", {"x-hub-signature-256": digest}, b"Hello, World!")


def test_the_standard_webhooks_example_is_known_among_other_signatures() -> None:
    several = f"v1,{'A' * 44} v2,other {STANDARD_HEADERS['webhook-signature']}"

    for headers in (STANDARD_HEADERS, {**STANDARD_HEADERS, "webhook-signature": several}):
        assert accepts(StandardWebhooks(), STANDARD_SECRET, headers, STANDARD_BODY, STANDARD_AT)
    for name, value in [("webhook-id", "msg_2"), ("webhook-timestamp", "1614265331"), ("webhook-signature", "v1,")]:
        headers = {**STANDARD_HEADERS, name: value}
        assert not accepts(StandardWebhooks(), STANDARD_SECRET, headers, STANDARD_BODY, STANDARD_AT), name


def test_sendgrids_example_is_known_and_a_changed_byte_is_not() -> None:
    assert accepts(SENDGRID, SENDGRID_KEY, SENDGRID_HEADERS, SENDGRID_BODY, SENDGRID_AT)
    assert not accepts(SENDGRID, SENDGRID_KEY, SENDGRID_HEADERS, SENDGRID_BODY.rstrip(), SENDGRID_AT)
    assert not accepts(SENDGRID, Mailer().public_key, SENDGRID_HEADERS, SENDGRID_BODY, SENDGRID_AT)


def test_survey_vendors_sign_as_their_documents_say() -> None:
    typeform = base64.b64encode(hmac.new(SECRET.encode(), BODY, hashlib.sha256).digest()).decode()
    monkey = base64.b64encode(hmac.new(b"client-id&client-secret", BODY, hashlib.sha1).digest()).decode()

    assert accepts(TYPEFORM, SECRET, {"typeform-signature": f"sha256={typeform}"})
    assert accepts(SURVEYMONKEY, "client-id&client-secret", {"sm-signature": monkey})
    assert not accepts(SURVEYMONKEY, "client-id&client-secreT", {"sm-signature": monkey})


def test_an_id_can_be_signed_too() -> None:
    scheme = Hmac("X-Sig", "sha512", timestamp_header="T", id_header="I", template="v0:{id}:{timestamp}:{body}")
    digest = hmac.new(SECRET.encode(), f"v0:m1:{NOW}:".encode() + BODY, hashlib.sha512).hexdigest()
    headers = {"x-sig": digest, "t": str(NOW), "i": "m1"}

    assert accepts(scheme, SECRET, headers)
    assert not accepts(scheme, SECRET, {**headers, "i": "m2"})


def test_a_body_that_looks_like_the_template_is_not_filled_in_again() -> None:
    body = b"{timestamp}{id}{body}"

    assert accepts(STAMPED, SECRET, stamped(body=body), body)


@pytest.mark.parametrize("body", [b'{"id": "1", "kind":"form"}\n', b'{"id": "1",  "kind":"form"}', BODY + b" "])
def test_every_byte_of_the_body_counts(body: bytes) -> None:
    assert accepts(STAMPED, SECRET, stamped())
    assert not accepts(STAMPED, SECRET, stamped(), body)


@pytest.mark.parametrize(("at", "good"), [(NOW - 300, True), (NOW + 300, True), (NOW - 301, False), (NOW + 301, False)])
def test_a_signed_time_is_good_for_five_minutes_before_and_after(at: int, good: bool) -> None:
    assert accepts(STAMPED, SECRET, stamped(at=at)) is good
    mailer, moment = Mailer(), Moment(NOW, 300)
    headers = {name.lower(): value for name, value in mailer.signed(BODY, at=at).items()}
    assert accepts(SENDGRID, mailer.public_key, headers, BODY, moment) is good


@pytest.mark.parametrize("timestamp", ["", "-1", "1.79e9", "now", " 1790000000", "١٧٩٠٠٠٠٠٠٠", "9" * 5_000])
def test_a_time_that_is_no_number_of_seconds_is_not_good(timestamp: str) -> None:
    written = timestamp.encode("latin-1", "replace")
    digest = hmac.new(SECRET.encode(), written + b"." + BODY, hashlib.sha256).hexdigest()

    assert not accepts(STAMPED, SECRET, {"x-signature": digest, "x-timestamp": timestamp})


def test_either_of_two_keys_is_good_while_a_secret_is_changed() -> None:
    keys = [STAMPED.key(SECRET), STAMPED.key("the-secret-of-last-year")]

    assert STAMPED.accepts(BODY, stamped(), keys=keys, at=AT)
    assert STAMPED.accepts(BODY, stamped("the-secret-of-last-year"), keys=keys, at=AT)
    assert not STAMPED.accepts(BODY, stamped("another-secret-still"), keys=keys, at=AT)


@given(
    signature=st.text(st.characters(max_codepoint=255), max_size=80),
    timestamp=st.sampled_from([str(NOW), "", "x"]),
    scheme=st.sampled_from([STAMPED, TYPEFORM, SURVEYMONKEY, StandardWebhooks(), SENDGRID]),
)
def test_whatever_a_stranger_sends_as_a_signature_is_refused_and_nothing_breaks(
    signature: str, timestamp: str, scheme: Scheme
) -> None:
    names = ["x-signature", "typeform-signature", "sm-signature", "webhook-signature"]
    names += ["x-twilio-email-event-webhook-signature"]
    stamps = ["x-timestamp", "webhook-timestamp", "x-twilio-email-event-webhook-timestamp"]
    headers = {**dict.fromkeys(names, signature), **dict.fromkeys(stamps, timestamp), "webhook-id": signature}
    secret = {StandardWebhooks(): STANDARD_SECRET, SENDGRID: SENDGRID_KEY}.get(scheme, SECRET)

    assert not accepts(scheme, secret, headers)
    assert not accepts(scheme, secret, {})


def coded(key: Any) -> str:
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


@pytest.mark.parametrize(
    ("scheme", "secret", "words"),
    [
        (STAMPED, "fifteen-letters", "shorter than 16"),
        (StandardWebhooks(), "whsec_" + base64.b64encode(b"fifteen-letters").decode(), "shorter than 16"),
        (StandardWebhooks(), "whsec_not base64", "not base64"),
        (SENDGRID, "no key", "not a public key"),
        (SENDGRID, base64.b64encode(b"no key").decode(), "not a public key"),
        (SENDGRID, coded(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (SENDGRID, coded(rsa.generate_private_key(65537, 2048)), "P-256"),
    ],
)
def test_a_secret_that_is_none_is_refused_without_being_shown(scheme: Scheme, secret: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        scheme.key(secret)
    assert secret not in str(caught.value)
