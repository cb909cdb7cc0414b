"""Salesforce's way of signing in, asking and refusing, the same for reading and writing.

Belongs here: the two ways of signing in, the organisation's own address, SOQL, the daily allowance. Does not belong
here: which records are asked for (``sources.salesforce``) or written (``destinations.salesforce``).

A token answer names the address where calls go (``instance_url``) and no end of the token: one that a 401 refuses is
replaced once. Every answer says how much of the day's allowance the whole organisation has used.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scoring_platform.errors import BudgetExhaustedError, ConfigurationError, PermanentError
from scoring_platform.http.auth import Token, TokenAuth, refused_grant, signed_jwt
from scoring_platform.http.client import Answer, ApiClient
from scoring_platform.http.pages import paginate
from scoring_platform.http.verdict import Verdict, body_of

Login = Literal["client_credentials", "jwt"]
Record = Mapping[str, Any]

API_VERSION = "66.0"
CONCURRENT_WAIT = 5.0
"""Seconds after which one of the calls that were at work is likely done; Salesforce names no time."""

JWT_LIFETIME = 180
"""Seconds an assertion is good; the longest Salesforce accepts."""

_SYSTEM = "salesforce"
_TOKEN = "/services/oauth2/token"  # noqa: S105 - an address
_SECRETS: dict[Login, tuple[str, ...]] = {
    "client_credentials": ("client_id", "client_secret"),
    "jwt": ("client_id", "username", "private_key"),
}
_USAGE = re.compile(r"\bapi-usage=(\d+)/(\d+)")


class Session:
    """Calls to one organisation, signed in with the first of them.

    Args:
        endpoint: My Domain address of the organisation.
        credential: Gives ``client_id`` with ``client_secret``, or with ``username`` and ``private_key``.
        login: Which of the two.
        api_version: Such as ``66.0``.
        reserve: Share of the daily allowance that is left to the organisation's other programs.
        timeout: Seconds to wait for an answer.
        attempts: Tries per call.
    """

    def __init__(
        self,
        endpoint: str,
        credential: Callable[[str], str],
        *,
        login: Login = "client_credentials",
        api_version: str = API_VERSION,
        reserve: float = 0.0,
        timeout: float = 30.0,
        attempts: int = 5,
    ) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._login = login
        self._base = f"/services/data/v{api_version}"
        self._reserve = reserve
        self._timeout = timeout
        self._attempts = attempts
        self._client: ApiClient | None = None
        self._fresh: Token | None = None
        self._usage: tuple[int, int] | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def request(self, method: str, path: str, *, finishing: bool = False, **details: Any) -> Answer:
        """Send one call to ``path`` below the API's version; see ``ApiClient.request`` for the rest.

        Args:
            method: HTTP method.
            path: What follows the version.
            finishing: The call ends what was begun, so it may use the reserve: leaving off would cost more later.
            details: As ``ApiClient.request`` takes them.

        Raises:
            BudgetExhaustedError: The allowance of the day is used up but for the reserve.
        """
        if not finishing:
            self._require_allowance()
        return self._call(method, f"{self._base}{path}", details)

    def query(self, soql: str) -> Iterator[list[Record]]:
        """Yield the records that ``soql`` finds, page by page."""
        where = "salesforce GET /query"
        pages = paginate(
            _result(self.request("GET", "/query", params={"q": soql})),
            lambda page: page.get("nextRecordsUrl"),
            fetch=lambda url: _result(self._call("GET", url, {})),
            rows_of=lambda page: page["records"],
            where=where,
        )
        for page in pages:
            yield page["records"]

    def count(self, sobject: str) -> int:
        """Return how many records of a kind there are."""
        soql = f"SELECT COUNT() FROM {sobject}"  # noqa: S608 - the name of a kind of record, from our code
        return int(_result(self.request("GET", "/query", params={"q": soql}))["totalSize"])

    def _call(self, method: str, path: str, details: Mapping[str, Any]) -> Answer:
        answer = self._signed_in().request(method, path, **details)
        found = _USAGE.search(answer.headers.get("Sforce-Limit-Info", ""))
        if found:
            self._usage = int(found[1]), int(found[2])
        return answer

    def _require_allowance(self) -> None:
        if self._usage is None or not self._reserve:
            return
        used, allowed = self._usage
        if used >= allowed * (1 - self._reserve):
            msg = (
                f"{_SYSTEM}: no call was made: {used} of the organisation's {allowed} calls a day are used, and "
                f"{self._reserve:.0%} are left to other programs (reserve). Run again when calls of 24 hours ago no "
                "longer count"
            )
            raise BudgetExhaustedError(msg)

    def _signed_in(self) -> ApiClient:
        if self._client is None:
            self._fresh, address = self._sign_in()
            self._client = ApiClient(
                _SYSTEM,
                address,
                auth=TokenAuth(self._token),
                timeout=self._timeout,
                attempts=self._attempts,
                classify=classify,
                secrets=_SECRETS[self._login],
            )
        return self._client

    def _token(self) -> Token:
        token, self._fresh = self._fresh, None
        return token or self._sign_in()[0]

    def _sign_in(self) -> tuple[Token, str]:
        """Return a token and the address where it is good."""
        secrets = _SECRETS[self._login]
        grant = self._grant()
        with ApiClient(
            _SYSTEM,
            self._endpoint,
            timeout=self._timeout,
            attempts=self._attempts,
            classify=lambda response: classify(response) or refused_grant(response),
            secrets=secrets,
        ) as client:
            body = client.request("POST", _TOKEN, data=grant).json
        given = body if isinstance(body, dict) else {}
        token, address = given.get("access_token"), given.get("instance_url")
        if not isinstance(token, str) or not isinstance(address, str) or not token or not address:
            msg = f"{_SYSTEM} answered a token request without an access_token and an instance_url"
            raise PermanentError(msg)
        return Token(token), address

    def _grant(self) -> dict[str, str]:
        if self._login == "client_credentials":
            secrets = {name: self._credential(name) for name in _SECRETS[self._login]}
            return {"grant_type": "client_credentials", **secrets}
        claims = {
            "iss": self._credential("client_id"),
            "sub": self._credential("username"),
            "aud": audience(self._endpoint),
            "exp": int(time.time()) + JWT_LIFETIME,
        }
        assertion = signed_jwt(_private_key(self._credential("private_key")), claims)
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


def classify(response: httpx.Response) -> Verdict | None:
    """Judge Salesforce's own answers: a 403 may be a spent allowance, or too many calls at once."""
    told = [one for one in errors_in(body_of(response)) if one.get("errorCode") == "REQUEST_LIMIT_EXCEEDED"]
    if told:
        concurrent = "concurrent" in str(told[0].get("message")).lower()
        return Verdict("throttled", wait=CONCURRENT_WAIT) if concurrent else Verdict("exhausted")
    return None


def errors_in(body: Any) -> list[Mapping[str, Any]]:
    """Return the errors of a refusal; none when the body is something else."""
    listed = body if isinstance(body, list) else []
    return [one for one in listed if isinstance(one, dict) and "errorCode" in one]


def field(record: Record, name: str) -> Any:
    """Return a field of a record; the names of fields know no case."""
    if name in record:
        return record[name]
    return next((value for key, value in record.items() if key.lower() == name.lower()), None)


def quoted(text: str) -> str:
    """Return ``text`` as a SOQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + "'"


def listed(values: Sequence[str]) -> str:
    """Return ``values`` as the list of a SOQL ``IN``."""
    return "(" + ",".join(quoted(value) for value in values) + ")"


def audience(endpoint: str) -> str:
    """Return who has to accept an assertion: Salesforce's sign-in for production or for sandboxes."""
    is_sandbox = (
        ".sandbox." in f".{urlsplit(endpoint).hostname}." or urlsplit(endpoint).hostname == "test.salesforce.com"
    )
    return "https://test.salesforce.com" if is_sandbox else "https://login.salesforce.com"


def _private_key(pem: str) -> rsa.RSAPrivateKey:
    msg = "SCORING_SALESFORCE_PRIVATE_KEY must hold the RSA private key (PEM) whose certificate the app was given"
    try:
        # In a variable of one line, line ends are often written out.
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError):
        # Not chained: the parser's message may quote the key.
        raise ConfigurationError(msg) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError(msg)
    return key


def _result(answer: Answer) -> dict[str, Any]:
    body = answer.json
    if not isinstance(body, dict) or not isinstance(body.get("records"), list) or "totalSize" not in body:
        msg = f"{_SYSTEM} answered a query in a shape it does not document; check api_version"
        raise PermanentError(msg)
    return body
