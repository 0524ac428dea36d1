"""Finding out what became of what is open, and whether what was mined still is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actp.engine.exchange import ask_all
from actp.engine.intents import Attempt, Settled, Submission
from actp.engine.lane import Lane
from actp.engine.store import attempts
from actp.engine.store.schema import AttemptState
from actp.errors import RpcError
from actp.rpc import Transport

__all__ = ["Watching"]

_MANY = 20
"""From so many on, whole blocks of receipts are cheaper than one question for each."""
_CHUNK = 100


class Watching:
    """Watches one lane. Needs the turn."""

    def __init__(self, transport: Transport, lane: Lane) -> None:
        self._transport = transport
        self._lane = lane
        self._tip: tuple[int, str] | None = None
        """The newest block when the blocks of `_checked` were last found on the chain."""
        self._checked: set[str] = set()

    def look(self) -> bool:
        """Settles what is mined; whether there was anything. Raises RpcError, RpcUnavailable, StoreError."""
        opened = self._lane.opened()
        if not opened:
            return False
        count, _ = self._heights()
        if count < self._lane.mined and not self._lane.reopens:
            self._lane.recount = True
        mined = [one for one in opened if one.nonce < count]
        if not mined:
            return False
        found = self._in_blocks(mined) if len(mined) >= _MANY else []
        missing = {one.nonce for one in mined} - {one.nonce for one in found}
        # The rest at the next look: asking for thousands one by one would keep everything else waiting.
        found += self._by_hash([one for one in mined if one.nonce in missing][:_CHUNK])
        self._lane.settled(found)
        if not self._lane.recount:
            self._lane.counted(max(self._lane.mined, count))
        return bool(found)

    def check_blocks(self) -> int | None:
        """The lowest nonce of ours whose block is no longer on the chain, None if all still are.

        Notes which of them the chain calls safe and final by now. Raises RpcError, RpcUnavailable, StoreError.
        """
        lane = self._lane
        with lane.store.read() as connection:
            mined = attempts.by_state(connection, lane.id, (AttemptState.SEALED, AttemptState.SAFE))
        if not mined:
            self._tip, self._checked = None, set()
            return None
        tip = None if self._tip is None else self._tip[0]
        safe, final, latest, again = self._blocks(
            ["safe", "finalized", "latest", "latest" if tip is None else hex(tip)]
        )
        if again is None or latest is None:
            return None  # this node is behind what was seen before, and proves nothing
        if self._tip is not None and _hash(again) != self._tip[1]:
            self._checked = set()
        # Blocks that were on the chain together with the tip are still there as long as the tip is.
        gone = self._gone([one for one in mined if one.tx_hash not in self._checked])
        if gone is not None:
            self._tip, self._checked = None, set()
            return gone
        self._tip = (int(latest["number"], 16), _hash(latest))
        self._note(mined, AttemptState.FINALIZED, final, (AttemptState.SEALED, AttemptState.SAFE))
        self._note(mined, AttemptState.SAFE, safe, (AttemptState.SEALED,))
        self._checked &= {one.tx_hash for one in mined}
        return None

    def _gone(self, mined: Sequence[Attempt]) -> int | None:
        """The lowest nonce of these whose block another one has replaced."""
        numbers = sorted({one.block_number for one in mined if one.block_number is not None})
        blocks = dict(zip(numbers, self._blocks([hex(number) for number in numbers]), strict=True))
        for one in mined:
            block = blocks.get(one.block_number or 0)
            # A block that a node does not have proves nothing: it may lag behind. Another block in its place does.
            if block is None:
                continue
            if _hash(block) != (one.block_hash or "").lower():
                return one.nonce
            self._checked.add(one.tx_hash)
        return None

    def _note(
        self, mined: Sequence[Attempt], state: AttemptState, block: dict[str, Any] | None, only: Sequence[AttemptState]
    ) -> None:
        height = -1 if block is None else int(block["number"], 16)
        reached = [
            one.tx_hash
            for one in mined
            if one.tx_hash in self._checked and one.state in only and (one.block_number or 0) <= height
        ]
        if reached:
            with self._lane.store.write() as connection:
                self._lane.lease.fence(connection)
                now = self._lane.store.clock.time()
                attempts.mark_all(connection, self._lane.id, reached, state, now, only=only)

    def _blocks(self, tags: Sequence[str]) -> list[dict[str, Any] | None]:
        """Blocks by number or tag; None for what a node does not have, or does not know the tag of."""
        answers = self._ask([("eth_getBlockByNumber", [tag, False]) for tag in tags])
        return [answer if isinstance(answer, dict) else None for answer in answers]

    def _heights(self) -> tuple[int, int]:
        """Nonces mined and height, at `latest`."""
        count, head = self._ask([("eth_getTransactionCount", [self._lane.address, "latest"]), ("eth_blockNumber", [])])
        for answer in (count, head):
            if isinstance(answer, RpcError):
                raise answer
        return int(count, 16), int(head, 16)

    def _in_blocks(self, mined: Sequence[Submission]) -> list[Settled]:
        """What whole blocks of receipts tell: of the block of the lowest nonce, then of the lowest that is left."""
        left = list(mined)
        found: list[Settled] = []
        while len(left) >= _MANY:
            lowest = self._by_hash(left[:1])
            if not lowest:
                break
            try:
                answer = self._transport.request("eth_getBlockReceipts", [hex(lowest[0].block_number)])
            except RpcError:
                break  # a node that does not know the method, or has no more room for the answer
            by_hash = {tx_hash: one for one in left for tx_hash in one.hashes}
            here = [
                _settled(by_hash[receipt["transactionHash"]], receipt)
                for receipt in answer or ()
                if receipt["transactionHash"] in by_hash
            ]
            if not here:
                break
            found += here
            done = {one.nonce for one in here}
            left = [one for one in left if one.nonce not in done]
        return found

    def _by_hash(self, mined: Sequence[Submission]) -> list[Settled]:
        wanted = [(one, tx_hash) for one in mined for tx_hash in one.hashes]
        receipts = self._ask([("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in wanted])
        got = [
            _settled(one, receipt)
            for (one, _), receipt in zip(wanted, receipts, strict=True)
            if isinstance(receipt, dict) and receipt.get("blockNumber") is not None
        ]
        # Preconfirmed receipts name blocks that may never be.
        numbers = sorted({one.block_number for one in got})
        blocks = self._blocks([hex(number) for number in numbers])
        sealed = {number: _hash(block) for number, block in zip(numbers, blocks, strict=True) if block is not None}
        return [one for one in got if sealed.get(one.block_number) == one.block_hash.lower()]

    def _ask(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(calls), _CHUNK):
            answers += ask_all(self._transport, calls[start : start + _CHUNK])
        return answers


def _settled(one: Submission, receipt: dict[str, Any]) -> Settled:
    return Settled(
        one.intent_id,
        one.nonce,
        receipt["transactionHash"],
        int(receipt["blockNumber"], 16),
        receipt["blockHash"],
        int(receipt["status"], 16) == 1,
    )


def _hash(block: dict[str, Any]) -> str:
    return str(block["hash"]).lower()
