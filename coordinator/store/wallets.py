"""The row of a wallet: what several processes must not decide at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.errors import LedgerConflict
from coordinator.store.accounts import Account
from coordinator.store.schema import wallets

__all__ = ["WalletRow", "accounts", "count_decision", "extend_proofs", "read", "require"]

_NO_PROOF = "0x" + "00" * 32


@dataclass(frozen=True, slots=True)
class WalletRow:
    """How many times the wallet was decided about, and the last link of its chain of proofs."""

    decisions: int
    proof_seq: int
    proof_hash: str


def require(connection: Connection, account: Account) -> WalletRow:
    """The row of a wallet, made if there is none."""
    found = read(connection, account)
    if found is None:
        row = {**account.columns, "decisions": 0, "proof_seq": 0, "proof_hash": _NO_PROOF}
        insert_or_ignore(connection, wallets, [row])
        found = read(connection, account)
        assert found is not None
    return found


def read(connection: Connection, account: Account) -> WalletRow | None:
    """The row of a wallet, None if there is none."""
    query = select(wallets.c.decisions, wallets.c.proof_seq, wallets.c.proof_hash).where(account.owns(wallets))
    row = connection.execute(query).one_or_none()
    return None if row is None else WalletRow(*row)


def accounts(connection: Connection) -> list[Account]:
    """Every wallet of the store."""
    query = select(wallets.c.chain_id, wallets.c.wallet).order_by(wallets.c.chain_id, wallets.c.wallet)
    return [Account(chain_id, wallet) for chain_id, wallet in connection.execute(query)]


def count_decision(connection: Connection, account: Account, seen: WalletRow) -> None:
    """Says that one was decided on the facts that were read together with `seen`.

    Raises LedgerConflict if another process has decided since: its decisions use up what is left under the limits.
    """
    changed = connection.execute(
        update(wallets)
        .where(account.owns(wallets), wallets.c.decisions == seen.decisions)
        .values(decisions=seen.decisions + 1)
    )
    _require_one(changed.rowcount)


def extend_proofs(connection: Connection, account: Account, seen: WalletRow, seq: int, proof_hash: str) -> None:
    """Moves the end of the chain of proofs. Raises LedgerConflict if it is not where it was `seen`."""
    changed = connection.execute(
        update(wallets)
        .where(account.owns(wallets), wallets.c.proof_seq == seen.proof_seq)
        .values(proof_seq=seq, proof_hash=proof_hash)
    )
    _require_one(changed.rowcount)


def _require_one(changed: int) -> None:
    if changed != 1:
        raise LedgerConflict(
            "Another process was faster with this wallet.", hint="Nothing was changed. Try again.", retryable=True
        )
