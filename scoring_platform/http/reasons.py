"""Why a call got no answer, in words a person can act on.

Belongs here: telling an unknown host from a closed port and from a certificate nobody vouches for. Does not belong
here: whether the call is repeated (``client``).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx

from scoring_platform.http.bodies import EndlessAnswerError


def why_unanswered(error: httpx.RequestError, host: str, *, timeout: float) -> tuple[str, str]:
    """Return what happened and, where a person can mend it, what to look at."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"was not reached: nobody knows the host {host}", "check the endpoint in scoring.yaml"
        if isinstance(cause, ssl.SSLCertVerificationError):
            problem = " ".join(str(cause.verify_message).split())
            return f"has a certificate that is not trusted ({problem})", "check the endpoint in scoring.yaml"
        if isinstance(cause, ConnectionRefusedError):
            words = "check that it runs, and the endpoint in scoring.yaml"
            return f"broke the connection ({type(error).__name__}: {host} refuses it)", words
    if isinstance(error, EndlessAnswerError):
        return str(error), ""
    if isinstance(error, httpx.TimeoutException):
        return f"did not answer within {timeout:g} s", ""
    return f"broke the connection ({type(error).__name__})", ""


def sent_elsewhere(response: httpx.Response) -> str:
    """Return the host a redirection leads to; never its path or query, which may hold secrets."""
    try:
        host = httpx.URL(response.headers.get("Location", "")).host
    except httpx.InvalidURL:
        host = ""
    return host or "another address"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
