"""The strict base of every configuration section, and the kinds of values that sections share.

Belongs here: what several sections are written in. Does not belong here: any section's own keys.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict

SANDBOX = "sandbox"
"""Endpoint value that means: this home's own sandbox company on loopback."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Section(BaseModel):
    """A frozen section of ``scoring.yaml``; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class SourceSection(Section):
    """The section of one source below ``sources``.

    Attributes:
        gives: Raw tables the source fills.
        whole: Those of them of which every extract is the full picture, so that what it no longer has is gone.
    """

    gives: ClassVar[frozenset[str]] = frozenset()
    whole: ClassVar[frozenset[str]] = frozenset()


def _known_zone(value: str) -> str:
    if value not in available_timezones():
        msg = f"{value!r} is not a time zone name; use one such as Asia/Tokyo or Europe/Berlin"
        raise ValueError(msg)
    ZoneInfo(value)
    return value


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    if value == SANDBOX or parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return value.rstrip("/")
    msg = f"{value!r} is not an endpoint; use https://… (http:// only on loopback) or {SANDBOX!r}"
    raise ValueError(msg)


def _plain(value: str) -> str:
    if any(unicodedata.category(sign) == "Cc" for sign in value):
        msg = f"{value!r} has a control character (such as a line break or a tab) in it; write it without"
        raise ValueError(msg)
    return value


PlainText = Annotated[str, AfterValidator(_plain)]
"""A text on one line."""

ZoneName = Annotated[str, AfterValidator(_known_zone)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Cadence = Literal["daily", "weekly", "monthly", "once"]
