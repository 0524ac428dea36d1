"""A database of an earlier version keeps every row when it is brought to this one."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from actp.engine.store import Store
from coordinator.store import open_ledger
from coordinator.store.migrate import upgrade
from coordinator.store.schema import HEAD, VERSION_TABLE

OURS = "co_"
DROPPED = {"parent_id"}
"""Columns that were taken off on purpose: whose part a scope is follows from what it is."""
FIXED = {"chain_id": 31_337, "wallet": "0x" + "11" * 20, "cap": 9}


def tables(store: Store) -> list[sa.Table]:
    """As they are in the database, not as the program would have them."""
    metadata = sa.MetaData()
    metadata.reflect(store.engine)
    return [one for one in metadata.sorted_tables if one.name.startswith(OURS)]


def value(column: sa.Column[Any]) -> object:
    """Something that a column takes."""
    if column.name in FIXED:
        return FIXED[column.name]
    kinds: tuple[tuple[Any, object], ...] = (
        (sa.Boolean, True), (sa.Integer, 1), (sa.Numeric, 1), (sa.LargeBinary, b"{}"),
    )  # fmt: skip
    return next((one for kind, one in kinds if isinstance(column.type, kind)), "1")


def rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    found = tables(store)
    with store.read() as connection:
        return {one.name: [dict(row._mapping) for row in connection.execute(sa.select(one))] for one in found}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0001", "0002", "0003"])
def test_no_row_and_no_value_is_lost_by_an_upgrade(store, version):
    upgrade(store, version)
    made = tables(store)
    with store.write() as connection:
        for table in made:
            connection.execute(table.insert().values({one.name: value(one) for one in table.columns}))
    before = rows(store)
    assert len(before) > 10
    open_ledger(store)
    after = rows(store)
    for name, (row,) in before.items():
        (kept,) = after[name]
        assert row.keys() - kept.keys() <= DROPPED, name
        assert {column: kept[column] for column in row.keys() & kept.keys()}.items() <= row.items(), name
    with store.read() as connection:
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar() == HEAD
