"""The coordinator's tables beside the engine's: made once, by migration or at once, and refused if they are newer."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect

from actp.engine.store import StoreError, open_store
from coordinator.store import escrows, open_ledger, schema, usage
from coordinator.store.escrows import Locked
from coordinator.store.migrate import upgrade


def shape(store):
    """Every column and index of our tables, as the database has them."""
    found = inspect(store.engine)
    return {
        name: (
            [(one["name"], str(one["type"]), one["nullable"]) for one in found.get_columns(name)],
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(tuple(one["column_names"]) for one in found.get_indexes(name)),
            sorted(tuple(one["column_names"]) for one in found.get_unique_constraints(name)),
        )
        for name in found.get_table_names()
        if name.startswith("co_")
    }


def test_the_migrations_make_the_same_tables(store, tmp_path, request):
    upgrade(store)
    migrated = shape(store)
    with store.engine.begin() as connection:
        schema.metadata.drop_all(connection)
        connection.exec_driver_sql(f"DROP TABLE {schema.VERSION_TABLE}")
    open_ledger(store)
    made = shape(store)
    assert set(migrated) == {table.name for table in schema.metadata.sorted_tables}
    assert migrated == made


def test_escrows_of_an_earlier_version_are_kept_and_looked_at(store, account):
    upgrade(store, "0001")
    columns = "chain_id, wallet, transaction_id, operation_id, asset, contract, counterparty, amount, locked, open"
    values = f"{account.chain_id}, '{account.wallet}', '0x01', 3, '0x02', '0x03', NULL, '10', '7', true"
    with store.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO co_escrows ({columns}, checked_at) VALUES ({values}, 5.0)")
    ledger = open_ledger(store)
    with ledger.read() as connection:
        (kept,) = escrows.due(connection, account, ledger.now())
    assert kept == Locked("0x01", 3, "0x02", "0x03", None, 10, 7, True, 5.0)


def test_scopes_of_an_earlier_version_are_kept_with_what_is_used_of_them(store, account):
    upgrade(store, "0004")
    with store.write() as connection:
        for number, kind, parent in ((1, "total", "NULL"), (2, "agent", "1")):
            connection.exec_driver_sql(
                "INSERT INTO co_scopes (id, chain_id, wallet, kind, key, period, unit, parent_id) VALUES "
                f"({number}, {account.chain_id}, '{account.wallet}', '{kind}', '', 'ever', '0x02', {parent})"
            )
            connection.exec_driver_sql(
                "INSERT INTO co_cells (scope_id, window_start, lim, cap, spent, reserved) VALUES "
                f"({number}, 0, 9, 9, {number}, 3)"
            )
    with open_ledger(store).read() as connection:
        found = [
            (one.scope.kind.value, one.cell.spent, one.cell.reserved) for one in usage.of_wallet(connection, account)
        ]
    assert found == [("total", 1, 3), ("agent", 2, 3)]


def test_opening_again_changes_nothing_and_the_engine_still_opens_its_store(tmp_path):
    path = tmp_path / "store.db"
    store = open_store(path)
    open_ledger(store)
    before = shape(store)
    store.close()
    again = open_store(path)
    open_ledger(again)
    assert shape(again) == before
    again.close()


def test_tables_of_a_newer_program_are_refused(store):
    open_ledger(store)
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match="written by a newer version"):
        open_ledger(store)
