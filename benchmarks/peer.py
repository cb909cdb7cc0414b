"""The same forecasts by the Python package ``lifetimes``, in an environment of its own: never imported, only run.

``python peer.py histories.npz SAMPLE`` prints seconds per stage, peak memory and parameters as JSON. It is fitted
to every SAMPLE-th customer and forecasts all.

Belongs here: calls of that package as its documentation has them. Does not belong here: anything of the platform, which
is not installed there.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HORIZON_WEEKS, MONTHS = 90 / 7, 12
MONTHLY_RATE = 1.1 ** (1 / 12) - 1
PENALTY = 0.001
"""What its documentation advises where a fit does not converge, as is so here with some orders of the rows."""

NEEDS = ("lifetimes==0.11.3", "numpy<2", "pandas<2.2", "scipy<1.12")
"""It is no longer maintained: with newer ones it does not run."""


def main(path: str, each: int) -> dict[str, Any]:
    """Fit and forecast, and return what it took."""
    numpy, pandas, lifetimes = (importlib.import_module(name) for name in ("numpy", "pandas", "lifetimes"))
    everybody = pandas.DataFrame(dict(numpy.load(path)))
    sample = everybody.iloc[::each]
    seconds: dict[str, float] = {}
    with _timed(seconds, "fit BG/NBD"):
        orders = lifetimes.BetaGeoFitter(penalizer_coef=PENALTY).fit(
            sample["frequency"], sample["recency"], sample["tenure"]
        )
    paid = sample[(sample["frequency"] > 0) & (sample["monetary"] > 0)]
    with _timed(seconds, "fit Gamma-Gamma"):
        value = lifetimes.GammaGammaFitter().fit(paid["frequency"], paid["monetary"])
    history = (everybody["frequency"], everybody["recency"], everybody["tenure"])
    with _timed(seconds, "expected orders"):
        expected = _quietly(orders.conditional_expected_number_of_purchases_up_to_time, HORIZON_WEEKS, *history)
    with _timed(seconds, "lifetime value"):
        lifetime = _quietly(
            value.customer_lifetime_value,
            orders, *history, everybody["monetary"], time=MONTHS, discount_rate=MONTHLY_RATE, freq="W",
        )  # fmt: skip
    return {
        "customers": len(everybody),
        "seconds": seconds,
        "peak": _peak(),
        "parameters": {name: float(found) for name, found in orders.params_.items()},
        "orders": float(expected.sum()),
        "value": float(lifetime.sum()),
    }


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - started


def _quietly(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **named)


def _peak() -> int | None:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else None


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
