"""Ledger against chain at a final block: every escrow that was funded is in both, and what came back is equal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from actp.client import ACTPClient
from actp.errors import RpcError, RpcUnavailable
from actp.events import Cursor, StaleCursor
from actp.rpc import quantity
from actp.units import format_usdc
from coordinator.authority import Authority
from coordinator.budget.cells import Cell
from coordinator.budget.limits import treasury_scope
from coordinator.budget.words import FOR_EVER, Period, ReservationState, Scope, ScopeKind
from coordinator.store import fundings, reconciliations, reservations, scopes, treasuries, usage
from coordinator.store.fundings import Booked
from coordinator.store.reconciliations import Reconciliation
from coordinator.types import BlockRef
from coordinator.worker.finality import final_block

__all__ = ["Reconciling"]

_log = logging.getLogger(__name__)

AGREED, FROZEN = "agreed", "frozen"
"""What was done: nothing had to be, or nothing more is granted until somebody has looked."""


@dataclass(slots=True)
class _Chain:
    """What the chain says up to `cursor`: (amount, block) of each escrow of the treasury, and what came back of it."""

    cursor: Cursor | None = None
    created: dict[str, tuple[int, int]] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Drift:
    """By how much an escrow differs."""

    transaction_id: str
    amount: int


class Reconciling:
    """Compares one treasury's ledger with its chain, now and then. For one thread. Keeps what it has read of final
    blocks, so that only the first comparison of a process reads all of them.
    """

    def __init__(self, client: ACTPClient, authority: Authority, *, every: float) -> None:
        self._client = client
        self._authority = authority
        self._every = every
        self._at = float("-inf")
        self._chain = _Chain()

    def round(self) -> bool:
        """Compares if it is time for it; whether something was found. Raises as `run`."""
        now = self._authority.ledger.store.clock.monotonic()
        if now - self._at < self._every:
            return False
        self._at = now
        found = self.run()
        return found is not None and found.drift != 0

    def run(self, *, once: bool = False) -> Reconciliation | None:
        """Compares now, and writes down what was found: if ledger and chain differ, nothing more is granted until
        somebody lets it. That the treasury holds less than is promised counts when two comparisons in a row have found
        it; if this is the only one (`once`), when the wallet holds less in the newest block, whether any worker has
        looked at it since or not. None where the node does not show all up to a final block. Raises RpcError,
        RpcUnavailable, StoreError.
        """
        authority = self._authority
        # The ledger first: what it calls spent is final in every block that is final afterwards.
        with authority.ledger.snapshot() as connection:
            ledger = {one.transaction_id: one for one in fundings.booked(connection, authority.account)}
            short = self._shortfall(connection)
            before = reconciliations.listed(connection, authority.account, limit=1)
        final = final_block(self._client.transport)
        if final is None:
            return None
        if not self._read_to(final):
            return None
        drifts = self._compare(ledger)
        # After a reorganisation, or where there is no guard, it may look short until the next block is looked at.
        lasting = min(short, int(before[0].ledger.get("short", 0))) if before else 0
        if once:
            lasting = max(lasting, self._short_now())
        return self._note(final, ledger, drifts, max(short, lasting), lasting)

    def _note(
        self, final: BlockRef, ledger: Mapping[str, Booked], drifts: list[_Drift], short: int, lasting: int
    ) -> Reconciliation:
        authority, chain = self._authority, self._chain
        drift = sum(one.amount for one in drifts) + lasting
        if drift:
            named = ", ".join(f"{one.transaction_id} by {format_usdc(one.amount)} USDC" for one in drifts[:3])
            parts = [f"ledger and chain differ by {format_usdc(drift)} USDC at block {final.number}"]
            parts += [f"escrows: {named}"] if drifts else []
            parts += [f"the treasury holds {format_usdc(lasting)} USDC less than is promised"] if lasting else []
            reason = "; ".join(parts)
            _log.error("%s", reason)
            authority.freeze(Scope(ScopeKind.TOTAL, "", Period.EVER, authority.token), reason)
        spent = [one for one in ledger.values() if one.state is ReservationState.COMMITTED]
        funded = [amount for one, (amount, _) in chain.created.items() if one in ledger]
        found = Reconciliation(
            final,
            {
                "escrows": len(spent),
                "spent": str(sum(one.amount for one in spent)),
                "returned": str(sum(one.returned for one in spent)),
                "short": str(short),
            },
            {
                "escrows": len(funded),
                "funded": str(sum(funded)),
                "returned": str(sum(back for one, back in chain.refunded.items() if one in ledger)),
            },
            drift,
            FROZEN if drift else AGREED,
        )
        with authority.ledger.write() as connection:
            now = authority.ledger.now_by(connection)
            reconciliations.add(connection, authority.account, found, now)
        if not drift:
            amounts = [format_usdc(int(str(found.ledger[name]))) for name in ("spent", "returned")]
            _log.info("ledger and chain agree at block %d: %s USDC spent, %s USDC returned", final.number, *amounts)
        return replace(found, at=now)

    def _compare(self, ledger: Mapping[str, Booked]) -> list[_Drift]:
        chain = self._chain
        spent = [one for one in ledger.values() if one.state is ReservationState.COMMITTED]
        drifts = [_Drift(one.transaction_id, one.amount) for one in spent if one.transaction_id not in chain.created]
        for one in ledger.values():
            amount = chain.created.get(one.transaction_id, (one.amount, 0))[0]
            back = chain.refunded.get(one.transaction_id, 0) if one.settled else one.returned
            differs = abs(one.amount - amount) + abs(one.returned - back)
            if differs:
                drifts.append(_Drift(one.transaction_id, differs))
        begun = min((one.block for one in spent if one.block is not None), default=None)
        unknown = {
            one: amount
            for one, (amount, block) in chain.created.items()
            # What the wallet did before there was this ledger is not in it.
            if one not in ledger and begun is not None and block >= begun
        }
        return drifts + self._unknown(unknown)

    def _unknown(self, unknown: Mapping[str, int]) -> list[_Drift]:
        """Escrows that nobody was granted: neither by now, nor handed to the lifecycle by somebody else."""
        if not unknown:
            return []
        authority = self._authority
        with authority.ledger.snapshot() as connection:
            granted = {one.transaction_id for one in fundings.booked(connection, authority.account)}
            ours = fundings.others(connection, authority.account, list(unknown))
        return [_Drift(one, amount) for one, amount in unknown.items() if one not in granted and one not in ours]

    def _shortfall(self, connection: Connection) -> int:
        """By how much more is promised of the treasury than it held when it was looked at last."""
        return sum(max(one.reserved - (one.lim or 0), 0) for one in self._cells(connection))

    def _cells(self, connection: Connection) -> list[Cell]:
        """The treasury's cell; none if nobody has looked at it yet."""
        account, scope = self._authority.account, treasury_scope(self._authority.token)
        rows = scopes.find(connection, account, [scope]).values()
        return [one.cell for one in usage.of_cells(connection, account, {(row.id, FOR_EVER) for row in rows})]

    def _short_now(self) -> int:
        """By how much more is promised than the wallet holds in the newest block. What was paid since somebody has
        looked at it is called promised until somebody looks again, and is there no more.
        """
        authority = self._authority
        account = authority.account
        with authority.ledger.snapshot() as connection:
            treasury = treasuries.read(connection, account)
            promised = self._promised(connection)
        seen = -1 if treasury is None or treasury.block is None else treasury.block.number
        balance = self._client.token.balance_of(account.wallet)
        # After the balance: then what it does not show as paid may be among these, and never the other way round.
        paid = {one for one, (_, block) in self._chain.created.items() if block > seen} | self._created_since(seen)
        with authority.ledger.snapshot() as connection:
            # Somebody may have looked, or granted more out of what has arrived, meanwhile.
            promised = min(promised, self._promised(connection))
            rows = reservations.by_transactions(connection, account, sorted(paid)) if paid else []
        return max(promised - sum(row.amount for row in rows) - balance, 0)

    def _promised(self, connection: Connection) -> int:
        return sum(one.reserved for one in self._cells(connection))

    def _created_since(self, seen: int) -> set[str]:
        """The escrows of the treasury in blocks that are not final, after one."""
        try:
            newer = self._client.events.created_by(self._authority.account.wallet, self._chain.cursor)
        except StaleCursor as error:
            raise RpcUnavailable(f"A block is gone meanwhile: {error.message}", hint="Try again.") from error
        return {one.transaction_id for one in newer if one.transaction_id is not None and one.block > seen}

    def _read_to(self, final: BlockRef) -> bool:
        """Brings what is known of the chain up to a final block; False if the node is behind it."""
        chain = self._chain
        wallet = self._authority.account.wallet
        events = self._client.events
        try:
            newest = quantity(self._client.transport, "eth_blockNumber", [])
            depth = max(newest - final.number, 0)
            created = events.created_by(wallet, chain.cursor, confirmations=depth)
            refunds = events.since(chain.cursor, names=("EscrowRefunded",), confirmations=depth)
        except StaleCursor as error:
            self._chain = _Chain()
            raise RpcUnavailable(f"A final block is gone, and all is read again: {error.message}") from error
        ends = min((created.cursor, refunds.cursor), key=lambda cursor: cursor.block)
        if ends.block < final.number:
            return False
        if ends.block > final.number:
            # The chain has grown meanwhile; what is not final is read again.
            ends = self._cursor_at(final)
        for event in created:
            if event.transaction_id is not None and event.block <= ends.block:
                chain.created[event.transaction_id] = (event.args["amount"], event.block)
        for event in refunds:
            own = event.transaction_id in chain.created and event.args["recipient"].lower() == wallet.lower()
            if own and event.transaction_id is not None and event.block <= ends.block:
                known = chain.refunded.get(event.transaction_id, 0)
                chain.refunded[event.transaction_id] = known + event.args["amount"]
        chain.cursor = ends
        return True

    def _cursor_at(self, final: BlockRef) -> Cursor:
        found = self._client.transport.request("eth_getBlockByNumber", [hex(final.number), False])
        if isinstance(found, RpcError) or not isinstance(found, dict):
            raise RpcUnavailable(f"{self._client.transport.label} does not show block {final.number}.", outcome="none")
        return Cursor(final.number, str(found["hash"]))
