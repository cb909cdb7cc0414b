"""Merges: recorded once, undone once, and what comes back with an undo."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text

from scoring_platform.ledger.merges import Merge, list_merges, read_undone, record_merges, undo_merge
from scoring_platform.ledger.schema import SCHEMA_VERSION
from scoring_platform.ledger.store import Ledger

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)


def merged(ledger: Ledger, former: str, customer: str, *, day: int, nodes: tuple[str, ...] = ()) -> str:
    """Record that one customer became part of another, some days on; return the id of the merge."""
    merge = Merge(former, customer, DAY + timedelta(days=day), (f"link-{day}",), nodes)
    record_merges(ledger, [merge], now=NOW + timedelta(days=day))
    return merge.merge_id


def undo(ledger: Ledger, *merges: str) -> None:
    for merge in merges:
        undo_merge(ledger, merge, now=NOW + timedelta(days=99))


def test_a_merge_is_recorded_once_and_comes_back_as_it_was(ledger: Ledger) -> None:
    merge = Merge("c2", "c1", DAY, ("l1", "l2"), ("c2", "c7"))

    assert [record_merges(ledger, [merge], now=NOW), record_merges(ledger, [merge], now=NOW)] == [1, 0]
    assert list_merges(ledger) == [merge]


def test_an_undone_merge_gives_back_all_that_the_customer_had(ledger: Ledger) -> None:
    undo(ledger, merged(ledger, "c2", "c1", day=0, nodes=("c2", "c7")))
    merged(ledger, "c3", "c1", day=1, nodes=("c3",))
    found = read_undone(ledger)

    assert (found.links, found.restored) == (frozenset({"link-0"}), {"c2": "c2", "c7": "c2"})


def test_a_customer_that_merged_again_is_not_restored_but_its_links_stay_undone(ledger: Ledger) -> None:
    undo(ledger, merged(ledger, "c2", "c1", day=0, nodes=("c2",)))
    again = merged(ledger, "c2", "c1", day=1, nodes=("c2", "c8"))
    assert (read_undone(ledger).links, read_undone(ledger).restored) == (frozenset({"link-0"}), {})

    undo(ledger, again)
    assert read_undone(ledger).restored == {"c2": "c2", "c8": "c2"}


def test_of_customers_that_merged_one_after_the_other_each_gets_back_its_own(ledger: Ledger) -> None:
    inner = merged(ledger, "c3", "c2", day=0, nodes=("c3", "c9"))
    outer = merged(ledger, "c2", "c1", day=1, nodes=("c2", "c3", "c9"))
    undo(ledger, outer)
    assert read_undone(ledger).restored == {"c2": "c2", "c3": "c2", "c9": "c2"}

    undo(ledger, inner)
    assert read_undone(ledger).restored == {"c2": "c2", "c3": "c3", "c9": "c3"}


def test_a_ledger_of_the_previous_layout_opens_with_its_merges(ledger: Ledger, url: str) -> None:
    merge = merged(ledger, "c2", "c1", day=0)
    with ledger.writing() as connection:
        connection.execute(text("ALTER TABLE identity_merges DROP COLUMN nodes"))
        connection.execute(text("UPDATE schema_version SET version = 1"))
    ledger.close()

    with Ledger(url) as opened:
        undo(opened, merge)
        merged(opened, "c3", "c1", day=1, nodes=("c3",))
        assert [one.nodes for one in list_merges(opened)] == [("c3",), ()]
        assert read_undone(opened).restored == {"c2": "c2"}, "its id tells the identifier it was made from"
        with opened.reading() as connection:
            assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [SCHEMA_VERSION]
