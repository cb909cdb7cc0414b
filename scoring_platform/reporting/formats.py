"""Numbers, money and dates as a reader of the report writes them.

Belongs here: one value to one text, by language and currency. Does not belong here: words and sentences.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from scoring_platform.reporting.data import Language

MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"

_SYMBOLS = {
    "JPY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "KRW": "₩", "INR": "₹",
    "CNY": "CN¥", "TWD": "NT$", "HKD": "HK$", "SGD": "S$", "AUD": "A$", "CAD": "C$",
}  # fmt: skip
_DECIMALS = {
    **dict.fromkeys(["JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX", "XAF", "XOF", "XPF", "RWF", "KMF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}
_SHORT_UNITS: dict[Language, tuple[tuple[int, str], ...]] = {
    "ja": ((10**12, "兆"), (10**8, "億"), (10**4, "万")),
    "en": ((10**9, "B"), (10**6, "M"), (10**3, "K")),
}
_WEEKDAYS_JA = "月火水木金土日"
_WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS_EN = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def rounded(value: float | Decimal, digits: int) -> Decimal:
    """Round half up, as people do; ``-0.0`` becomes 0."""
    exact = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    shown = exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return abs(shown) if shown == 0 else shown


def _minus(text: str) -> str:
    return text.replace("-", MINUS)


@dataclass(frozen=True)
class Formats:
    """Formatter of one language and one reporting currency."""

    language: Language
    currency: str

    @property
    def money_digits(self) -> int:
        """Decimals of the currency."""
        return _DECIMALS.get(self.currency, 2)

    def integer(self, value: int) -> str:
        """Return ``1,234``."""
        return _minus(f"{value:,}")

    def decimal(self, value: float | Decimal, digits: int = 1) -> str:
        """Return ``48.2``."""
        return _minus(f"{rounded(value, digits):,}")

    def percent(self, share: float | Decimal) -> str:
        """Return ``12.3%`` for 0.123."""
        return self.decimal(share * 100) + "%"

    def money(self, value: Decimal) -> str:
        """Return ``¥1,234,567`` or ``$1,234.56``; a currency without a sign is named by its code."""
        amount = rounded(value, self.money_digits)
        return self._priced(f"{abs(amount):,}", negative=amount < 0)

    def money_short(self, value: float | Decimal) -> str:
        """Return ``¥12.3万`` or ``$1.2M``, for the axes of charts."""
        size = abs(float(value))
        for unit, name in _SHORT_UNITS[self.language]:
            if size >= unit:
                digits = 0 if size >= 100 * unit else 1
                text = f"{rounded(size / unit, digits):,}"
                return self._priced(text.removesuffix(".0") + name, negative=value < 0)
        return self._priced(f"{rounded(size, 0):,}", negative=value < 0)

    def signed(self, text: str, sign: int) -> str:
        """Put ``+``, a minus or ``±`` before an unsigned text."""
        return {1: "+", -1: MINUS, 0: "±"}[sign] + text

    def day(self, value: date) -> str:
        """Return ``2026年11月20日（金）`` or ``Friday, 20 November 2026``."""
        if self.language == "ja":
            return f"{value.year}年{value.month}月{value.day}日（{_WEEKDAYS_JA[value.weekday()]}）"
        return f"{_WEEKDAYS_EN[value.weekday()]}, {value.day} {_MONTHS_EN[value.month - 1]} {value.year}"

    def day_of_week(self, value: date) -> str:
        """Return ``11月20日（金）`` or ``Friday, 20 November``."""
        return self.day(value).removeprefix(f"{value.year}年").removesuffix(f" {value.year}")

    def day_short(self, value: date) -> str:
        """Return ``11/20`` or ``20 Nov``, for the axes of charts."""
        return (
            f"{value.month}/{value.day}" if self.language == "ja" else f"{value.day} {_MONTHS_EN[value.month - 1][:3]}"
        )

    def instant(self, value: datetime) -> str:
        """Return the day and the time to the minute."""
        return f"{self.day(value.date())} {value:%H:%M}"

    def _priced(self, text: str, *, negative: bool) -> str:
        symbol = _SYMBOLS.get(self.currency, f"{self.currency} ")
        return f"{MINUS if negative else ''}{symbol}{text}"
