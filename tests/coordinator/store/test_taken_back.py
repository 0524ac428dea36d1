"""What was written about blocks that are examined again: it says nothing any more, and what is below them stands."""

from __future__ import annotations

from dataclasses import replace

from coordinator.store import breaches, verdicts
from coordinator.store.accounts import Account
from coordinator.store.breaches import VOID, Found
from coordinator.store.verdicts import Verdict
from coordinator.types import BlockRef

OTHER = "0x" + "0f" * 20


def block(number: int) -> BlockRef:
    return BlockRef(number, f"0x{number:064x}")


def test_findings_above_a_block_are_void_and_those_of_other_wallets_stand(ledger, account):
    other = Account(account.chain_id, OTHER)
    with ledger.write() as connection:
        for one in (account, other):
            found = [Found("gift", "notice", None, block(number), None, {"n": number}) for number in (7, 8, 9)]
            breaches.add(connection, one, found, ledger.now())
        breaches.void_above(connection, account, 7)
    with ledger.read() as connection:
        assert [one.severity for one in breaches.listed(connection, account)] == [VOID, VOID, "notice"]
        assert [one.severity for one in breaches.listed(connection, other)] == ["notice"] * 3
        assert [one.detail["n"] for one in breaches.listed(connection, account, severity="notice")] == [7]


def test_verdicts_on_fills_are_reopened_with_the_others_each_once(ledger, account):
    fill = Verdict(None, 3, "0x" + "11" * 32, block(7), "ok", 0, {})
    with ledger.write() as connection:
        verdicts.add(connection, account, [fill, replace(fill, block=block(8))], 1.0)
        verdicts.reopen_above(connection, account, 7, 2.0)
        verdicts.reopen_above(connection, account, 7, 3.0)
    with ledger.read() as connection:
        assert [one.reopened_at for one in verdicts.listed(connection, account)] == [2.0, None]
