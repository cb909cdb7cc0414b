"""The sandbox's Salesforce: who may have a token.

Belongs here: the two grants and the signed assertion. Does not belong here: tokens themselves (``tokens``).
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from scoring_platform.sandbox.credentials import salesforce_public_key

if TYPE_CHECKING:
    from scoring_platform.sandbox.company import Company

_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
_LONGEST = 300
"""Seconds an assertion may be good, with some allowance for clocks."""


def flaw(company: Company, sent: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the error and its description; None when a token may be given."""
    known = company.credentials["salesforce"]
    if sent.get("grant_type") == "client_credentials":
        if sent.get("client_id") != known["client_id"]:
            return "invalid_client_id", "client identifier invalid"
        fits = sent.get("client_secret") == known["client_secret"]
        return None if fits else ("invalid_client", "invalid client credentials")
    if sent.get("grant_type") == _JWT_GRANT:
        wrong = _wrong_assertion(company, str(sent.get("assertion")))
        return None if wrong is None else ("invalid_grant", wrong)
    return "unsupported_grant_type", "grant type not supported"


def _wrong_assertion(company: Company, assertion: str) -> str | None:
    head, _, rest = assertion.partition(".")
    payload, _, signature = rest.partition(".")
    try:
        claims, algorithm = json.loads(_unpacked(payload)), json.loads(_unpacked(head)).get("alg")
        key = salesforce_public_key(company.state_dir)
        key.verify(_unpacked(signature), f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, binascii.Error, AttributeError):
        return "invalid assertion"
    except InvalidSignature:
        return "invalid assertion: signature"
    known, now = company.credentials["salesforce"], time.time()
    if algorithm != "RS256" or claims.get("iss") != known["client_id"]:
        return "client identifier invalid"
    if claims.get("sub") != known["username"]:
        return "user hasn't approved this consumer"
    if claims.get("aud") not in _AUDIENCES:
        return "audience is invalid"
    return None if now < claims.get("exp", 0) <= now + _LONGEST else "assertion has expired, or lives too long"


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
