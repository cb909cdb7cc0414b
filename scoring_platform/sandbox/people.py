"""The customers of the sandbox company and the truth about each.

Belongs here: who arrives when, and the traits their behaviour is drawn from. Does not belong here: what they do on a
given day.

Every customer has an own random generator, so nobody's traits depend on how many others there are or on the clock.
Purchases follow the assumptions of the models that are fitted to them: a Poisson rate mixed by a gamma, a lifetime
mixed by a gamma (Pareto/NBD), and spend per order gamma-gamma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring_platform.sandbox.days import DAY, HOUR, MINUTE, NEVER, opens_at

FIRST_YEAR_DAYS = 365
LAST_DAY = 3_650
"""Day number after which nobody buys any more; ten years after the opening."""

FIRST_REF = 7_000_000_000_000

RATE_SHAPE, RATE_DAYS = 1.2, 37.0
DROPOUT_SHAPE, DROPOUT_DAYS = 1.1, 140.0
SPEND_SHAPE, SPEND_MIX_SHAPE, SPEND_MIX_SCALE = 6.0, 4.0, 2_100.0

REGIONS = (
    "Tokyo",
    "Kanagawa",
    "Osaka",
    "Aichi",
    "Saitama",
    "Hyogo",
    "Fukuoka",
    "Hokkaido",
    "Kyoto",
    "Miyagi",
    "Okinawa",
)
_REGION_SHARES = (0.24, 0.13, 0.12, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.02)

_ARRIVALS, _TRAITS = 10, 11


@dataclass(frozen=True, slots=True)
class Person:
    """A customer account and its known truth.

    Attributes:
        index: Number of the account, in order of arrival.
        ref: The shop's customer id.
        email: Address of the account as typed; None for an account with only a telephone number.
        twin_of: Index of the earlier account of the same person, whose address this one spells differently.
        arrived_at: When the account was made.
        buyer: Whether the person ever buys.
        purchase_rate: Orders per day while active.
        lifetime_days: Days from the first order until the person drops out for good.
        mean_spend: Expected value of an order in JPY.
        mail_interest: Chance to open a mailing in person.
        web_interest: Chance to visit the site on a day.
        mail_since: When the person agreed to mailings; ``NEVER`` if not.
        tracking: Whether the person agreed to web tracking.
        mail_proxy: Whether a privacy proxy opens every mail first.
        attitude: Typical answer to the NPS question before rounding.
        region: Prefecture.
        locale: Language and country.
        purchases: When the person buys.
    """

    index: int
    ref: int
    email: str | None
    twin_of: int | None
    arrived_at: int
    buyer: bool
    purchase_rate: float
    lifetime_days: float
    mean_spend: float
    mail_interest: float
    web_interest: float
    mail_since: int
    tracking: bool
    mail_proxy: bool
    attitude: float
    region: str
    locale: str
    purchases: tuple[int, ...]

    @property
    def dropped_out_at(self) -> int:
        """When the person stopped buying for good; ``NEVER`` for who never bought."""
        return self.purchases[0] + int(self.lifetime_days * DAY) if self.purchases else NEVER


def arrivals(seed: int, day: int) -> int:
    """Return how many accounts are made on a day: many in the first year, then three to five for ever."""
    rng = np.random.default_rng([seed, _ARRIVALS, day])
    if day < FIRST_YEAR_DAYS:
        return int(rng.poisson(8.4 - 4.4 * day / FIRST_YEAR_DAYS))
    return int(rng.integers(3, 6))


def person(seed: int, index: int, *, day: int) -> Person:
    """Return the customer with this index, who arrives on ``day``."""
    rng = np.random.default_rng([seed, _TRAITS, index])
    arrived_at = opens_at(day) + int(rng.integers(7 * HOUR, 23 * HOUR + 40 * MINUTE))
    buyer = bool(rng.random() < 0.9)
    first_at = arrived_at + 3 * MINUTE if rng.random() < 0.87 else arrived_at + int(rng.exponential(60) * DAY)
    rate = float(rng.gamma(RATE_SHAPE, 1 / RATE_DAYS))
    lifetime = float(rng.exponential(1 / rng.gamma(DROPOUT_SHAPE, 1 / DROPOUT_DAYS)))
    local = "en-US" if rng.random() < 0.07 else "ja-JP"
    return Person(
        index=index,
        ref=FIRST_REF + index,
        email=_address(index),
        twin_of=twin_of(index),
        arrived_at=arrived_at,
        buyer=buyer,
        purchase_rate=rate,
        lifetime_days=lifetime,
        mean_spend=float(SPEND_SHAPE / rng.gamma(SPEND_MIX_SHAPE, 1 / SPEND_MIX_SCALE)),
        mail_interest=float(rng.beta(1.5, 2.2)),
        web_interest=float(rng.beta(1.6, 13.5)),
        mail_since=_mail_since(rng, index, arrived_at=arrived_at),
        tracking=bool(rng.random() < 0.85),
        mail_proxy=bool(rng.random() < 0.35),
        attitude=float(rng.normal(7.9, 1.9)),
        region=str(rng.choice(REGIONS, p=_REGION_SHARES)),
        locale=local,
        purchases=_purchases(rng, first_at, rate=rate, lifetime=lifetime) if buyer else (),
    )


def twin_of(index: int) -> int | None:
    """Return the earlier account of the same person, if the account with this index is a second one."""
    return index - 37 if index % 97 == 50 else None


def _address(index: int) -> str | None:
    if index % 131 == 77:
        return None
    first = twin_of(index)
    if first is None:
        domain = "example.com" if index % 3 == 0 else "example.jp"
        return f"kohi{index:05d}@{domain}"
    plain = f"kohi{first:05d}@{'example.com' if first % 3 == 0 else 'example.jp'}"
    return plain.upper() if (index // 97) % 2 else _full_width(plain)


def _full_width(address: str) -> str:
    name, domain = address.split("@")
    return "".join(chr(ord(letter) + 0xFEE0) for letter in name) + "@" + domain


def _mail_since(rng: np.random.Generator, index: int, *, arrived_at: int) -> int:
    agrees, later, delay = rng.random() < 0.74, rng.random() < 0.15, int(rng.exponential(60) * DAY)
    if _address(index) is None:
        return NEVER
    if agrees:
        return arrived_at
    return arrived_at + HOUR + delay if later else NEVER


def _purchases(rng: np.random.Generator, first_at: int, *, rate: float, lifetime: float) -> tuple[int, ...]:
    days = min(lifetime, max((opens_at(LAST_DAY) - first_at) / DAY, 0.0))
    later = np.sort(rng.uniform(0.0, days, size=int(rng.poisson(rate * days))))
    return (first_at, *(first_at + (later * DAY).astype(np.int64)).tolist())
