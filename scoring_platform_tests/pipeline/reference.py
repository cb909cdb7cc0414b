"""What ought to follow from a history, in plain Python: dictionaries, zoneinfo and decimals, no engine.

It looks once, at the end: today's facts and today's graph apply to every day, however the days were run. Only what
accounts and contacts said of themselves before is what the runs have seen (``Memory``).

Belongs here: the rules of raw rows, of who is who, and of a customer's day. Does not belong here: how anything is
loaded (the platform) or told (``histories``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import combinations
from typing import Any, TypeVar

from scoring_platform.contracts.catalog import table as contract_of
from scoring_platform_tests.pipeline.histories import History
from scoring_platform_tests.pipeline.lives import REPORTING, UNKNOWN

T = TypeVar("T")
Node = tuple[str, str, str]
"""Kind, scope, value of an identifier."""
Person = frozenset[Node]
DEVICE = "client_id"
_SHOPS = ("shopify", "files")
_STATUSES = {"paid", "pending", "cancelled", "returned", "test"}
_KINDS = ("customer_ref", "email", "crm_id", DEVICE)


@dataclass(frozen=True)
class Row:
    """A good row on its business day."""

    source: str
    day: date
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Mention:
    """Identifiers that one record holds together."""

    source: str
    day: date
    nodes: tuple[Node, ...]
    introduces: bool


Day = dict[str, Any]
Account = tuple[str, str, str]
"""Table, source and number of an account or a contact."""
_NUMBERS = {"raw_customers": "customer_ref", "raw_crm_contacts": "crm_id"}


@dataclass(frozen=True)
class Said:
    """What a picture says of an account or a contact."""

    account: Account
    email: str | None
    day: date
    updated_on: date


class Memory:
    """Which addresses accounts and contacts have had, and from when on: looked at after every load."""

    def __init__(self) -> None:
        self.since: dict[tuple[Account, str | None], tuple[date, date | None]] = {}
        self.last = date.min

    def look(self, pictures: Iterable[Said]) -> None:
        """Remember the pictures of a run: the first of them that says something, and whether it is a change."""
        said = sorted(pictures, key=lambda one: one.day)
        self.last = max([self.last, *(one.day for one in said)])
        known = {account for account, _ in self.since}
        first = {one.account: one.day for one in reversed(said) if (one.account, one.email) not in self.since}
        for one in said:
            if (one.account, one.email) not in self.since:
                changed = one.account in known or one.day > first[one.account]
                updated = min(
                    other.updated_on for other in said if (other.account, other.email) == (one.account, one.email)
                )
                self.since[one.account, one.email] = (one.day, min(updated, self.last) if changed else None)


def good_rows(history: History, table: str) -> list[Row]:
    """Return the rows that can be used, on the business days that are loaded."""
    orders = {(row.source, row.values["order_id"]): row for row in good_rows(history, "raw_orders")} \
        if table == "raw_order_items" else {}  # fmt: skip
    found = []
    for source, values in history.final(table):
        order = orders.get((source, values["order_id"])) if table == "raw_order_items" else None
        if table == "raw_order_items" and order is None:
            continue
        currency = order.values["currency"] if order else values.get("currency")
        if currency == UNKNOWN or (table == "raw_orders" and values["status"] not in _STATUSES):
            continue
        day = order.day if order else _day(history, table, values)
        if history.first <= day <= history.last or (table in {"raw_customers", "raw_crm_contacts"}):
            found.append(Row(source, day, _in_reporting_currency(history, table, day, values, currency)))
    return [row for row in found if row.day <= history.last]


def _day(history: History, table: str, values: Mapping[str, Any]) -> date:
    when = values[contract_of(table).time_column]
    if when is None:  # a contact that does not tell counts from the day of the picture
        return history.last
    return when if type(when) is date else when.astimezone(history.zone).date()


def _in_reporting_currency(
    history: History, table: str, day: date, values: Mapping[str, Any], currency: str | None
) -> dict[str, Any]:
    rate = Decimal(1) if currency in {None, REPORTING} else history.rates[day.strftime("%Y-%m")]
    amounts = {name: (values[name] * rate).quantize(Decimal("0.0001"), ROUND_HALF_UP) for name in _amounts(table)}
    return {**values, **{f"{name}_reporting": amount for name, amount in amounts.items()}}


def _amounts(table: str) -> Iterable[str]:
    return contract_of(table).amounts


def unusable_orders(history: History) -> set[tuple[str, str]]:
    """Return source and id of the orders that cannot be used, of those on days that are loaded."""
    good = {(row.source, row.values["order_id"]) for row in good_rows(history, "raw_orders")}
    return {
        (source, order["order_id"])
        for source, order in history.final("raw_orders")
        if (source, order["order_id"]) not in good
        and history.first <= _day(history, "raw_orders", order) <= history.last
    }


class Facts:
    """All good rows of a history, and who is who by them."""

    def __init__(self, history: History, memory: Memory) -> None:
        self.history, self.memory = history, memory
        self.rows = {
            name: good_rows(history, name)
            for name in ("raw_orders", "raw_customers", "raw_email_events", "raw_web_activity", "raw_support_tickets",
                         "raw_events", "raw_consents", "raw_crm_contacts")
        }  # fmt: skip
        self.mentions = list(self._mentions())
        self.people = {node: person for person in self._people() for node in person}

    def _mentions(self) -> Iterator[Mention]:
        for name, rows in self.rows.items():
            for row in rows if name not in {"raw_consents", *_NUMBERS} else ():
                if nodes := nodes_of(row):
                    yield Mention(row.source, row.day, nodes, name != "raw_web_activity")
        for (account, email), (day, changed_on) in self.memory.since.items():
            table, source, number = account
            for row in self.rows[table]:
                if (row.source, row.values[_NUMBERS[table]]) == (source, number):
                    created_on = row.day if row.values["created_at"] else day
                    nodes = nodes_of(Row(source, row.day, {_NUMBERS[table]: number, "email": email}))
                    yield Mention(source, changed_on or created_on, nodes, introduces=True)

    def _people(self) -> list[Person]:
        """Everybody whom a record introduced by something other than a device."""
        introduced = {node for mention in self.mentions if mention.introduces for node in mention.nodes}
        return [person for person in self._groups() if any(node[0] != DEVICE and node in introduced for node in person)]

    def _groups(self) -> list[Person]:
        nodes = {node for mention in self.mentions for node in mention.nodes if node[0] != DEVICE}
        pairs = {pair for mention in self.mentions for pair in combinations(mention.nodes, 2)}
        strong = components(nodes, [pair for pair in pairs if DEVICE not in {end[0] for end in pair}])
        met: dict[Node, set[Person]] = defaultdict(set)
        group_of = {node: group for group in strong for node in group}
        for one, other in pairs:
            if other[0] == DEVICE:
                met[other].add(group_of[one])
        # Groups that devices hold together are judged together: two accounts or addresses are two people.
        clusters = components(set(strong), [pair for groups in met.values() for pair in combinations(groups, 2)])
        whole: list[Person] = []
        for cluster in clusters:
            devices = {device for device, groups in met.items() if groups <= cluster}
            if len(cluster) > 1 and not _one_person(cluster):
                devices = {device for device in devices if len(met[device]) == 1}
                whole += [group | {device for device in devices if met[device] == {group}} for group in cluster]
            else:
                whole.append(frozenset().union(*cluster, devices))
        return whole

    def owner(self, nodes: Iterable[Node]) -> Person | None:
        """Return whose the first of some identifiers is that is somebody's."""
        return next((self.people[node] for node in nodes if node in self.people), None)

    def known_since(self, node: Node) -> date:
        """Return the day from which it is known whose an identifier is."""
        person = self.people[node]
        known_on = min(m.day for m in self.mentions if m.introduces and person.intersection(m.nodes))
        days = []
        for source in {mention.source for mention in self.mentions if node in mention.nodes}:
            own = [m for m in self.mentions if m.source == source and node in m.nodes]
            introducing = [mention.day for mention in own if mention.introduces]
            seen = min(mention.day for mention in own)
            if node[0] == DEVICE:
                days.append(seen)
            else:
                days.append(min(introducing) if introducing else max(known_on, seen))
        return min(days)

    def tracked(self, person: Person, day: date) -> bool:
        """Whether a person may be tracked at the end of a day."""
        latest: dict[str, tuple[Any, bool]] = {}
        for row in self.rows["raw_consents"]:
            said = row.values
            node = subject(row)
            if (said["channel"], said["purpose"]) != ("web", "tracking") or node not in person:
                continue
            if max(row.day, self.known_since(node)) <= day:
                decision = (said["occurred_at"], said["status"] != "granted")
                latest[row.source] = max(latest.get(row.source, decision), decision)
        return bool(latest) and not any(refused for _, refused in latest.values())

    def activity(self) -> dict[tuple[Person, date], Day]:
        """Return every customer's every active day, measures that are zero left out."""
        days: dict[tuple[Person, date], Counter[str]] = defaultdict(Counter)
        for name, measures in _MEASURES.items():
            for row in self.rows[name]:
                person = self.owner(nodes_of(row))
                counted = measures(row) if person else None
                if person is None or counted is None:
                    continue
                if name != "raw_web_activity" or self.tracked(person, row.day):
                    days[person, row.day].update(counted)
        found = {key: _finished(sums) for key, sums in days.items()}
        return {key: day for key, day in found.items() if day}


def _finished(sums: Mapping[str, Any]) -> Day:
    day = {name: value for name, value in sums.items() if name not in {"sent", "delivered"}}
    day["purchase_day"] = min(1, day.get("orders", 0))
    day["email_sent"] = max(sums.get("sent", 0), sums.get("delivered", 0))
    return {name: value for name, value in day.items() if value}


def _order(row: Row) -> Day | None:
    order = row.values
    if order["status"] not in {"paid", "returned"}:
        return None
    paid = order["status"] == "paid"
    revenue = order["total_amount_reporting"] if paid else Decimal(0)
    return {"orders": int(paid), "revenue": revenue, "refunds": order["refunded_amount_reporting"]}


def _mail(row: Row) -> Day:
    kind, machine = row.values["kind"], bool(row.values["machine"])
    return {
        "sent": int(kind == "sent"),
        "delivered": int(kind == "delivered"),
        "email_opens": int(kind == "open" and not machine),
        "email_clicks": int(kind == "click"),
        "email_unsubscribes": int(kind in {"unsubscribe", "complaint"}),
    }


def _visit(row: Row) -> Day:
    return {f"web_{name}": row.values[name] for name in ("sessions", "pageviews", "engaged_seconds", "conversions")}


def _ticket(row: Row) -> Day:
    rated = row.values["satisfaction"]
    return {"tickets": 1, "tickets_bad": int(rated == "bad"), "tickets_good": int(rated == "good")}


_MEASURES: dict[str, Any] = {
    "raw_orders": _order,
    "raw_email_events": _mail,
    "raw_web_activity": _visit,
    "raw_support_tickets": _ticket,
    "raw_events": lambda row: {"events": 1},
}


def nodes_of(row: Row) -> tuple[Node, ...]:
    """Return the identifiers of a row, the surest first."""
    given = [(kind, row.values.get(kind)) for kind in _KINDS]
    return tuple(_node(kind, value, row.source) for kind, value in given if value)


def subject(row: Row) -> Node:
    """Return whom a decision is about."""
    said = row.values["subject"]
    return _node("email" if "@" in said else "customer_ref", said, row.source)


def _node(kind: str, value: str, source: str) -> Node:
    if kind == "email":
        return ("email", "", value.lower())
    scope = {"customer_ref": source if source in _SHOPS else _SHOPS[0], "crm_id": "crm"}.get(kind, "")
    return (kind, scope, value)


def components(nodes: set[T], links: Iterable[tuple[T, T]]) -> list[frozenset[T]]:
    """Return what hangs together."""
    group = {node: {node} for node in nodes}
    for one, other in links:
        if group[one] is not group[other]:
            joined = group[one] | group[other]
            group.update(dict.fromkeys(joined, joined))
    return [frozenset(members) for members in {id(members): members for members in group.values()}.values()]


def _one_person(cluster: Iterable[Person]) -> bool:
    kinds = Counter(kind for group in cluster for kind in {(node[0], node[1]) for node in group})
    return max(kinds.values(), default=0) <= 1
