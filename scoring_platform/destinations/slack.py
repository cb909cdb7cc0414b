"""Slack: posts messages and files.

Belongs here: the Web API calls and what their refusals mean. Does not belong here: the content (``reporting``), its
limits (``slack_limits``), sending once (``delivery``).

The bot token needs the scopes ``chat:write`` and ``files:write``, and the bot must be a member of the channel. Slack
takes about one message per second and channel. Posting is not idempotent: a call that may have been carried out is
never repeated here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry import HttpRequest, HttpResponse, RateLimitErrorRetryHandler, RetryHandler, RetryState

from scoring_platform.destinations.slack_limits import MAX_TEXT, clip, fit
from scoring_platform.errors import CredentialError, OutcomeUnknownError, PermanentError, SourceError, TransientError
from scoring_platform.http.client import MAX_WAIT
from scoring_platform.http.verdict import fit_words

Block = dict[str, Any]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CREDENTIAL = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"}
    | {"missing_scope", "no_permission"}
)
# Slack says of these that a part of the call may have been carried out.
_DOUBTFUL = frozenset({"fatal_error", "internal_error", "request_timeout"})
_THROTTLED = frozenset({"ratelimited", "rate_limited", "service_unavailable", "team_added_to_org"})
_ADVICE = {
    "channel_not_found": "set destinations.slack.channel to the id of a channel the bot can see",
    "not_in_channel": "invite the bot to the channel",
    "is_archived": "set destinations.slack.channel to a channel that is in use",
    "missing_scope": "give the app the scopes chat:write and files:write",
}


class Slack:
    """A workspace to post to.

    Args:
        endpoint: ``https://slack.com``, or a workspace on loopback.
        token: Bot token; asked for with the first call.
        timeout: Seconds one call may take.
        max_wait: Longest wait in seconds that Slack may ask for.
        sleep: How to wait.
    """

    def __init__(
        self,
        endpoint: str,
        token: Callable[[], str],
        *,
        timeout: int = 30,
        max_wait: float = MAX_WAIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._token = token
        self._timeout = timeout
        self._handlers: list[RetryHandler] = [_BoundedRateLimit(max_wait, sleep), _NotConnected(sleep)]
        self._client: WebClient | None = None

    def probe(self) -> str:
        """Check the token and say who it belongs to."""
        answer = self._call("auth.test", lambda client: client.auth_test(), repeatable=True)
        return f"slack answers as {answer.get('user')} in {answer.get('team')}"

    def post(self, channel: str, text: str, blocks: Sequence[Block] = (), *, thread_ts: str | None = None) -> str:
        """Post a message and return its ``ts``.

        Args:
            channel: Channel id.
            text: What notifications show, and the message when there are no blocks.
            blocks: Block Kit blocks; what exceeds Slack's limits is cut.
            thread_ts: Message to answer in a thread.

        Raises:
            OutcomeUnknownError: It may have been posted.
            CredentialError: The token is refused or lacks a scope.
            PermanentError: Slack refuses the message or the channel.
            TransientError: It was not posted; a later try may work.
        """
        answer = self._call(
            "chat.postMessage",
            lambda client: client.chat_postMessage(
                channel=channel,
                text=clip(text, MAX_TEXT),
                blocks=fit(blocks) or None,
                thread_ts=thread_ts,
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        return str(answer["ts"])

    def upload(
        self, channel: str, png: bytes, *, filename: str, title: str, alt_text: str, thread_ts: str | None = None
    ) -> str:
        """Share one picture in a channel and return its file id; errors as for ``post``."""
        answer = self._call(
            "files.upload",
            lambda client: client.files_upload_v2(
                channel=channel,
                content=png,
                filename=filename,
                title=title,
                alt_txt=alt_text,
                thread_ts=thread_ts,
            ),
        )
        return str(answer["files"][0]["id"])

    def _call(self, method: str, send: Callable[[WebClient], Any], *, repeatable: bool = False) -> Any:
        try:
            return send(self._connected()).data
        except SlackApiError as error:
            raise _refusal(method, error, repeatable=repeatable) from error
        except (OSError, HTTPException, ValueError) as error:
            raise _unanswered(method, error, repeatable=repeatable) from error
        except SlackClientError as error:
            msg = f"slack did not take the file at {method}: {fit_words(str(error))}"
            raise TransientError(msg) from error

    def _connected(self) -> WebClient:
        if self._client is None:
            client = WebClient(
                token=self._token(),
                base_url=f"{self._endpoint.rstrip('/')}/api/",
                timeout=self._timeout,
                retry_handlers=self._handlers,
            )
            if urlsplit(self._endpoint).hostname in _LOOPBACK:
                # The SDK takes a proxy from the environment even for an address on this machine.
                client.proxy = None
            self._client = client
        return self._client


class _BoundedRateLimit(RateLimitErrorRetryHandler):
    """Waits as long as Slack asks, up to a limit; a throttled call was not carried out."""

    def __init__(self, max_wait: float, sleep: Callable[[float], None]) -> None:
        super().__init__(max_retry_count=3)
        self._max_wait = max_wait
        self._sleep = sleep

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        throttled = super()._can_retry(state=state, request=request, response=response, error=error)
        return throttled and response is not None and _asked_wait(response) <= self._max_wait

    def prepare_for_next_attempt(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        state.next_attempt_requested = True
        self._sleep(_asked_wait(response) if response is not None else 1.0)
        state.increment_current_attempt()


class _NotConnected(RetryHandler):
    """Repeats what never reached Slack; a broken connection may have, so that is not repeated."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        super().__init__(max_retry_count=2)
        self._sleep = sleep

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        return response is None and error is not None and _never_sent(error)

    def prepare_for_next_attempt(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        state.next_attempt_requested = True
        self._sleep(2.0**state.current_attempt)
        state.increment_current_attempt()


def _asked_wait(response: HttpResponse) -> float:
    for name, values in response.headers.items():
        if name.lower() == "retry-after":
            value = values[0] if isinstance(values, list) else values
            return float(value) if str(value).isdigit() else 1.0
    return 1.0


def _never_sent(error: Exception) -> bool:
    reason = error.reason if isinstance(error, URLError) else error
    return isinstance(reason, ConnectionRefusedError | socket.gaierror)


def _refusal(method: str, error: SlackApiError, *, repeatable: bool) -> SourceError:
    answer = error.response
    status, data = answer.status_code, answer.data if isinstance(answer.data, dict) else {}
    code = str(data.get("error") or "no reason given")
    notes = (data.get("response_metadata") or {}).get("messages") or []
    if data.get("needed"):
        notes = [*notes, f"needed: {data['needed']}"]
    msg = f"slack refused {method}: {fit_words('; '.join([code, *map(str, notes)]))}"
    if code in _CREDENTIAL:
        return CredentialError(f"{msg}; {_ADVICE.get(code, 'set SCORING_SLACK_TOKEN to a valid bot token')}")
    if status == 429 or code in _THROTTLED:
        return TransientError(msg)
    if status >= 500 or code in _DOUBTFUL:
        return TransientError(msg) if repeatable else OutcomeUnknownError(f"{msg}; it may have been carried out")
    return PermanentError(f"{msg}; {_ADVICE[code]}" if code in _ADVICE else msg)


def _unanswered(method: str, error: Exception, *, repeatable: bool) -> SourceError:
    msg = f"slack gave no clear answer at {method} ({type(error).__name__})"
    if repeatable or _never_sent(error):
        return TransientError(msg)
    return OutcomeUnknownError(f"{msg}; it may have been carried out, so it is not repeated")
