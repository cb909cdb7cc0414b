"""Where a configured system answers and with which secrets: production, or this home's sandbox.

Belongs here: turning `endpoint: sandbox` into an address. Does not belong here: clients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scoring_platform.config.base import SANDBOX
from scoring_platform.errors import TransientError
from scoring_platform.sandbox import connection as sandbox
from scoring_platform.settings import Settings


@dataclass(frozen=True)
class SystemEndpoint:
    """An address and the secrets for it; ``credential`` raises ConfigurationError when one is missing."""

    url: str
    credential: Callable[[str], str]


def resolve(settings: Settings, system: str, endpoint: str) -> SystemEndpoint:
    """Return where ``system`` answers.

    Raises:
        TransientError: It is the sandbox, and none is running for this home.
    """
    if endpoint != SANDBOX:
        return SystemEndpoint(endpoint, lambda name: settings.credential(system, name))
    url = running_sandbox(settings).url(system)
    return SystemEndpoint(url, lambda name: sandbox.credential(settings.home, system, name))


def running_sandbox(settings: Settings) -> sandbox.Endpoint:
    """Return the sandbox of this home.

    Raises:
        TransientError: It does not answer.
    """
    found = sandbox.find(settings.home)
    if found is None:
        msg = f"the sandbox of {settings.home} does not answer; start it with: scoring-platform sandbox"
        raise TransientError(msg)
    return found


def uses_sandbox(settings: Settings) -> bool:
    """Return whether any configured system is the sandbox."""
    config = settings.config
    systems = [getattr(config.sources, name) for name in type(config.sources).model_fields]
    systems += [getattr(config.destinations, name) for name in type(config.destinations).model_fields]
    return any(SANDBOX in (getattr(system, "endpoint", None), getattr(system, "host", None)) for system in systems)
