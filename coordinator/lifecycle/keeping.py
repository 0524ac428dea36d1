"""What has to be looked at now and then: finality, and what still lies in escrow."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from actp.errors import Reverted, RpcUnavailable
from actp.events import Cursor
from actp.kernel_views import Bonds, bonds_of, transaction_of
from actp.reads import Read, read_all
from actp.types import State, Transaction
from coordinator.lifecycle.desk import Desk
from coordinator.lifecycle.proving import Links
from coordinator.proofs import ProofKey
from coordinator.store import escrows, journal, losses, operations, sendings
from coordinator.store import proofs as proof_rows
from coordinator.store.escrows import Locked
from coordinator.store.losses import Loss

__all__ = ["Keeping"]

_FINAL_EVERY = 2.0
_ESCROWS_EVERY = 1.0
_MANY = 100
_VIEWS = ("getTransaction", "escrowOf", "bondsOf")


class Keeping:
    """Housekeeping for one wallet. For one thread."""

    def __init__(self, desk: Desk, key: ProofKey) -> None:
        self._desk = desk
        self._key = key
        self._final_at = self._escrows_at = float("-inf")

    def round(self) -> None:
        """Whatever is due. Raises RpcUnavailable, LedgerConflict, StoreError."""
        now = self._desk.ledger.store.clock.monotonic()
        if now - self._final_at >= _FINAL_EVERY:
            self._final_at = now
            self._finalize()
        if now - self._escrows_at >= _ESCROWS_EVERY:
            self._escrows_at = now
            self._look_at_escrows()

    def _finalize(self) -> None:
        """Proofs whose blocks are final say so from now on, and nothing can reopen them."""
        desk = self._desk
        with desk.ledger.read() as connection:
            final = sendings.finalized(connection, desk.account, desk.outbox.lane_id)
            proofs = proof_rows.of_operations(connection, desk.account, [one for one, _ in final])
        if not final:
            return
        links = Links.at_end(desk, self._key)
        highest = max((block for _, block in final), key=lambda block: block.number)
        links.finalize([proofs[one].proof_hash for one, _ in final if one in proofs], highest)
        with desk.ledger.write() as connection:
            operations.make_final(connection, [one for one, _ in final])
            links.write(connection, desk.ledger.now())

    def _look_at_escrows(self) -> None:
        """What others, or we, have taken out of escrows since is not locked any more."""
        desk = self._desk
        now = desk.ledger.now()
        with desk.ledger.read() as connection:
            due = escrows.due(connection, desk.account, now, limit=_MANY)
        kernel = desk.client.kernel.address
        reads = [
            Read("ACTPKernel", kernel, view, (bytes.fromhex(one.transaction_id[2:]),)) for one in due for view in _VIEWS
        ]
        answers = read_all(desk.transport, reads)
        seen = []
        unanswered: list[Locked] = []
        lost: list[Loss] = []
        disputed: list[tuple[Locked, str]] = []
        for index, one in enumerate(due):
            views = answers[index * len(_VIEWS) : (index + 1) * len(_VIEWS)]
            if any(isinstance(view, Reverted) for view in views):
                unanswered.append(one)  # its block is gone, which whoever follows blocks will find
                continue
            record = transaction_of(views[0])
            locked = _left(desk.wallet, record, int(views[1][3]), bonds_of(views[2]))
            seen.append((one.transaction_id, locked, not record.state.final))
            if record.state.final:
                lost += self._lost(one, record)
            if record.state is State.DISPUTED:
                disputed.append((one, record.dispute_initiator))
        if due:
            with desk.ledger.write() as connection:
                escrows.note(connection, desk.account, seen, now)
                escrows.put_off(connection, desk.account, unanswered, now)
                losses.add(connection, desk.account, lost, now)
                journal.add(connection, desk.account, self._opened(connection, disputed), now)

    def _opened(self, connection: Connection, disputed: Sequence[tuple[Locked, str]]) -> list[journal.Entry]:
        """What the journal does not say yet of escrows that somebody disputes: the other party sends past us."""
        found = operations.by_ids(connection, [one.operation_id for one, _ in disputed])
        entries = []
        for one, by in disputed:
            said = journal.listed(connection, self._desk.account, operation_id=one.operation_id)
            known = {each.entry.detail["transactionId"] for each in said if each.entry.event == journal.DISPUTE_OPENED}
            operation = found.get(one.operation_id)
            if operation is not None and one.transaction_id not in known:
                detail = {"transactionId": one.transaction_id, "by": by}
                entries.append(journal.Entry(journal.DISPUTE_OPENED, operation.agent, one.operation_id, detail=detail))
        return entries

    def _lost(self, escrow: Locked, record: Transaction) -> list[Loss]:
        """What an escrow that has ended has cost besides its price: a bond that did not come back, a penalty."""
        desk = self._desk
        with desk.ledger.read() as connection:
            operation = operations.by_id(connection, escrow.operation_id)
        if operation is None or operation.block is None:
            return []
        before = desk.transport.request("eth_getBlockByNumber", [hex(operation.block.number - 1), False])
        if not isinstance(before, dict):
            raise RpcUnavailable(f"{desk.transport.label} does not show block {operation.block.number - 1}.")
        page = desk.client.events.since(
            Cursor(operation.block.number - 1, before["hash"]),
            names=("BondPosted", "BondPaid", "PenaltyPaid"),
            transaction_id=escrow.transaction_id,
        )
        bond = penalty = 0
        for event in page.events:
            if event.name == "BondPosted" and event.args["poster"] == desk.wallet:
                bond += event.args["amount"]
            elif event.name == "BondPaid" and event.args["recipient"] == desk.wallet:
                bond -= event.args["amount"]
            elif event.name == "PenaltyPaid" and record.requester == desk.wallet:
                penalty += event.args["amount"]
        return [
            Loss(kind, escrow.transaction_id, escrow.operation_id, escrow.asset, amount)
            for kind, amount in ((losses.BOND, bond), (losses.PENALTY, penalty))
            if amount > 0
        ]


def _left(wallet: str, record: Transaction, released: int, bonds: Bonds) -> int:
    """What of ours still lies in an escrow: what has ended has released everything."""
    price = record.amount - released if record.funded and record.requester == wallet else 0
    return price + sum(bond.amount for bond in (bonds.requester, bonds.provider) if bond.poster == wallet)
