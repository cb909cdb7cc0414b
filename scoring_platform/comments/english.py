"""Words of languages with an alphabet: their stems.

Belongs here: one light stemmer, made for finding a word's other forms, not for reading. Does not belong here: phrases.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_IRREGULAR = {
    "better": "better", "best": "best", "worse": "worse", "worst": "worst", "cheaper": "cheap", "cheapest": "cheap",
    "easier": "easi", "easiest": "easi", "faster": "fast", "fastest": "fast", "slower": "slow", "slowest": "slow",
    "quicker": "quick", "quickest": "quick", "nicer": "nice", "nicest": "nice", "friendlier": "friendli",
    "friendliest": "friendli", "pricier": "pricei", "simpler": "simpl", "simplest": "simpl", "fresher": "fresh",
    "cleaner": "clean", "higher": "high", "lower": "low", "bigger": "big", "smaller": "small", "later": "late",
    "broke": "break", "broken": "break", "paid": "pay", "sent": "send", "lost": "lose", "bought": "buy",
    "came": "come", "coming": "come", "took": "take", "taken": "take", "told": "tell", "shrank": "shrink",
    "shrunk": "shrink", "fell": "fall", "fallen": "fall", "went": "go", "goes": "go", "gone": "go", "sold": "sell",
    "froze": "freez", "frozen": "freez", "kept": "keep", "got": "get", "gotten": "get", "said": "say", "felt": "feel",
    "was": "be", "were": "be", "is": "be", "are": "be", "am": "be", "been": "be", "being": "be", "has": "have",
    "had": "have", "having": "have", "did": "do", "does": "do", "doing": "do", "done": "do", "using": "use",
    "used": "use", "uses": "use", "business": "business", "news": "news", "thing": "thing", "nothing": "nothing",
    "something": "something", "anything": "anything", "everything": "everything", "shipping": "shipping",
    "packing": "packing", "during": "during", "building": "building", "wedding": "wedding", "need": "need",
    "speed": "speed", "feed": "feed", "less": "less", "always": "always", "this": "this", "us": "us", "yes": "yes",
    "ups": "ups", "reviews": "review", "lied": "lie", "lies": "lie", "lying": "lie", "bus": "bus",
    "booking": "booking", "training": "training", "parking": "parking", "setting": "setting", "settings": "setting",
    "ordering": "ordering", "reporting": "reporting", "pricing": "price", "packaging": "packaging", "fit": "fit",
    "only": "only", "early": "earli", "earlier": "earli", "likes": "like", "chose": "choos", "chosen": "choos",
    "email": "email", "emails": "email", "emailed": "emailed", "emailing": "emailed", "sending": "send",
    "arrival": "arriv", "delay": "delai", "packed": "packed", "returns": "returns", "charges": "charges",
    "points": "points", "goods": "goods", "options": "option", "stores": "stores", "boxes": "boxes",
    "function": "function", "functions": "functions", "signs": "signs", "tables": "tables", "breaks": "breaks",
    "costumer": "customer", "costumers": "customer", "recieve": "receiv", "recieved": "receiv", "alot": "lot",
    "performance": "performance", "lasted": "lasted", "lasts": "lasted", "lasting": "lasted",
    "sweet": "sweet", "build": "build", "builds": "build", "built": "built",
}  # fmt: skip
"""Forms that the rules below would miss, and words that they would confuse with others."""

_VOWEL = re.compile(r"[aeiouy]")
_LONG_SOUND = re.compile(r"(.)\1{2,}")
_DOUBLED = re.compile(r"([bdgklmnprt])\1$")


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Return what the forms of a word have in common: ``arrive``, ``arrived`` and ``arriving`` give ``arriv``."""
    plain = word.removesuffix("'s").removesuffix("'")
    if not plain.isascii():
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))
    if plain in _IRREGULAR:
        return _IRREGULAR[plain]
    plain = _LONG_SOUND.sub(r"\1", plain)  # sooo, slooow: nobody writes three on purpose
    return _without_ending(plain) if len(plain) > 3 and plain.isascii() else plain


def _without_ending(word: str) -> str:
    if word.endswith(("ies", "ied")):
        return word[:-3] + "i"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and _VOWEL.search(rest):
            word = _DOUBLED.sub(r"\1", rest)
            break
    if len(word) > 4 and word.endswith("ly"):
        word = word[:-2]
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 2 and word.endswith("y") else word
