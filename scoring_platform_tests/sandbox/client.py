"""A plain client of the sandbox's vendors, so that these tests do not lean on the platform's own sources."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from scoring_platform.sandbox.credentials import CREDENTIALS, service_account

GRAPHQL = "/shopify/admin/api/2026-07/graphql.json"
EVENTS = "/klaviyo/api/events"
TICKETS = "/zendesk/api/v2/incremental/tickets/cursor"
RESPONSES = "/formbricks/api/v2/management/responses"
REPORT = "/ga4/v1beta/properties/1:runReport"
OPENED = 1759244400
"""2025-10-01T00:00:00+09:00."""

ORDERS = """query($n: Int!, $after: String, $q: String) {
  orders(first: $n, after: $after, query: $q, sortKey: UPDATED_AT) {
    nodes { legacyResourceId createdAt updatedAt cancelledAt test currencyCode displayFinancialStatus email
      totalPriceSet { shopMoney { amount } } totalRefundedSet { shopMoney { amount } }
      customer { legacyResourceId }
      lineItems(first: 10) { nodes { id quantity discountedTotalSet { shopMoney { amount } } } } }
    pageInfo { hasNextPage endCursor } } }"""

CUSTOMERS = """query($n: Int!, $after: String, $q: String) {
  customers(first: $n, after: $after, query: $q, sortKey: UPDATED_AT) {
    nodes { legacyResourceId createdAt updatedAt locale
      defaultEmailAddress { emailAddress marketingState marketingUpdatedAt }
      metafield(namespace: "consent", key: "tracking") { value } }
    pageInfo { hasNextPage endCursor } } }"""


@dataclass
class Client:
    """Asks each vendor with its own credential; a token is asked for once."""

    http: httpx.Client
    state_dir: Path

    @cached_property
    def shopify_headers(self) -> dict[str, str]:
        grant = {"grant_type": "client_credentials", **CREDENTIALS["shopify"]}
        token = self.http.post("/shopify/admin/oauth/access_token", data=grant).json()["access_token"]
        return {"X-Shopify-Access-Token": token}

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        sent = {"query": query, "variables": variables or {}}
        answer: dict[str, Any] = self.http.post(GRAPHQL, json=sent, headers=self.shopify_headers).json()
        return answer

    def pages(self, query: str, field: str, search: str | None = None, *, size: int = 100) -> Iterator[list[Any]]:
        after, more = None, True
        while more:
            page = self.graphql(query, {"n": size, "after": after, "q": search})["data"][field]
            yield page["nodes"]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    def orders(self, search: str | None = None, *, size: int = 100) -> list[Any]:
        return [node for page in self.pages(ORDERS, "orders", search, size=size) for node in page]

    def klaviyo_headers(self) -> dict[str, str]:
        return {"Authorization": f"Klaviyo-API-Key {CREDENTIALS['klaviyo']['api_key']}", "revision": "2026-07-15"}

    def events(self, **params: str) -> Iterator[dict[str, Any]]:
        link: str | None = EVENTS
        while link:
            page = self.http.get(link, params=params or None, headers=self.klaviyo_headers()).json()
            yield page
            link, params = page["links"]["next"], {}

    @cached_property
    def ga4_headers(self) -> dict[str, str]:
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self.assertion()}
        return {"Authorization": f"Bearer {self.http.post('/ga4/token', data=grant).json()['access_token']}"}

    def assertion(self, **claims: Any) -> str:
        account, now = json.loads(service_account(self.state_dir)), int(time.time())
        told = {
            "iss": account["client_email"],
            "scope": "https://www.googleapis.com/auth/analytics.readonly",
            "aud": "https://oauth2.googleapis.com/token",
            "iat": now,
            "exp": now + 3600,
            **claims,
        }
        head = f"{_packed({'alg': 'RS256', 'typ': 'JWT'})}.{_packed(told)}"
        key = serialization.load_pem_private_key(account["private_key"].encode(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        signature = key.sign(head.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    def report(self, first: str, last: str, **more: Any) -> httpx.Response:
        asked = {
            "dateRanges": [{"startDate": first, "endDate": last}],
            "dimensions": [{"name": "date"}, {"name": "customUser:crm_id"}, {"name": "sessionCampaignName"}],
            "metrics": [{"name": "sessions"}, {"name": "keyEvents"}],
            **more,
        }
        return self.http.post(REPORT, json=asked, headers=self.ga4_headers)

    @cached_property
    def zendesk_headers(self) -> dict[str, str]:
        grant = {"grant_type": "client_credentials", "scope": "read", **CREDENTIALS["zendesk"]}
        return {"Authorization": f"Bearer {self.http.post('/zendesk/oauth/tokens', json=grant).json()['access_token']}"}

    def tickets(self, *, size: int = 1000) -> Iterator[dict[str, Any]]:
        params, ended = {"start_time": str(OPENED)}, False
        while not ended:
            shaped = {**params, "per_page": str(size), "include": "users,metric_sets"}
            page = self.http.get(TICKETS, params=shaped, headers=self.zendesk_headers).json()
            yield page
            params, ended = {"cursor": page["after_cursor"]}, page["end_of_stream"]

    def responses(self, **params: str) -> dict[str, Any]:
        headers = {"x-api-key": CREDENTIALS["formbricks"]["api_key"]}
        answer: dict[str, Any] = self.http.get(RESPONSES, params=params, headers=headers).json()
        return answer


def _packed(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
