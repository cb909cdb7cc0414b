"""The engine's row rules say what Pandera says."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ibis
import pandera.errors
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring_platform.contracts.catalog import CATALOG
from scoring_platform.contracts.rules import row_rules
from scoring_platform.errors import ContractError
from scoring_platform.lake.audit import audit
from scoring_platform_tests.lake.scenario import FIRST, RULED, TABLE, amounts
from scoring_platform_tests.scenario import Home

GOOD: dict[str, Any] = {
    "name": "n",
    "kind": "a",
    "mail": "a@example.jp",
    "amount": Decimal(1),
    "level": 3,
    "points": 0,
    "total": Decimal("99.99"),
    "seen_at": datetime(2026, 3, 1, tzinfo=UTC),
}
ODD: dict[str, list[Any]] = {
    "name": ["", None, "x"],
    "kind": ["b", None, "c", ""],
    "mail": [None, "", "a", "a@b", " a@b", "a@b\n", "x y@z"],
    "amount": [None, Decimal("-0.0001"), Decimal(0)],
    "level": [None, -1, 0, 5, 6],
    "points": [None, -3, -4],
    "total": [None, Decimal("-0.01"), Decimal(0), Decimal(100), Decimal("100.01")],
    "seen_at": [None],
}
changes = st.one_of([st.tuples(st.just(name), st.sampled_from(values)) for name, values in ODD.items()])
rows = st.lists(st.lists(changes, max_size=2).map(lambda chosen: {**GOOD, **dict(chosen)}), min_size=1, max_size=3)


def test_rules_and_pandera_agree_on_random_rows(home: Home) -> None:
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows)
    def agree(found: list[dict[str, Any]]) -> None:
        numbered = [{**row, "name": row["name"] and f"{row['name']}{number}"} for number, row in enumerate(found)]
        arrow = pa.Table.from_pylist(numbered, schema=RULED.schema.to_pyarrow())
        table = home.engine.materialise(ibis.memtable(arrow))
        keys = [(row["name"], row["kind"]) for row in numbered]
        passed = not table.filter(ibis.or_(*(rule.violated for rule in row_rules(RULED, table)))).count().execute()
        passed = passed and len(set(keys)) == len(keys)
        try:
            RULED.contract.validate(table, lazy=True)
        except pandera.errors.SchemaErrors:
            assert not passed
        else:
            assert passed

    agree()


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_check_of_every_contract_has_an_engine_expression(name: str) -> None:
    table = CATALOG[name]
    rules = row_rules(table, ibis.table(table.schema, name=name))
    assert len(rules) == sum(len(column.checks or ()) + (not column.nullable) for column in table.columns.values())


def test_every_broken_rule_is_named_with_its_rows(home: Home) -> None:
    bad = [{**GOOD, "name": "x", "mail": "hidden", "level": 9}, {**GOOD, "name": "y", "level": 7}, GOOD]
    staged = home.engine.materialise(ibis.memtable(bad, schema=RULED.schema)).mutate(as_of=ibis.literal(FIRST))
    verdict = audit(RULED, staged)
    assert {(breach.rule.split(" ")[0], breach.rows) for breach in verdict.breaches} == {("level", 2), ("mail", 1)}
    assert {row["name"]: row["mail"] for row in verdict.samples} == {"x": "***", "y": "a***@***.jp"}


def test_keys_with_nulls_are_repeated_too(home: Home) -> None:
    staged = home.engine.materialise(amounts((FIRST, "a", None, "1"), (FIRST, "a", None, "2")))
    (breach,) = audit(TABLE, staged).breaches
    assert (breach.day, breach.rule, breach.rows) == (FIRST, "name, note occurs more than once", 2)


def test_wrong_types_are_named(home: Home) -> None:
    staged = amounts((FIRST, "a", None, "1")).mutate(amount=ibis.literal(1), more=ibis.literal("x"))
    with pytest.raises(ContractError, match=r"amount is int.*, not decimal.*more is not in the contract"):
        audit(TABLE, staged)
