"""What the tests of the escrow index share: comparing all that it says of a kernel with the chain itself."""

from __future__ import annotations

from typing import Any

from actp.client import ACTPClient
from actp.networks import Endpoint
from actp.reads import Read, read_all
from coordinator.index import Index
from coordinator.index.comparing import differences
from coordinator.index.looking import Looking
from coordinator.store import Ledger, index_credits, index_escrows, index_kernels, index_records
from coordinator.store.index_escrows import Escrow, Filters
from coordinator.store.index_kernels import IndexedKernel

MANY = 10_000


def kernel_of(ledger: Ledger, index: Index) -> IndexedKernel:
    """The kernel's row."""
    with ledger.read() as connection:
        found = index_kernels.find(connection, index.kernel.chain_id, index.kernel.kernel)
    assert found is not None
    return found


def rows_of(ledger: Ledger) -> dict[str, Escrow]:
    """Every escrow in the index, by id."""
    with ledger.read() as connection:
        return {one.transaction_id: one for one in index_escrows.listed(connection, Filters(), limit=MANY)}


def columns(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Every row of an escrow as it is, by id, without when it was compared."""
    found = {one: index_escrows.columns_of(row) for one, row in rows_of(ledger).items()}
    return {one: {name: row[name] for name in row if name != "checked_at"} for one, row in found.items()}


def credits_of(ledger: Ledger, kernel: IndexedKernel) -> dict[str, int]:
    """What the index says is owed, by payee."""
    with ledger.read() as connection:
        return {one.payee: one.amount for one in index_credits.owed(connection, kernel.id, limit=MANY)}


def repaired(ledger: Ledger, kernel: IndexedKernel) -> list[str]:
    """What was put right."""
    with ledger.read() as connection:
        return [one.transaction_id for one in index_records.repairs_of(connection, kernel.id, limit=MANY)]


def assert_is_the_chain(ledger: Ledger, endpoint: Endpoint, index: Index, *, unsolicited: int = 0) -> None:
    """The index has every escrow that the chain's events name, as the chain's state shows it; what lies in the vault is
    what the index says lies there, to the last unit.
    """
    kernel = kernel_of(ledger, index)
    rows = rows_of(ledger)
    looking = Looking(endpoint.transport, kernel)
    at = looking.at_head()
    states = looking.states(list(rows), at)
    wrong = {
        one: "unknown to the kernel" if (seen := states[one]) is None else differences(row, seen, kernel)
        for one, row in rows.items()
    }
    assert {one: found for one, found in wrong.items() if found} == {}
    for row in rows.values():
        assert not row.look, row
        if not row.repaired:
            assert row.paid + row.remaining == row.funded, row
    credits = credits_of(ledger, kernel)
    fees, owed = looking.owed(list(credits), at)
    assert (kernel.fees, credits) == (fees, owed)
    reads = [Read("TestUSDC", kernel.token, "balanceOf", (kernel.vault,))]
    (held,) = read_all(endpoint.transport, reads, at.parameter)
    bonds = sum(row.bond_requester + row.bond_provider for row in rows.values())
    assert sum(row.remaining for row in rows.values()) + bonds + sum(credits.values()) + fees == held - unsolicited


def ids_of(client: ACTPClient) -> set[str]:
    """Every transaction that the chain says was created."""
    return {str(one.transaction_id) for one in client.events.since(names="TransactionCreated")}
