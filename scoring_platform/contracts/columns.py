"""Column kinds that contracts are written in.

Belongs here: the few column types the lake knows (text, instant, date, money, points, …) and what each means
to the engine. Does not belong here: any table.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import ibis.expr.datatypes as dt
import pandera.ibis as pa
from pandera.dtypes import immutable
from pandera.engines import ibis_engine

MONEY = dt.Decimal(18, 4)
INSTANT = dt.Timestamp("UTC", 6)
TEXTS = dt.Array(dt.string)


@ibis_engine.Engine.register_dtype(equivalents=[TEXTS])
@immutable
class _Texts(ibis_engine.DataType):
    """Teaches Pandera's Ibis engine the one list type the lake uses."""

    type = TEXTS


def text(
    description: str,
    *,
    nullable: bool = False,
    isin: Iterable[str] | None = None,
    pii: bool = False,
    matches: str | None = None,
    form: str | None = None,
) -> pa.Column:
    """A string; ``isin`` lists the allowed values, ``pii`` marks personal data.

    ``matches`` is a regular expression and ``form`` says in words what it stands for.
    """
    checks: list[pa.Check] = []
    if isin is not None:
        checks.append(pa.Check.isin(list(isin)))
    if matches is not None:
        checks.append(pa.Check.str_matches(matches))
    return _column(dt.string, description, checks=checks, nullable=nullable, pii=pii, form=form)


def identifier(description: str, *, nullable: bool = False, pii: bool = False) -> pa.Column:
    """A non-empty string that names something."""
    return _column(dt.string, description, checks=[pa.Check.str_length(min_value=1)], nullable=nullable, pii=pii)


def json_text(description: str, *, nullable: bool = False, pii: bool = True) -> pa.Column:
    """Free-form extras as JSON text; personal data unless said otherwise."""
    return _column(dt.string, description, nullable=nullable, pii=pii, unit="JSON")


def instant(description: str, *, nullable: bool = False) -> pa.Column:
    """A point in time, UTC."""
    return _column(INSTANT, description, nullable=nullable, unit="UTC")


def day(description: str, *, nullable: bool = False) -> pa.Column:
    """A calendar day in the business time zone."""
    return _column(dt.date, description, nullable=nullable)


def money(
    description: str, *, nullable: bool = False, minimum: int | None = 0, unit: str = "reporting currency"
) -> pa.Column:
    """An exact amount, decimal(18,4); not negative unless ``minimum`` is None."""
    checks = [] if minimum is None else [pa.Check.ge(Decimal(minimum))]
    return _column(MONEY, description, checks=checks, nullable=nullable, unit=unit)


def integer(
    description: str,
    *,
    nullable: bool = False,
    minimum: int | None = 0,
    maximum: int | None = None,
    unit: str | None = None,
) -> pa.Column:
    """A whole number within its bounds."""
    checks: list[pa.Check] = []
    if minimum is not None:
        checks.append(pa.Check.ge(minimum))
    if maximum is not None:
        checks.append(pa.Check.le(maximum))
    return _column(dt.int64, description, checks=checks, nullable=nullable, unit=unit)


def number(
    description: str,
    *,
    nullable: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str | None = None,
) -> pa.Column:
    """A floating-point number (statistics and probabilities; never money)."""
    checks: list[pa.Check] = []
    if minimum is not None:
        checks.append(pa.Check.ge(minimum))
    if maximum is not None:
        checks.append(pa.Check.le(maximum))
    return _column(dt.float64, description, checks=checks, nullable=nullable, unit=unit)


def hundredths(description: str, *, minimum: int | None = 0, nullable: bool = False) -> pa.Column:
    """Score points as an integer number of hundredths, so that sums are exact."""
    return integer(description, minimum=minimum, unit="hundredths of a point", nullable=nullable)


def score(description: str, *, nullable: bool = False) -> pa.Column:
    """A score from 0 to 100 with two decimals, exact."""
    checks = [pa.Check.ge(Decimal(0)), pa.Check.le(Decimal(100))]
    return _column(dt.Decimal(5, 2), description, checks=checks, nullable=nullable, unit="points")


def flag(description: str, *, nullable: bool = False) -> pa.Column:
    """True or false."""
    return _column(dt.boolean, description, nullable=nullable)


def texts(description: str, *, nullable: bool = False) -> pa.Column:
    """A list of strings."""
    return _column(TEXTS, description, nullable=nullable)


def _column(
    dtype: dt.DataType,
    description: str,
    *,
    checks: list[pa.Check] | None = None,
    nullable: bool = False,
    pii: bool = False,
    unit: str | None = None,
    form: str | None = None,
) -> pa.Column:
    metadata = {"pii": pii, "unit": unit, "form": form}
    return pa.Column(dtype, checks or None, nullable=nullable, description=description, metadata=metadata)
