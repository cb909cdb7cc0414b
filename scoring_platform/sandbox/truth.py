"""The known truth about the sandbox's customers as a table, to hold estimates against.

Belongs here: the table. Does not belong here: how the truth is drawn (``people``). It is a module of its own because
the server, which has no use for it, starts a second faster without pandas.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from scoring_platform.sandbox.days import NEVER
from scoring_platform.sandbox.people import Person
from scoring_platform.sandbox.population import Population


def truth(population: Population, through: date) -> pd.DataFrame:
    """Return the known truth about the customers who arrived up to ``through``, one row each.

    ``purchase_rate`` is in orders per day while active, ``mean_spend`` in JPY per order; ``dropped_out_at`` is missing
    for who never buys and may lie in the future. Instants are UTC.
    """
    return pd.DataFrame.from_records([_row(who) for who in population.accounts(through)])


def _row(who: Person) -> dict[str, object]:
    return {
        "customer_ref": str(who.ref),
        "email": who.email,
        "arrived_at": np.datetime64(who.arrived_at, "s"),
        "buyer": bool(who.purchases),
        "purchase_rate": who.purchase_rate,
        "dropped_out_at": np.datetime64(who.dropped_out_at if who.purchases else "NaT", "s"),
        "mean_spend": who.mean_spend,
        "mail_interest": who.mail_interest,
        "web_interest": who.web_interest,
        "mail_consent": who.mail_since < NEVER,
        "tracking_consent": who.tracking,
        "nps_attitude": who.attitude,
        "region": who.region,
        "locale": who.locale,
    }
