"""The well-known credentials of the sandbox company.

Belongs here: what a client must present to the sandbox. Does not belong here: credentials of real systems, which come
from the environment; nothing here opens anything but the sandbox.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from scoring_platform.errors import ConfigurationError
from scoring_platform.sandbox.state import create_once, state_folder

CREDENTIALS: dict[str, dict[str, str]] = {
    "shopify": {"client_id": "sandbox-shop-client", "client_secret": "sandbox-shop-secret"},
    "woocommerce": {"consumer_key": "ck_sandbox", "consumer_secret": "cs_sandbox"},
    "klaviyo": {"api_key": "pk_sandbox"},
    "mailchimp": {"api_key": "key-of-the-sandbox-us0"},
    "sendgrid": {"api_key": "SG.sandbox"},
    "matomo": {"token": "sandbox-matomo-token"},
    "zendesk": {"client_id": "sandbox-desk-client", "client_secret": "sandbox-desk-secret"},
    "intercom": {"token": "sandbox-intercom-token"},
    "formbricks": {"api_key": "fbk_sandbox", "webhook_secret": "whsec_c2FuZGJveC1zdXJ2ZXktd2ViaG9vaw=="},
    "hubspot": {"token": "pat-sandbox"},
    "salesforce": {
        "client_id": "sandbox-sales-client",
        "client_secret": "sandbox-sales-secret",
        "username": "scores@example.com",
    },
    "pipedrive": {
        "api_token": "sandbox-pipedrive-token",
        "client_id": "sandbox-pipedrive-client",
        "client_secret": "sandbox-pipedrive-secret",
        "refresh_token": "sandbox-pipedrive-refresh",
    },
    "slack": {"token": "xoxb-sandbox"},
}
"""Credential by system and name; GA4's service account and the keys of SendGrid and Salesforce are made per home."""

_SERVICE_ACCOUNT_FILE = "ga4_service_account.json"
_WEBHOOK_KEY_FILE = "sendgrid_webhook_key.pem"
_SALESFORCE_KEY_FILE = "salesforce_key.pem"
_MADE_PER_HOME = ("ga4.service_account", "sendgrid.webhook_public_key", "salesforce.private_key")


def credential(home: Path, system: str, name: str) -> str:
    """Return the credential the sandbox of ``home`` accepts for ``system``.

    Raises:
        ConfigurationError: The sandbox knows no such credential.
    """
    if (system, name) == ("ga4", "service_account"):
        return service_account(state_folder(home))
    if (system, name) == ("sendgrid", "webhook_public_key"):
        return webhook_public_key(state_folder(home))
    if (system, name) == ("salesforce", "private_key"):
        return salesforce_key(state_folder(home))
    try:
        return CREDENTIALS[system][name]
    except KeyError:
        known = ", ".join(sorted([*(f"{s}.{n}" for s, names in CREDENTIALS.items() for n in names), *_MADE_PER_HOME]))
        msg = f"the sandbox has no credential {system}.{name}; it has {known}"
        raise ConfigurationError(msg) from None


def service_account(state_dir: Path) -> str:
    """Return the GA4 service account of this state folder as JSON text, made on first use."""
    path = state_dir / _SERVICE_ACCOUNT_FILE
    if path.exists():
        return path.read_text(encoding="utf-8")
    return create_once(path, json.dumps(_new_service_account()))


def service_account_key(state_dir: Path) -> rsa.RSAPublicKey:
    """Return the public key that verifies what the service account signs."""
    pem = json.loads(service_account(state_dir))["private_key"].encode()
    private = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        msg = f"{state_dir / _SERVICE_ACCOUNT_FILE} does not hold an RSA key; delete the file to have a new one made"
        raise ConfigurationError(msg)
    return private.public_key()


def webhook_key(state_dir: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that signs SendGrid's event webhook for this state folder, made on first use."""
    path = state_dir / _WEBHOOK_KEY_FILE
    pem = path.read_text(encoding="utf-8") if path.exists() else create_once(path, _new_webhook_key())
    private = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        msg = f"{path} does not hold an elliptic curve key; delete the file to have a new one made"
        raise ConfigurationError(msg)
    return private


def webhook_public_key(state_dir: Path) -> str:
    """Return the public key of SendGrid's event webhook the way SendGrid shows it: DER in base64."""
    public = webhook_key(state_dir).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def salesforce_key(state_dir: Path) -> str:
    """Return the private key (PEM) that signs in to Salesforce for this state folder, made on first use."""
    path = state_dir / _SALESFORCE_KEY_FILE
    return path.read_text(encoding="utf-8") if path.exists() else create_once(path, _new_rsa_key())


def salesforce_public_key(state_dir: Path) -> rsa.RSAPublicKey:
    """Return the public key that verifies what the Salesforce key signs."""
    private = serialization.load_pem_private_key(salesforce_key(state_dir).encode(), password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        msg = f"{state_dir / _SALESFORCE_KEY_FILE} does not hold an RSA key; delete the file to have a new one made"
        raise ConfigurationError(msg)
    return private.public_key()


def _new_webhook_key() -> str:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def _new_rsa_key() -> str:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def _new_service_account() -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "scoring-sandbox",
        "private_key_id": "sandbox-1",
        "private_key": _new_rsa_key(),
        "client_email": "reader@scoring-sandbox.example.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
