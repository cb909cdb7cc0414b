"""How a sender of one's own signs its webhooks, as it is described in ``scoring.yaml``.

Belongs here: the keys of the description and what they must say together. Does not belong here: checking a signature
(``webhooks.signatures``), where a body holds our values (``webhooks``, ``nps``).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from scoring_platform.config.base import Section

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


class Signing(Section):
    """How a sender signs."""

    scheme: Literal["hmac", "standard"] = Field(
        "hmac", description="`standard`: Standard Webhooks with a whsec_ secret; the keys up to `signed` are of hmac"
    )
    header: HeaderName = Field("X-Signature", description="Header with the signature")
    algorithm: Literal["sha256", "sha1", "sha512"] = Field("sha256", description="Hash of the HMAC")
    encoding: Literal["hex", "base64"] = Field("hex", description="How the signature is written")
    prefix: str = Field("", description="What stands before the signature, such as sha256=")
    timestamp_header: HeaderName | None = Field("X-Timestamp", description="Header with the signed time, Unix seconds")
    id_header: HeaderName | None = Field(None, description="Header with the signed id of the message")
    signed: str | None = Field(
        None, description="What is signed, by default {timestamp}.{body}, or {body} without a timestamp_header"
    )

    @property
    def template(self) -> str:
        """What is signed."""
        return self.signed or ("{timestamp}.{body}" if self.timestamp_header else "{body}")

    @model_validator(mode="after")
    def _signs_what_it_uses(self) -> Signing:
        named = _PLACEHOLDER.findall(self.template)
        given = {"body": True, "timestamp": self.timestamp_header is not None, "id": self.id_header is not None}
        if named.count("body") != 1 or not set(named) <= set(given):
            msg = f"signed: {self.template!r} must name {{body}} once, and besides it only {{timestamp}} and {{id}}"
            raise ValueError(msg)
        for name, has_header in given.items():
            if has_header != (name in named):
                said = f"signed names {{{name}}} but there is no {name}_header"
                msg = f"{name}_header is given but not signed, so anybody could change it" if has_header else said
                raise ValueError(msg)
        return self
