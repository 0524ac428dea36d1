"""What comes back out of escrows that were spent: refunds, cancellations, splits. Only final events count."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from actp.client import ACTPClient
from actp.decoding import Event
from actp.errors import RpcUnavailable
from actp.events import Cursor
from actp.types import State
from coordinator.authority import Authority, Change
from coordinator.budget.words import ReservationState
from coordinator.store import fundings
from coordinator.types import BlockRef
from coordinator.worker import saying
from coordinator.worker.finality import final_block

__all__ = ["Returns", "back_from", "is_over"]

_log = logging.getLogger(__name__)
_EVERY = 1.0
_MANY = 100
_EVENTS = ("EscrowRefunded", "StateTransitioned")


class Returns:
    """Books what escrows of one treasury give back. For one thread."""

    def __init__(self, client: ACTPClient, authority: Authority) -> None:
        self._client = client
        self._authority = authority
        self._at = float("-inf")
        self._after = 0
        self._looked: tuple[BlockRef | None, set[int]] = (None, set())
        """At which final block, and which had not ended by then: until there is a newer one, they have not."""

    def round(self) -> bool:
        """Books the ends of escrows that are final by now; whether there were any. Raises RpcError, RpcUnavailable,
        StaleCursor, StoreError with nothing lost.
        """
        clock = self._authority.ledger.store.clock
        if clock.monotonic() - self._at < _EVERY:
            return False
        authority = self._authority
        with authority.ledger.read() as connection:
            ended = fundings.ended(connection, authority.account, after=self._after, limit=_MANY)
        if not ended:
            self._after, self._at = 0, clock.monotonic()
            return False
        final = final_block(self._client.transport)
        if final is None:
            self._at = clock.monotonic()
            return False
        if final != self._looked[0]:
            self._looked = (final, set())
        due = [one for one in ended if one[0] not in self._looked[1]]
        changes = self._changes(due, final) if due else []
        if changes:
            for line in saying.came_back(authority.move(changes)):
                _log.info("%s", line)
        self._looked[1].update(number for number, _, _ in due)
        self._after = ended[-1][0]
        return bool(due)

    def _changes(self, ended: Sequence[tuple[int, str, int]], final: BlockRef) -> list[Change]:
        events = self._events([transaction_id for _, transaction_id, _ in ended], min(one[2] for one in ended), final)
        changes = []
        for number, transaction_id, _ in ended:
            mine = [one for one in events if one.transaction_id == transaction_id]
            if is_over(mine):
                back = back_from(mine, self._authority.account.wallet)
                changes.append(Change(number, ReservationState.COMMITTED, returned=back, settled=True))
        return changes

    def _events(self, transaction_ids: Sequence[str], first: int, final: BlockRef) -> list[Event]:
        """What happened to these from a block on, as far as it is final."""
        client = self._client
        before = client.transport.request("eth_getBlockByNumber", [hex(max(first - 1, 0)), False])
        newest = client.transport.request("eth_blockNumber", [])
        if not isinstance(before, dict) or not isinstance(newest, str):
            raise RpcUnavailable(f"{client.transport.label} does not show block {first - 1}.", hint="Try again.")
        page = client.events.since(
            Cursor(max(first - 1, 0), str(before["hash"])),
            names=_EVENTS,
            transaction_id=transaction_ids,
            confirmations=max(int(newest, 16) - final.number, 0),
        )
        # The chain may have grown meanwhile, and the page with it.
        return [one for one in page.events if one.block <= final.number]


def is_over(events: Sequence[Event]) -> bool:
    """Whether an escrow has ended in these events of it."""
    return any(one.name == "StateTransitioned" and State(one.args["newState"]).final for one in events)


def back_from(events: Sequence[Event], wallet: str) -> int:
    """Base units of its price that came back to the requester in these events; what the token refused to pay out is
    owed to it by the kernel, and counts. Bonds are no part of a price.
    """
    return sum(
        int(one.args["amount"])
        for one in events
        if one.name == "EscrowRefunded" and one.args["recipient"].lower() == wallet.lower()
    )
