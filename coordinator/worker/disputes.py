"""Disputes that anybody opens about what was bought are written into the journal, out of which people are told."""

from __future__ import annotations

from collections.abc import Sequence

from actp.client import ACTPClient
from actp.decoding import Event
from actp.errors import RpcUnavailable
from actp.events import Cursor, StaleCursor
from coordinator.authority import Authority
from coordinator.store import fundings, journal, reservations
from coordinator.store.journal import DISPUTE_OPENED

__all__ = ["Disputes"]

_EVERY = 5.0


class Disputes:
    """Notices disputes about one treasury's escrows. For one thread. What it has seen before is in the journal, so a
    process that begins reads on from the oldest escrow that has not ended.
    """

    def __init__(self, client: ACTPClient, authority: Authority) -> None:
        self._client = client
        self._authority = authority
        self._at = float("-inf")
        self._cursor: Cursor | None = None

    def round(self) -> bool:
        """Writes down what is new; whether anything was. Raises RpcError, RpcUnavailable, StoreError."""
        now = self._authority.ledger.store.clock.monotonic()
        if now - self._at < _EVERY:
            return False
        self._at = now
        if self._cursor is None:
            self._cursor = self._first()
        if self._cursor is None:
            return False
        try:
            page = self._client.events.since(self._cursor, names=("DisputeOpened",))
        except StaleCursor:
            self._cursor = None  # what was opened in blocks that are gone may be opened again
            return True
        noted = self._note(page.events)
        self._cursor = page.cursor
        return noted

    def _first(self) -> Cursor | None:
        authority = self._authority
        with authority.ledger.read() as connection:
            oldest = fundings.oldest_open(connection, authority.account)
        if oldest is None:
            return None
        before = max(oldest - 1, 0)
        found = self._client.transport.request("eth_getBlockByNumber", [hex(before), False])
        if not isinstance(found, dict):
            raise RpcUnavailable(f"{self._client.transport.label} does not show block {before}.", hint="Try again.")
        return Cursor(before, str(found["hash"]))

    def _note(self, events: Sequence[Event]) -> bool:
        authority = self._authority
        opened = {one.transaction_id: one for one in events if one.transaction_id is not None}
        if not opened:
            return False
        with authority.ledger.write() as connection:
            rows = reservations.by_transactions(connection, authority.account, list(opened))
            # The rows are locked so that of several processes one writes.
            ids = [row.id for row in rows]
            locked = reservations.by_ids(connection, ids, lock=True) if ids else {}
            entries = []
            for row in locked.values():
                known = journal.listed(connection, authority.account, reservation_id=row.id)
                if any(one.entry.event == DISPUTE_OPENED for one in known):
                    continue
                detail = {"transactionId": row.transaction_id, "by": opened[row.transaction_id].args["initiator"]}
                entries.append(journal.Entry(DISPUTE_OPENED, row.agent, None, row.state, row.state, detail, row.id))
            journal.add(connection, authority.account, entries, authority.ledger.now_by(connection))
        return bool(entries)
