"""The sandbox company: one object that every vendor module is given.

Belongs here: what the vendors share (population, clock, state folder, limits, faults). Does not belong here: any
vendor's protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from scoring_platform.sandbox.clock import Clock
from scoring_platform.sandbox.credentials import CREDENTIALS
from scoring_platform.sandbox.faults import Faults
from scoring_platform.sandbox.limits import Limits
from scoring_platform.sandbox.population import DEFAULT_SEED, Population
from scoring_platform.sandbox.tokens import Tokens


@dataclass
class Company:
    """A small coffee shop with its vendors' accounts.

    Attributes:
        state_dir: Folder of everything the sandbox keeps, ``home/sandbox``.
        population: The customers and what they do.
        clock: What "now" is.
        limits: The vendors' allowances.
        faults: Trouble to be made on purpose, and the count of requests.
        credentials: What clients must present, by system and name.
    """

    state_dir: Path
    population: Population
    clock: Clock
    limits: Limits = field(default_factory=Limits)
    faults: Faults = field(default_factory=Faults)
    credentials: dict[str, dict[str, str]] = field(default_factory=lambda: CREDENTIALS)
    tokens: Tokens = field(default_factory=Tokens)

    @classmethod
    def open(
        cls, state_dir: Path, *, seed: int = DEFAULT_SEED, limits: Limits | None = None, wholesale: int = 0
    ) -> Company:
        """Open the company whose state is in ``state_dir``, made if missing, with ``wholesale`` orders more."""
        state_dir.mkdir(parents=True, exist_ok=True)
        clock = Clock(state_dir / "clock.json")
        population = Population(seed=seed, wholesale=wholesale)
        return cls(state_dir=state_dir, population=population, clock=clock, limits=limits or Limits())

    def now(self) -> datetime:
        """Return the moment the company lives in, UTC."""
        return self.clock.now()

    def instant(self) -> int:
        """Return the moment the company lives in, in seconds, with everything up to it having happened."""
        instant = self.clock.instant()
        self.population.reach(instant)
        return instant

    def crm_seed(self, count: int = 150) -> tuple[str, ...]:
        """Return e-mail addresses of customers who were in the CRM before the platform."""
        return self.population.early_addresses(count)
