"""The sandbox's Salesforce: SOQL, as much of it as a client of contacts and deals needs.

Belongs here: reading a query and whether a record passes its condition. Does not belong here: where records come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scoring_platform.sandbox.days import parse
from scoring_platform.sandbox.salesforce_rules import RefusedError, rule_of

Values = Mapping[str, Any]
Condition = Callable[[Values], bool]

MAX_LENGTH = 100_000

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:\\.|[^'\\])*')|(?P<instant>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)|(?P<word>[A-Za-z_][\w.]*))"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_RELATED = {"owner.name"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: a is not None and bool(a < b),
    "<=": lambda a, b: a is not None and bool(a <= b),
    ">": lambda a, b: a is not None and bool(a > b),
    ">=": lambda a, b: a is not None and bool(a >= b),
}


@dataclass(frozen=True)
class Query:
    """A query that was understood.

    Attributes:
        sobject: Kind of record.
        fields: What is shown; empty for ``COUNT()``.
        passes: The condition.
        order: Fields to sort by, with whether downwards.
        limit: Most records.
        named: Field and values of a condition that is one ``IN`` alone, so that nobody has to look at every record.
    """

    sobject: str
    fields: tuple[str, ...]
    passes: Condition
    order: tuple[tuple[str, bool], ...]
    limit: int | None
    named: tuple[str, tuple[str, ...]] | None


def read_query(text: str) -> Query:
    """Understand a query.

    Raises:
        RefusedError: It is malformed, or names an unknown field.
    """
    if len(text) > MAX_LENGTH:
        raise RefusedError("QUERY_TOO_COMPLICATED", "The query is too long")
    return _Reader(_tokens(text)).query()


def comparable(name: str, value: Any) -> Any:
    """Return a value of a field the way SOQL compares it: texts without case, but for ids."""
    return value.lower() if isinstance(value, str) and name != "Id" else value


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise RefusedError("MALFORMED_QUERY", f"unexpected token: '{text[place : place + 20]}'")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    return tokens


class _Reader:
    """Reads a query token by token."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._place = 0
        self._sobject = ""
        self._ins: list[tuple[str, tuple[str, ...]]] = []
        self._tests = 0

    def query(self) -> Query:
        self._word("SELECT")
        shown = self._list()
        self._word("FROM")
        self._sobject = self._next("word")
        counts = shown == ["COUNT()"]
        fields = () if counts else tuple(self._known(name) for name in shown)
        passes: Condition = self._either() if self._try("WHERE") else lambda _: True
        order = self._order() if self._try("ORDER") else ()
        limit = int(self._next("number")) if self._try("LIMIT") else None
        if self._place < len(self._tokens):
            raise RefusedError("MALFORMED_QUERY", f"unexpected token: '{self._tokens[self._place][1]}'")
        named = self._ins[0] if len(self._ins) == 1 == self._tests else None
        return Query(self._sobject, fields, passes, order, limit, named)

    def _list(self) -> list[str]:
        names = [self._next("word")]
        if names[0].upper() == "COUNT":
            self._next("sign", "(")
            self._next("sign", ")")
            return ["COUNT()"]
        while self._try(","):
            names.append(self._next("word"))
        return names

    def _order(self) -> tuple[tuple[str, bool], ...]:
        self._word("BY")
        order = []
        while True:
            name, downwards = self._known(self._next("word")), self._try("DESC")
            _ = not downwards and self._try("ASC")
            order.append((name, downwards))
            if not self._try(","):
                return tuple(order)

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._try("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda values: any(part(values) for part in parts)

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._try("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda values: all(part(values) for part in parts)

    def _one(self) -> Condition:
        if self._try("("):
            inner = self._either()
            self._next("sign", ")")
            return inner
        self._tests += 1
        name = self._known(self._next("word"))
        if self._try("IN"):
            return self._in(name)
        sign, wanted = self._next("sign"), self._literal()
        compare = _COMPARE.get(sign)
        if compare is None:
            raise RefusedError("MALFORMED_QUERY", f"unexpected token: '{sign}'")
        return lambda values: compare(comparable(name, values.get(name)), comparable(name, wanted))

    def _in(self, name: str) -> Condition:
        self._next("sign", "(")
        values = [self._literal()]
        while self._try(","):
            values.append(self._literal())
        self._next("sign", ")")
        wanted = {comparable(name, value) for value in values}
        self._ins.append((name, tuple(dict.fromkeys(str(value) for value in values))))
        return lambda record: comparable(name, record.get(name)) in wanted

    def _literal(self) -> Any:
        kind, token = self._take()
        if kind == "text":
            return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1])
        if kind == "number":
            return float(token)
        if kind == "instant":
            return parse(token)
        if kind == "word" and token.lower() in ("null", "true", "false"):
            return {"null": None, "true": True, "false": False}[token.lower()]
        raise RefusedError("MALFORMED_QUERY", f"unexpected token: '{token}'")

    def _known(self, name: str) -> str:
        if name.lower() in _RELATED:
            return name
        return rule_of(self._sobject, name).name

    def _word(self, word: str) -> None:
        if not self._try(word):
            raise RefusedError("MALFORMED_QUERY", f"expecting {word}")

    def _try(self, token: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place][1].upper() == token:
            self._place += 1
            return True
        return False

    def _next(self, kind: str, token: str | None = None) -> str:
        found, text = self._take()
        if found != kind or (token is not None and text != token):
            raise RefusedError("MALFORMED_QUERY", f"unexpected token: '{text}'")
        return text

    def _take(self) -> tuple[str, str]:
        if self._place >= len(self._tokens):
            raise RefusedError("MALFORMED_QUERY", "unexpected end of query")
        self._place += 1
        return self._tokens[self._place - 1]
