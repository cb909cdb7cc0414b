"""The one HTTP client of all sources and destinations.

Belongs here: sending, timeouts, bounded retries, and turning answers into the platform's errors by consequence.
Does not belong here: what a vendor's status or body means beyond the common rules (``classify`` and ``check``), tokens
(``auth``), pages (``pages``).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import httpx
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from scoring_platform.errors import (
    BudgetExhaustedError,
    ConfigurationError,
    CredentialError,
    OutcomeUnknownError,
    PermanentError,
    SourceError,
    TransientError,
)
from scoring_platform.http.bodies import read_whole
from scoring_platform.http.clocks import note_clock
from scoring_platform.http.limits import RateLimit
from scoring_platform.http.reasons import sent_elsewhere, why_unanswered
from scoring_platform.http.verdict import (
    Verdict,
    body_of,
    default_verdict,
    fit_words,
    is_html,
    reasons_in,
    vendor_words,
)

OK = frozenset({200, 201, 202, 204})
"""Statuses that count as success unless a call says otherwise."""

MAX_WAIT = 60.0
"""Seconds one wait may take at most; a vendor that asks for more ends the call."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_NOT_THERE = frozenset({httpx.codes.NOT_FOUND, httpx.codes.GONE})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

_log = logging.getLogger(__name__)

# httpx logs whole addresses, query included, at INFO; those may carry personal data.
logging.getLogger("httpx").setLevel(logging.WARNING)


def log_retry(details: RetryDetails) -> None:
    """Log why a call is repeated and when."""
    _log.warning("%s; attempt %d follows in %.1f s", details.caused_by, details.retry_num + 1, details.wait_for)


# Otherwise stamina prints to standard output whenever structlog is installed, in between a command's JSON.
set_on_retry_hooks([log_retry])


class _Repeat(Exception):  # noqa: N818 - a signal to the retry loop; callers only ever see its `final`
    """One attempt failed in a way that may be repeated; ``final`` is what the caller gets when none is left."""

    def __init__(self, final: SourceError, wait: float | None) -> None:
        super().__init__(str(final))
        self.final = final
        self.wait = wait


@dataclass(frozen=True)
class Answer:
    """A successful answer; ``json`` is None when the body is empty."""

    status: int
    headers: Mapping[str, str]
    json: Any


@dataclass(frozen=True)
class _Call:
    name: str
    idempotent: bool
    ok: frozenset[int]
    check: Callable[[Answer], None] | None
    reads: Callable[[str], Any] | None


class ApiClient:
    """Calls one system.

    Args:
        system: Name used in messages and in the names of credentials, such as ``shopify``.
        base_url: Address that paths are appended to; https, or http on loopback.
        headers: Sent with every call.
        auth: How calls are authenticated (see ``http.auth``).
        timeout: Seconds to connect, and to wait for each part of an answer.
        attempts: Tries per call, the first included.
        rate: Our own brake.
        classify: The vendor's rules: a verdict for an answer, or None to use the common ones. It sees every answer,
            a 200 too.
        max_wait: Longest single wait in seconds; when a vendor asks for more the call fails at once.
        secrets: Names of the credentials in use, such as ``("api_key",)``, to say which variable to set.
        longest: Seconds for one whole answer, however steadily its parts come; by default ten minutes.

    Raises:
        ConfigurationError: ``base_url`` is neither https nor on loopback.
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | None = None,
        timeout: float = 30.0,
        attempts: int = 5,
        rate: RateLimit | None = None,
        classify: Callable[[httpx.Response], Verdict | None] | None = None,
        max_wait: float = MAX_WAIT,
        secrets: Sequence[str] = (),
        longest: float | None = None,
    ) -> None:
        self.system = system
        self._base = _checked_base(system, base_url)
        self._attempts = attempts
        self._timeout = timeout
        self._longest = longest
        self._rate = rate
        self._classify = classify
        self._max_wait = max_wait
        self._variables = " and ".join(f"SCORING_{system}_{name}".upper() for name in secrets)
        self._http = httpx.Client(
            headers={"Accept": "application/json", "User-Agent": "scoring-platform", **(headers or {})},
            auth=auth,
            timeout=httpx.Timeout(timeout),
            follow_redirects=False,
            verify=_trust(),
            # A proxy of the environment must never stand between us and our own machine.
            trust_env=httpx.URL(base_url).host not in _LOOPBACK,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = True,
        ok: frozenset[int] = OK,
        check: Callable[[Answer], None] | None = None,
        reads: Callable[[str], Any] | None = None,
    ) -> Answer:
        """Send one call and return its answer once it counts as success.

        Args:
            method: HTTP method.
            path: Path under the base address, or an absolute address on the same host (a vendor's next link).
            json: Body sent as JSON.
            data: Body sent as a form.
            content: Body sent as it is; say what it is in ``headers``.
            params: Query; never shown in messages.
            headers: Further headers.
            idempotent: Whether repeating a call that may have been carried out does no harm. When not, only calls that
                surely were not carried out (no connection, throttled) are repeated.
            ok: Statuses that count as success.
            check: Body-level check of a successful answer; raises one of the platform's errors.
            reads: Turns the text of a successful answer that is no JSON, such as a CSV file, into ``Answer.json``;
                raises ValueError for one that is damaged, which is asked for again.

        Raises:
            CredentialError: 401, or a 403 that is no throttle.
            PermanentError: The call is wrong, or the answer makes no sense.
            BudgetExhaustedError: The daily allowance is used up.
            OutcomeUnknownError: Not idempotent, and it is unknown whether it was carried out.
            TransientError: Still failing after the last attempt, or the vendor asks for a longer wait than allowed.
        """
        url = self._url(path)
        call = _Call(f"{method} {_shown(url)}", idempotent, ok, check, reads)
        request = self._http.build_request(
            method, url, json=json, data=data, content=content, params=params, headers=headers
        )
        try:
            for attempt in stamina.retry_context(on=_backoff, attempts=self._attempts, timeout=None, wait_max=30.0):
                with attempt:
                    return self._attempt(request, call)
        except _Repeat as last:
            # The chain would show the inner signal first; the cause that matters is in the message.
            raise self._given_up(last.final) from last.__cause__
        msg = f"{self.system} was never called at {call.name}: attempts must be at least 1, not {self._attempts}"
        raise ConfigurationError(msg)

    def _attempt(self, request: httpx.Request, call: _Call) -> Answer:
        if self._rate is not None:
            self._rate.take()
        try:
            response = read_whole(self._http.send(request, stream=True), system=self.system, longest=self._longest)
        except httpx.RequestError as error:
            raise self._unanswered(error, call) from error
        note_clock(response.headers)
        verdict = self._classify(response) if self._classify else None
        verdict = verdict or default_verdict(response, call.ok)
        if verdict.kind != "ok":
            raise self._refused(response, verdict, call)
        answer = Answer(response.status_code, response.headers, self._parsed(response, call))
        return self._checked(answer, call)

    def _checked(self, answer: Answer, call: _Call) -> Answer:
        if call.check is None:
            self._refuse_error_inside(answer, call)
            return answer
        try:
            call.check(answer)
        except TransientError as error:
            if call.idempotent:
                raise _Repeat(error, None) from error
            raise
        return answer

    def _parsed(self, response: httpx.Response, call: _Call) -> Any:
        if not response.content and response.status_code != httpx.codes.OK:
            return None
        if call.reads is not None and not is_html(response):
            return self._read(response.text, call.reads, call=call)
        body = body_of(response)
        if body is not None or response.text.strip() == "null":
            return body
        kind = response.headers.get("Content-Type", "").split(";")[0] or "no content type"
        got = kind if is_html(response) or "json" not in kind else "malformed JSON"
        msg = f"{self.system} answered {got} instead of JSON at {call.name}; check the endpoint if it stays so"
        raise self._again(PermanentError(msg), call, msg=msg)

    def _read(self, text: str, reads: Callable[[str], Any], *, call: _Call) -> Any:
        try:
            return reads(text)
        except ValueError as error:
            msg = f"{self.system} answered a damaged file at {call.name}: {error}"
            raise self._again(PermanentError(msg), call, msg=msg) from error

    def _refuse_error_inside(self, answer: Answer, call: _Call) -> None:
        """Take an error in a success for what it is: read as data it would look like the end of a listing."""
        error = answer.json.get("error") if isinstance(answer.json, dict) else None
        if error:
            words = fit_words(reasons_in(answer.json))
            msg = f"{self.system} answered {answer.status} with an error at {call.name}: {words or 'no reason given'}"
            raise self._again(PermanentError(msg), call, msg=msg)

    def _unanswered(self, error: httpx.RequestError, call: _Call) -> Exception:
        reason, advice = why_unanswered(error, error.request.url.host, timeout=self._timeout)
        msg = f"{self.system} {reason} at {call.name}" + (f"; {advice}" if advice else "")
        if isinstance(error, _NOT_SENT):
            return _Repeat(TransientError(msg), None)
        return self._again(TransientError(msg), call, msg=msg)

    def _again(self, final: SourceError, call: _Call, *, msg: str, wait: float | None = None) -> Exception:
        if call.idempotent:
            return _Repeat(final, wait)
        return OutcomeUnknownError(f"{msg}; it may have been carried out, so it is not repeated")

    def _refused(self, response: httpx.Response, verdict: Verdict, call: _Call) -> Exception:
        words = fit_words(verdict.words) if verdict.words is not None else vendor_words(response)
        msg = f"{self.system} answered {response.status_code} at {call.name}" + (f": {words}" if words else "")
        if verdict.kind == "credential":
            return CredentialError(f"{msg}. {self._advice(response)}")
        if verdict.kind == "exhausted":
            return BudgetExhaustedError(f"{msg}. The daily allowance is used up; run again after its reset")
        if verdict.kind == "permanent":
            return PermanentError(f"{msg}{self._whereabouts(response)}")
        if verdict.wait is not None and verdict.wait > self._max_wait:
            msg += f"; asked to wait {verdict.wait:.0f} s, longer than the {self._max_wait:g} s allowed"
            return TransientError(f"{msg}; run again after that")
        if verdict.kind == "throttled":
            return _Repeat(TransientError(msg), verdict.wait)
        return self._again(TransientError(msg), call, msg=msg, wait=verdict.wait)

    def _given_up(self, final: SourceError) -> SourceError:
        # A vendor's own subclass carries its message already.
        if type(final) is not TransientError:
            return final
        return TransientError(f"{final}; still so after {self._attempts} attempts: run again later")

    def _whereabouts(self, response: httpx.Response) -> str:
        """What to look at when the address itself seems wrong."""
        keys = f"the endpoint and the names and ids of {self.system} in scoring.yaml"
        if response.is_redirect:
            return f". It sends calls on to {sent_elsewhere(response)}, which are not followed: check {keys}"
        return f". Check {keys}" if response.status_code in _NOT_THERE else ""

    def _advice(self, response: httpx.Response) -> str:
        variables = self._variables or f"SCORING_{self.system}_…".upper()
        if response.status_code == httpx.codes.FORBIDDEN:
            return f"Give the account behind {variables} the missing permission"
        return f"Set {variables} to a valid credential"

    def _url(self, path: str) -> httpx.URL:
        absolute = path.startswith(("http://", "https://"))
        try:
            url = httpx.URL(path if absolute else f"{self._base}/{path.lstrip('/')}")
        except httpx.InvalidURL as error:
            msg = f"{self.system} gave a link that is no address"
            raise PermanentError(msg) from error
        base = httpx.URL(self._base)
        # A link to another host would carry our credentials there.
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            msg = f"{self.system} gave a link to {url.host}, not to {base.host}; it is not followed"
            raise PermanentError(msg)
        return url


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """The certificates we trust, loaded once: that takes longer than most calls on loopback."""
    return httpx.create_ssl_context()


def _backoff(error: Exception) -> bool | float:
    if not isinstance(error, _Repeat):
        return False
    return True if error.wait is None else error.wait


def _shown(url: httpx.URL) -> str:
    """The path without anything personal: no query, no part that is an e-mail address."""
    return "/".join("…" if "@" in part else part for part in url.path.split("/"))


def _checked_base(system: str, base_url: str) -> str:
    url = httpx.URL(base_url)
    if url.scheme == "https" or (url.scheme == "http" and url.host in _LOOPBACK):
        return base_url.rstrip("/")
    msg = f"The endpoint of {system} must start with https:// (http:// only on loopback), not {url.scheme}://{url.host}"
    raise ConfigurationError(msg)
