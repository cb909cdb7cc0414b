"""What accounts and contacts have said of themselves: who had an address once is still known by it.

The picture of a state table holds the address an account has now. When it changes, orders and decisions under the one
before are still those of the same person.

Belongs here: what pictures say, what of it is new, from which day each link counts. Does not belong here: which links
are trusted (``linking``), which pictures are read (the pipeline).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

GIVEN = ("source", "customer_ref", "crm_id", "email", "account_number")
_WHO = ("source", "customer_ref", "crm_id")


def stated(customers: ir.Table, contacts: ir.Table) -> ir.Table:
    """Return every combination of identifiers that pictures hold, with the first picture that does.

    Args:
        customers: raw_customers of the days looked at, with ``as_of``.
        contacts: raw_crm_contacts likewise.

    Returns:
        Columns source, customer_ref, crm_id, email, account_number, as_of, updated_at.
    """
    nothing = ibis.null(str)
    times = ("as_of", "updated_at")
    number = _text_or_whole_number(customers.attributes, "account_number")
    accounts = customers.select("source", "customer_ref", "email", *times, crm_id=nothing, account_number=number)
    others = contacts.select("source", "crm_id", "email", *times, customer_ref=nothing, account_number=nothing)
    both = accounts.select(*GIVEN, *times).union(others.select(*GIVEN, *times))
    return both.group_by(GIVEN).aggregate(as_of=both.as_of.min(), updated_at=both.updated_at.min())


def news(said: ir.Table, held: ir.Table) -> ir.Table:
    """Return what no day of customer_links holds yet.

    Args:
        said: Result of ``stated``.
        held: customer_links of all days.

    Returns:
        Columns source, customer_ref, crm_id, email, account_number, as_of, changed_at (null: since it was created).
    """
    new = said.anti_join(held, [said[name].identical_to(held[name]) for name in GIVEN])
    first = new.group_by(_WHO).aggregate(since=new.as_of.min())
    known = held.select(_WHO).distinct().mutate(known=ibis.literal(True))
    joined = new.left_join(first, [new[name].identical_to(first[name]) for name in _WHO])
    joined = joined.select(*GIVEN, "as_of", "updated_at", "since")
    joined = joined.left_join(known, [joined[name].identical_to(known[name]) for name in _WHO])
    changed = joined.known.fill_null(False) | (joined.as_of > joined.since)
    return joined.select(*GIVEN, "as_of", changed_at=changed.ifelse(joined.updated_at, None))


def standing(links: ir.Table, customers: ir.Table, contacts: ir.Table) -> ir.Table:
    """Return the links of the accounts and contacts that there are; those of one that is gone went with it.

    Args:
        links: customer_links of all days, with ``as_of``.
        customers: raw_customers of the newest day, with ``created_on``.
        contacts: raw_crm_contacts likewise; a contact that does not tell counts from the first picture that has it.

    Returns:
        Columns source, customer_ref, crm_id, email, account_number, first_seen_on.
    """
    return _standing(links, customers, "customer_ref").union(_standing(links, contacts, "crm_id"))


def _standing(links: ir.Table, picture: ir.Table, number: str) -> ir.Table:
    there = picture.group_by(["source", number]).aggregate(created_on=picture.created_on.min())
    joined = links.inner_join(there, ["source", number])
    return joined.select(*GIVEN, first_seen_on=ibis.coalesce(joined.changed_on, joined.created_on, joined.as_of))


def _text_or_whole_number(attributes: ir.Value, name: str) -> ir.Value:
    """Return a text, or a whole number by its digits, however many, out of JSON; null when it is neither.

    A number with a decimal point is read with fifteen digits at most: of more, the last may be another one's.
    """
    value = attributes.cast("json")[name]
    written = value.cast(str)
    digits = written.re_search(r"^-?[0-9]+$").ifelse(written, None)
    pointed = written.re_extract(r"^(-?[0-9]{1,15})\.0+$", 1).nullif("")
    return ibis.coalesce(value.str, digits, pointed)
