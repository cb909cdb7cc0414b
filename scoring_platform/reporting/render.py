"""The Jinja environment of the report and what its templates may call.

Belongs here: loading, escaping, shared values. Does not belong here: pages (``html``, ``email_body``).
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scoring_platform.reporting import palette
from scoring_platform.reporting.words import Edition


def _environment(*, escape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("scoring_platform.reporting"),
        autoescape=escape,  # noqa: S701 - off for text only; a page asks for escaping
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


# Everything from outside is escaped in HTML; a text mail has nothing to escape for.
_HTML = _environment(escape=True)
_TEXT = _environment(escape=False)


def render(template: str, edition: Edition, **values: Any) -> str:
    """Fill ``template``; only names ending in ``.html`` are HTML."""
    environment = _HTML if template.endswith(".html") else _TEXT
    return environment.get_template(template).render(
        edition=edition, data=edition.data, say=edition.say, formats=edition.formats, palette=palette, **values
    )
